"""A publisher by WHIP: aiortc's own peer connection, with every RTP packet in the test's hand.

What is sent are payloads made beforehand (`tests.opus.opus_packets`), so that a test says which are lost,
late, garbage or never made: ``async with WhipClient(url, "room") as client: await client.play(payloads)``.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, cast
from unittest.mock import patch

import aiohttp
import numpy as np
import pylibsrtp
from aioice import Connection
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.rtp import RtcpPacket, RtcpReceiverInfo, RtcpRrPacket, RtcpSdesPacket, RtpPacket, is_rtcp

OPUS = 96
CONNECT_SECONDS = 20.0
_FRAME = 960


class _NoTrack(MediaStreamTrack):
    """A track that a sender asks for frames in vain: the test sends the packets itself."""

    kind = "audio"

    async def recv(self) -> Any:  # noqa: ANN401 - never returns
        await asyncio.get_running_loop().create_future()


class WhipClient:
    """`url` is the server's; entering it publishes and waits until the connection stands.

    `edit` may change the offer. `sequence`, `timestamp` and `ssrc` are those of the next packet, to be
    changed at will. `network` is asked for every packet (its number from 0, its bytes) what goes out.
    """

    def __init__(
        self,
        url: str,
        room: str,
        speaker: str | None = None,
        token: str | None = None,
        *,
        edit: Callable[[str], str] = lambda offer: offer,
        network: Callable[[int, bytes], Iterable[bytes]] = lambda _number, data: [data],
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        query = {} if speaker is None else {"speaker": speaker}
        self.path = path or f"/whip/{room}"
        self._url, self._query = url, query
        self._headers = dict(headers or {})
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._edit, self._network = edit, network
        self.ssrc = secrets.randbits(32)
        self.sequence = secrets.randbits(16)
        self.timestamp = secrets.randbits(32)
        self.sent = 0
        self.status = 0
        self.offer = self.answer = ""
        self.headers: Any = {}
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._http = aiohttp.ClientSession()

    async def __aenter__(self) -> Self:
        try:
            await self.publish()
            await self.connected()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def location(self) -> str:
        return str(self.headers["Location"])

    @property
    def dtls(self) -> RTCDtlsTransport:
        transport = self.peer.getSenders()[0].transport
        assert transport is not None
        return transport

    async def publish(self) -> None:
        """POST the offer and take the answer."""
        await self.make_offer()
        response = await self.request("POST", self.path, self.offer, {"Content-Type": "application/sdp"})
        assert response.status == 201, f"{response.status}: {self.answer}"
        await self.peer.setRemoteDescription(RTCSessionDescription(audio_only(self.answer), "answer"))

    async def make_offer(self) -> None:
        """What `publish` begins with."""
        self.peer.addTransceiver(_NoTrack(), direction="sendonly")
        # A machine without a network has loopback, which aioice leaves out.
        with patch("aioice.ice.get_host_addresses", return_value=["127.0.0.1"]):
            await self.peer.setLocalDescription(await self.peer.createOffer())
        self.offer = self._edit(self.peer.localDescription.sdp)

    async def connected(self) -> None:
        """Wait until the connection stands."""
        async with asyncio.timeout(CONNECT_SECONDS):
            while self.peer.connectionState != "connected":
                assert self.peer.connectionState in {"new", "connecting"}, self.peer.connectionState
                await asyncio.sleep(0.01)

    async def ended(self) -> None:
        """Wait until the server has ended it."""
        async with asyncio.timeout(CONNECT_SECONDS):
            while self.dtls.state not in {"closed", "failed"}:  # noqa: ASYNC110 - a library's state
                await asyncio.sleep(0.01)

    async def request(
        self, method: str, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        """Any request with the client's token; of a POST the answer is kept."""
        query = self._query if method == "POST" else {}
        all_headers = {**self._headers, **(headers or {})}
        async with self._http.request(
            method, self._url + path, data=body, params=query, headers=all_headers
        ) as response:
            text = await response.text()
        if method == "POST":
            self.status, self.answer, self.headers = response.status, text, response.headers
        return response

    async def play(self, payloads: Sequence[bytes], *, samples: int = _FRAME) -> None:
        """Send each payload when it is due, as a browser does; DTX's silence (up to 2 bytes) is not sent."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number, payload in enumerate(payloads):
            await asyncio.sleep(begin + number * samples / 48_000 - loop.time())
            if len(payload) > 2:
                await self.send(payload)
            self.timestamp = (self.timestamp + samples) % 2**32

    async def send(self, payload: bytes) -> None:
        """One packet, now."""
        packet = RtpPacket(OPUS, 0, self.sequence, self.timestamp, self.ssrc, payload)
        self.sequence = (self.sequence + 1) % 2**16
        for data in self._network(self.sent, packet.serialize()):
            # libsrtp sends no packet that is too broken to find where its payload begins.
            with contextlib.suppress(pylibsrtp.Error):
                await self.dtls._send_rtp(data)
        self.sent += 1

    async def throw(self, datagram: bytes) -> None:
        """A datagram past SRTP, from the socket of the connection."""
        await self.dtls.transport._send(datagram)

    def reports(self) -> list[RtcpReceiverInfo]:
        """What the server reports of the packets it gets, growing from now on."""
        found: list[RtcpReceiverInfo] = []

        async def read(data: bytes) -> None:
            packets = RtcpPacket.parse(data)
            assert [type(packet) for packet in packets] == [RtcpRrPacket, RtcpSdesPacket]
            found.extend(
                report for packet in packets if isinstance(packet, RtcpRrPacket) for report in packet.reports
            )

        self.dtls._handle_rtcp_data = read  # type: ignore[method-assign]
        return found

    def fragment(self) -> str:
        """The body of a PATCH with all of its candidates."""
        wanted = ("a=ice-ufrag:", "a=ice-pwd:", "m=", "a=mid:", "a=candidate:", "a=end-of-candidates")
        lines = self.peer.localDescription.sdp.splitlines(keepends=True)
        return "".join(line for line in lines if line.startswith(wanted))

    def hush(self) -> None:
        """Say nothing unasked: no reports, no checks of consent. Checks of the server's are answered."""
        send = self.dtls._send_rtp

        async def rtp_only(data: bytes) -> None:
            if not is_rtcp(data):
                await send(data)

        self.dtls._send_rtp = rtp_only  # type: ignore[method-assign]
        consent = self.dtls.transport._connection._query_consent_task
        assert consent is not None
        consent.cancel()

    async def delete(self) -> int:
        return (await self.request("DELETE", self.location)).status

    def vanish(self) -> None:
        """As with `kill -9` or a pulled cable: nothing more goes out or comes in."""
        for protocol in self.dtls.transport._connection._protocols:
            protocol.transport = cast("asyncio.DatagramTransport", _Hole(protocol.transport))
            protocol.receiver = cast("Connection", _Deaf())

    async def close(self) -> None:
        await self.peer.close()
        await self._http.close()


