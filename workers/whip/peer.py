"""A peer that sends its voice over WebRTC: from its offer to RTP packets, and reports back."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from contracts.errors import LongwaveError
from pipeline.voice.packet import VoicePacket
from workers.whip.answer import Local
from workers.whip.candidates import Candidate, Credentials
from workers.whip.ends import End, failed, garbage, left
from workers.whip.offer import Offer
from workers.whip.ports import Door
from workers.whip.reception import Reception
from workers.whip.rtcp import read_sender_reports, write_report
from workers.whip.rtp import read_rtp
from workers.whip.transport import DtlsPath, IcePath

log = structlog.get_logger()

_SAMPLE_RATE: Final = 48_000
# A peer that can reach us does at once. Checks of ours that it cannot answer before it has the answer would
# only hold it up for half a second, until they are repeated.
_ITS_OWN_CHECKS_SECONDS: Final = 1.0
# The shortest Opus frames are 400 a second; what piles up while the process stands still comes at once.
_PACKETS_A_SECOND: Final = 500
_MAX_BURST: Final = 2000
# A browser takes a new source when its user changes the microphone in some ways, not a hundred times.
_MAX_SOURCES: Final = 64


class Peer:
    """One WebRTC connection that only receives. `over` is done when it has ended by itself, and says how.

    `hear` is called with each packet of the voice, in the order of arrival; where it raises a LongwaveError
    the peer is over.
    """

    def __init__(self, offer: Offer, door: Door, hear: Callable[[VoicePacket], None]) -> None:
        self._offer = offer
        self._hear = hear
        self._path = IcePath(door)
        self._dtls = DtlsPath(self._path, self._rtp, self._rtcp, begins=offer.waits)
        self.over: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.connected = False
        self._candidates = list(offer.candidates)
        self._seeks = False
        self._ssrc = secrets.randbits(32)
        self._name = secrets.token_hex(8)
        self._sources: set[int] = set()
        self._reception: Reception | None = None
        self._allowed = float(_MAX_BURST)
        self._refilled = self._now()

    @property
    def heard(self) -> float:
        """When the peer gave its last sign of life, in the event loop's time."""
        return self._path.heard

    async def open(self) -> Local:
        """Open the sockets; what the answer says of them. Raises OverCapacity where no port is free."""
        await self._path.gather_candidates()
        return Local(
            session=secrets.randbits(62),
            credentials=Credentials(self._path.local_username, self._path.local_password),
            fingerprint=self._dtls.fingerprint,
            candidates=tuple(one.to_sdp() for one in self._path.local_candidates),
        )

    async def connect(self) -> None:
        """Wait for the peer's checks and its handshake. Raises ConnectionError where they fail."""
        reached = asyncio.create_task(self._path.reach(self._offer.credentials), name="ICE")
        try:
            await asyncio.wait({reached}, timeout=_ITS_OWN_CHECKS_SECONDS)
            if not reached.done():
                self._seeks = True
                await self._path.add(self._candidates)
            await reached
        finally:
            reached.cancel()
        await self._dtls.shake_hands(self._offer.fingerprints)
        self.connected = True
        self._dtls.on("statechange", self._state_changed)

    async def add(self, candidates: Sequence[Candidate]) -> None:
        """Further addresses that the peer may be reached at."""
        self._candidates += candidates
        if self._seeks:
            await self._path.add(candidates)

    async def report(self) -> None:
        """Tell the sender how well its packets arrive. Called about once a second."""
        now = self._now()
        self._allowed = min(
            _MAX_BURST, self._allowed + (now - self._refilled) / _SAMPLE_RATE * _PACKETS_A_SECOND
        )
        self._refilled = now
        block = self._reception.report(now) if self._reception else None
        if block is not None:
            await self._dtls.send_rtcp(write_report(self._ssrc, self._name, block))

    def end(self, end: End) -> None:
        """It is over; the first word about it counts."""
        if not self.over.done():
            self.over.set_result(end)

    async def close(self) -> None:
        """Say goodbye and close the sockets. Nothing is heard from here on."""
        self.end(left())
        with contextlib.suppress(ConnectionError, OSError):
            await self._dtls.stop()
        await self._path.close()

    def _state_changed(self) -> None:
        if self._dtls.state in {"closed", "failed"}:
            self.end(left())

    def _rtp(self, data: bytes) -> None:
        packet = None if self.over.done() else read_rtp(data, self._offer.payload_type)
        self._allowed -= 1
        if self._allowed < 0:
            self.end(garbage("more packets than any voice has"))
        if packet is None:
            return
        self._count(packet)
        try:
            self._hear(packet)
        except LongwaveError as error:
            self.end(garbage(error.message))
        except Exception:
            log.exception("a voice cannot be heard")
            self.end(failed())

    def _count(self, packet: VoicePacket) -> None:
        if self._reception is None or self._reception.ssrc != packet.ssrc:
            self._sources.add(packet.ssrc)
            if len(self._sources) > _MAX_SOURCES:
                self.end(garbage("one source after another"))
            self._reception = Reception(packet.ssrc)
        self._reception.add(packet.sequence, packet.timestamp, self._now())

    def _rtcp(self, data: bytes) -> None:
        for word in read_sender_reports(data):
            if self._reception is not None and word.ssrc == self._reception.ssrc:
                self._reception.sent(word.ntp, self._now())

    def _now(self) -> int:
        return int(asyncio.get_running_loop().time() * _SAMPLE_RATE)
