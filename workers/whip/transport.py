"""ICE, DTLS and SRTP of one peer: the one place that leans on the inner parts of aioice and aiortc.

`RTCPeerConnection` is not used. It decodes in a thread behind a jitter buffer that adds 64 ms and never makes
up lateness, it gathers candidates on every interface but loopback and on any port, and it notices a browser
that vanished after half a minute. What is used instead, and is private or undocumented there:

- `aioice.Connection` with `get_component_candidates`, `check_incoming`, `query_consent` and `data_received`
  overridden, and its `_nominated`, `_protocols`, `_queue`, `_remote_candidates` read;
- `aioice.ice.StunProtocol`, the protocol of its sockets, and `Candidate._network_host`;
- `RTCDtlsTransport`, which asks its ICE transport for `_recv`, `_send` and `role` alone, with `_set_role`,
  `_send_rtp`, and `_handle_rtp_data` and `_handle_rtcp_data` overridden;
- that pylibsrtp raises ValueError on more than 1500 bytes, which ends an `RTCDtlsTransport`.

tests/unit/test_whip_transport.py fails when an upgrade moves one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import structlog
from aioice import Candidate as IceCandidate
from aioice import Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import CandidatePair, StunProtocol
from aioice.stun import Message, TransactionError
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport, RTCIceTransport

from workers.whip.candidates import Candidate, Credentials
from workers.whip.ports import LOOPBACK, Door

log = structlog.get_logger()

Address = tuple[str, int]
# RFC 7983 7: what begins with less than 4 is STUN, all the rest DTLS, RTP or RTCP; these from 128 on.
_FIRST_NOT_STUN: Final = 4
_FIRST_MEDIA: Final = 128
# What SRTP is decrypted in has no more room. Whoever forges the peer's address can send a longer one.
_LONGEST_MEDIA: Final = 1500
_COMPONENT: Final = 1
# As many as an offer may name, and as many that show themselves by their checks alone.
_MAX_ADDRESSES: Final = 200
# Datagrams that wait for their turn: two seconds of the shortest frames, more than any stall leaves.
_MAX_WAITING: Final = 1024
# RFC 7675 5.1 asks for consent every 5 s, which browsers do. Who is silent for so long is asked here.
_SILENCE_SECONDS: Final = 2.0


class IcePath(Connection):
    """The path to one peer, at which the server waits: the peer sends the checks and chooses the pair.

    No address is looked up and no server asked, so opening it waits for nothing. `heard` is when the peer
    last gave a sign of life, in the event loop's time.
    """

    def __init__(self, door: Door) -> None:
        # 32 and 128 bits of chance (RFC 8445 5.3 asks for 24 and 128).
        super().__init__(False, local_username=secrets.token_hex(4), local_password=secrets.token_hex(16))  # noqa: FBT003 - controlled: RFC 8445 6.1.1
        self._door = door
        self._source: Address | None = None
        self.heard = asyncio.get_running_loop().time()

    @property
    def role(self) -> str:
        """Asked for by DTLS, which is told its own."""
        return "controlled"

    async def reach(self, credentials: Credentials) -> None:
        """Wait until the peer has chosen a pair. Returns with ConnectionError only when it is closed."""
        self.remote_username, self.remote_password = credentials.ufrag, credentials.password
        await self.connect()

    async def add(self, candidates: Sequence[Candidate]) -> None:
        """Where the peer may be reached. No end of them is ever told: others show up by their checks."""
        for one in candidates[: max(0, _MAX_ADDRESSES - len(self._remote_candidates))]:
            found = IceCandidate(
                one.foundation, _COMPONENT, "udp", one.priority, one.address, one.port, one.kind
            )
            await self.add_remote_candidate(found)

    async def get_component_candidates(
        self,
        component: int,
        addresses: list[str],
        timeout: int = 5,  # noqa: ASYNC109, ARG002 - the library's own signature
    ) -> list[IceCandidate]:
        """The sockets of the door, each with its candidate, and with another one for NAT's public side."""
        loop = asyncio.get_running_loop()
        found: list[IceCandidate] = []
        for index, sock in enumerate(self._door.bind(addresses)):
            _, line = await loop.create_datagram_endpoint(lambda: _Line(self), sock=sock)
            self._protocols.append(line)
            line.local_candidate = _local(component, "host", sock.getsockname()[:2], index)
            found.append(line.local_candidate)
        return [*found, *self._public(found)]

    def _public(self, found: Sequence[IceCandidate]) -> list[IceCandidate]:
        """The same ports at the address that NAT maps to us, unless that is one of our own."""
        public = self._door.public
        if public is None or any(one.host == public for one in found):
            return []
        behind = {
            one.port: one
            for one in found
            if one.host not in LOOPBACK and (":" in one.host) == (":" in public)
        }
        return [
            _local(_COMPONENT, "srflx", (public, port), index, base=one)
            for index, (port, one) in enumerate(behind.items())
        ]

    def check_incoming(self, message: Message, addr: Address, protocol: StunProtocol) -> None:
        """A check that the peer signed: a sign of life, and perhaps a new address of it."""
        if "PRIORITY" not in message.attributes:
            return
        if len(self._remote_candidates) < _MAX_ADDRESSES or self._is_peer(addr):
            super().check_incoming(message, addr, protocol)
            self.heard = asyncio.get_running_loop().time()

    def data_received(self, data: bytes, component: int) -> None:
        """What begins like STUN and is none: nothing of a peer's."""

    def media_received(self, data: bytes, addr: Address) -> None:
        """A datagram that is no STUN. From anywhere but the peer it does not even wait in the queue."""
        if addr != self._source:
            if not self._is_peer(addr):
                return
            self._source = addr
        if len(data) > _LONGEST_MEDIA and data[0] >= _FIRST_MEDIA:
            return
        if self._queue.qsize() < _MAX_WAITING:
            self.heard = asyncio.get_running_loop().time()
            self._queue.put_nowait((data, _COMPONENT))

    def _is_peer(self, addr: Address) -> bool:
        return any((one._network_host, one.port) == addr for one in self._remote_candidates)  # noqa: SLF001 - see above

    async def query_consent(self) -> None:
        """Ask a silent peer whether it is there (RFC 7675); whoever waits for it to be heard decides."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SILENCE_SECONDS / 2 * random.uniform(0.8, 1.2))  # noqa: S311 - out of step
            if loop.time() - self.heard >= _SILENCE_SECONDS:
                for pair in list(self._nominated.values()):
                    await self._ask(pair)

    async def _ask(self, pair: CandidatePair) -> None:
        key = (self.remote_password or "").encode()
        request = self.build_request(pair, nominate=False)
        with contextlib.suppress(TransactionError, OSError):
            await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=0)
            self.heard = asyncio.get_running_loop().time()

    # What RTCDtlsTransport calls its ICE transport's.
    _recv = Connection.recv
    _send = Connection.send


class _Line(StunProtocol):
    """One socket. Nothing that arrives may raise: uvloop closes the socket of a protocol that does."""

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """RFC 7983: STUN is told from media by its first byte."""
        if not isinstance(data, bytes) or not data:
            return
        try:
            if data[0] >= _FIRST_NOT_STUN:
                cast("IcePath", self.receiver).media_received(data, (addr[0], addr[1]))
            else:
                super().datagram_received(data, addr)
        except Exception as error:  # noqa: BLE001 - truncated attributes raise struct.error and more
            log.debug("a STUN message makes no sense", reason=repr(error))


class _Knocking:
    """A path over which the first datagram goes out twice, as UDP might have done.

    FFmpeg (8 and 9), where it waits for DTLS, takes the first word for a knock at the door: it throws that
    away, begins to listen, and would hear it only when it is repeated for want of an answer, after a second.
    """

    def __init__(self, path: IcePath) -> None:
        self._path = path
        self._knocked = False
        self._recv = path._recv  # noqa: SLF001 - what RTCDtlsTransport asks for

    @property
    def role(self) -> str:
        return self._path.role

    async def _send(self, data: bytes) -> None:
        await self._path.send(data)
        if not self._knocked:
            self._knocked = True
            await self._path.send(data)


class DtlsPath(RTCDtlsTransport):
    """DTLS over `path`, and SRTP with the keys of it. `begins`: the handshake is begun here, as its client.

    `rtp` and `rtcp` are called with every packet that was decrypted, and must not raise.
    """

    def __init__(
        self,
        path: IcePath,
        rtp: Callable[[bytes], None],
        rtcp: Callable[[bytes], None],
        *,
        begins: bool = False,
    ) -> None:
        # A certificate for each session: it takes half a millisecond and never expires in use.
        way = _Knocking(path) if begins else path
        super().__init__(cast("RTCIceTransport", way), [RTCCertificate.generateCertificate()])
        self._set_role("client" if begins else "server")
        self._rtp, self._rtcp = rtp, rtcp

    @property
    def fingerprint(self) -> str:
        """Of the own certificate, as in `a=fingerprint:`."""
        prints = self.getLocalParameters().fingerprints
        return next(f"{one.algorithm} {one.value}" for one in prints if one.algorithm == "sha-256")

    async def shake_hands(self, fingerprints: Sequence[tuple[str, str]]) -> None:
        """The handshake with the peer. Raises ConnectionError where it fails."""
        theirs = [RTCDtlsFingerprint(algorithm, value) for algorithm, value in fingerprints]
        await self.start(RTCDtlsParameters(theirs))
        if self.state != "connected":
            raise ConnectionError("the DTLS handshake failed")

    async def send_rtcp(self, packet: bytes) -> None:
        """To the peer, if it is there."""
        with contextlib.suppress(ConnectionError):
            await self._send_rtp(packet)

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:  # noqa: ARG002 - the library's
        self._rtp(data)

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self._rtcp(data)


def _local(
    component: int, kind: str, address: Address, index: int, base: IceCandidate | None = None
) -> IceCandidate:
    """A candidate of ours; the first address of the list is the one we like best (RFC 8445 5.1.2.1)."""
    host, port = address
    return IceCandidate(
        foundation=candidate_foundation(kind, "udp", base.host if base else host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, kind, 65_535 - index),
        host=host,
        port=port,
        type=kind,
        related_address=base.host if base else None,
        related_port=base.port if base else None,
    )