class _Hole:
    """A socket that swallows what is sent."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def sendto(self, *_: object) -> None:
        pass

    def close(self) -> None:
        self._transport.close()


class _Deaf:
    """Whoever was to receive, and does not."""

    def data_received(self, *_: object) -> None:
        pass

    def request_received(self, *_: object) -> None:
        pass

    def protocol_lost(self, *_: object) -> None:
        pass


async def offer_of_nobody() -> str:
    """A good offer, behind which nobody will connect."""
    client = WhipClient("", "room")
    try:
        await client.make_offer()
        return client.offer
    finally:
        await client.close()


def without_candidates(offer: str) -> str:
    """The offer of somebody who trickles."""
    dropped = ("a=candidate:", "a=end-of-candidates")
    return "".join(line for line in offer.splitlines(keepends=True) if not line.startswith(dropped))


def with_video(offer: str) -> str:
    """The offer of an encoder that sends pictures too, in one bundle."""
    video = "m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\na=mid:1\r\na=rtcp-mux\r\n"
    return offer.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1") + video + "a=rtpmap:97 VP8/90000\r\n"


def audio_only(answer: str) -> str:
    """What aiortc understands of an answer: to a rejected m-line of video it objects."""
    return answer.partition("m=video")[0]


def seeded_garbage(n: int, seed: int) -> bytes:
    return np.random.default_rng(seed).bytes(n)
