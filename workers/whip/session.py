"""A WHIP session: one peer and the speaker that it is in the room, from the answer to whatever ends it."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from contracts.access import Grant
from contracts.errors import LongwaveError, OverCapacity
from contracts.metrics import Metrics
from pipeline.voice.packet import VoicePacket
from workers.speaker import VoiceSpeaker
from workers.whip.answer import write_answer
from workers.whip.candidates import MAX_CANDIDATES, Candidate
from workers.whip.ends import End, closed, failed, left, no_handshake, vanished
from workers.whip.offer import Offer
from workers.whip.peer import Peer
from workers.whip.ports import Door
from workers.whip.settings import WhipSettings

log = structlog.get_logger()

# RFC 3550 6.2: reports go out every second or so, varied so that no two servers fall into step.
_REPORT_SECONDS: Final = (0.5, 1.5)
_LAST_LOOK_SECONDS: Final = 0.05


class VoiceIngest(Protocol):
    """What WHIP needs of the ingest."""

    async def connect_voice(self, room: str, name: str | None, *, grant: Grant) -> VoiceSpeaker:
        """A new speaker, or the reason why not."""

    def hear(self, speaker: VoiceSpeaker, packet: VoicePacket) -> None:
        """A packet of the speaker's voice."""

    def alive(self, speaker: VoiceSpeaker) -> None:
        """The speaker is there, whether it speaks or not."""

    def leave(self, speaker: VoiceSpeaker) -> None:
        """The speaker is gone; said exactly once."""


class Session:
    """`id` is its unguessable name in the URL, `etag` names its one ICE session (RFC 9725 4.3.1)."""

    def __init__(
        self, ingest: VoiceIngest, speaker: VoiceSpeaker, settings: WhipSettings, metrics: Metrics
    ) -> None:
        self.id = secrets.token_urlsafe(24)
        self.etag = f'"{secrets.token_hex(8)}"'
        self.speaker = speaker
        self.ufrag = ""
        self._ingest = ingest
        self._settings = settings
        self._metrics = metrics
        self._peer: Peer | None = None
        self._candidates = 0
        self._heard = 0.0

    @property
    def room(self) -> str:
        """The room that it speaks in."""
        return self.speaker.room

    async def open(self, offer: Offer, door: Door) -> str:
        """Open the sockets and give the answer. Raises OverCapacity, and leaves nothing open then."""
        self.ufrag = offer.credentials.ufrag
        self._candidates = len(offer.candidates)
        peer = Peer(offer, door, self._hear)
        try:
            local = await peer.open()
        except BaseException:
            await peer.close()
            raise
        self._peer = peer
        return write_answer(offer, local, self.speaker.source.channels)

    async def add(self, candidates: Sequence[Candidate]) -> bool:
        """Trickled candidates; False where there are too many of them."""
        self._candidates += len(candidates)
        if self._peer is not None and self._candidates <= MAX_CANDIDATES:
            await self._peer.add(candidates)
        return self._candidates <= MAX_CANDIDATES

    def delete(self) -> None:
        """The peer wants to leave."""
        if self._peer is not None:
            self._peer.end(left())

    async def run(self) -> None:
        """Serve the peer until it is over. The speaker leaves the room in any case."""
        end = failed()
        try:
            end = await self._serve()
        except LongwaveError as error:
            end = closed(error)
        except asyncio.CancelledError:
            end = closed(OverCapacity("this server goes down"))
            raise
        except Exception:
            log.exception("WHIP session failed", room=self.room)
            self._metrics.unexpected_errors.labels("whip").inc()
        finally:
            self._ingest.leave(self.speaker)
            self._metrics.whip_sessions.labels(end.outcome).inc()
            log.info(
                "WHIP session over",
                room=self.room,
                speaker=self.speaker.name,
                outcome=end.outcome,
                reason=end.reason,
            )
            if self._peer is not None:
                await self._peer.close()

    def _hear(self, packet: VoicePacket) -> None:
        self._ingest.hear(self.speaker, packet)

    async def _serve(self) -> End:
        """Raises what the speaker was closed with."""
        peer = self._peer
        if peer is None:
            raise RuntimeError("a session is opened before it runs")
        with self.speaker.attached():
            handshake = asyncio.create_task(self._connect(peer), name="WHIP handshake")
            try:
                while not peer.over.done():
                    await asyncio.wait({peer.over}, timeout=self._pause(peer))
                    await self._look_after(peer)
                    await peer.report()
                return peer.over.result()
            finally:
                handshake.cancel()
                await asyncio.gather(handshake, return_exceptions=True)

    async def _connect(self, peer: Peer) -> None:
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                await peer.connect()
        except TimeoutError:
            peer.end(no_handshake(f"no connection within {self._settings.handshake_timeout:g} seconds"))
        except ConnectionError as error:
            peer.end(no_handshake(str(error)))
        except Exception:
            log.exception("WHIP handshake failed", room=self.room)
            self._metrics.unexpected_errors.labels("whip").inc()
            peer.end(failed())
        else:
            log.debug("WHIP connected", room=self.room, speaker=self.speaker.name)

    def _pause(self, peer: Peer) -> float:
        """Seconds until the next look: when a report is due, or when a silence has lasted too long."""
        report = random.uniform(*_REPORT_SECONDS)  # noqa: S311 - out of step, not secret
        patience = self._settings.media_timeout - (_now() - peer.heard)
        return min(report, max(_LAST_LOOK_SECONDS, patience))

    async def _look_after(self, peer: Peer) -> None:
        """Tell the room that the peer is there, or notice that it is not: while it connects, it is."""
        if not peer.connected or peer.heard != self._heard:
            self._heard = peer.heard
            self._ingest.alive(self.speaker)
        elif _now() - peer.heard >= self._settings.media_timeout:
            # After a standstill of this process, timers come before the datagrams that wait in the sockets.
            await asyncio.sleep(_LAST_LOOK_SECONDS)
            if _now() - peer.heard >= self._settings.media_timeout:
                peer.end(vanished(self._settings.media_timeout))


def _now() -> float:
    return asyncio.get_running_loop().time()
