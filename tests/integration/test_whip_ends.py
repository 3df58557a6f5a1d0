"""How WHIP sessions end, whose end it is, and what does not end them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest

from contracts.errors import BadRequest
from pipeline.voice.opus import BadOpus
from tests.audio import beeps
from tests.opus import opus_packets
from tests.whip_client import WhipClient, offer_of_nobody, seeded_garbage
from tests.whip_room import SDP, WhipServer, ask, ended, until, whip_server
from workers.whip.settings import WhipSettings

VOICE = opus_packets(beeps(1.0))


@pytest.fixture
async def server() -> AsyncIterator[WhipServer]:
    async with whip_server(WhipSettings(media_timeout=1.5, handshake_timeout=3.0)) as server:
        yield server


async def test_delete_ends_the_session(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        assert await client.delete() == 200
        await client.ended()
        await ended(server, "left")
        assert await client.delete() == 404


async def test_a_peer_that_closes_has_left(server: WhipServer) -> None:
    async with WhipClient(server.url, "room"):
        pass
    await ended(server, "left")


async def test_a_peer_that_vanishes_is_noticed(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        await client.play(VOICE[:5])
        client.vanish()
        await ended(server, "vanished")


async def test_a_silent_peer_that_answers_is_not_gone() -> None:
    async with (
        whip_server(WhipSettings(media_timeout=3.0)) as server,
        WhipClient(server.url, "room") as client,
    ):
        client.hush()
        await asyncio.sleep(5.0)
        assert server.ends() == {}
        assert server.ingest.alive_calls >= 2
        await client.play(VOICE[:5])
        await until(lambda: len(server.ingest.packets) == 5, "the voice")


async def test_a_peer_that_never_comes_is_given_up(server: WhipServer) -> None:
    status, _, _ = await ask(server, "POST", "/whip/room", await offer_of_nobody(), SDP)
    assert status == 201
    await ended(server, "handshake")


async def test_a_certificate_that_was_not_announced_gets_no_further(server: WhipServer) -> None:
    def forge(offer: str) -> str:
        lines = offer.splitlines(keepends=True)
        wrong = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32) + "\r\n"
        kept = [line for line in lines if not line.startswith("a=fingerprint")]
        return "".join(kept) + wrong

    client = WhipClient(server.url, "room", edit=forge)
    try:
        await client.publish()
        await ended(server, "handshake")
    finally:
        await client.close()


async def test_the_room_may_end_it(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        server.ingest.speakers[0].close(BadRequest("removed by the host"))
        await client.ended()
        await ended(server, "closed")


async def test_the_server_ends_all_of_them() -> None:
    async with whip_server() as server, WhipClient(server.url, "room") as client:
        await server.stop()
        await client.ended()
        assert server.ends() == {"closed": 1}
        assert server.ingest.left == server.ingest.speakers


@pytest.mark.parametrize(
    ("error", "outcome"), [(BadOpus("no voice"), "garbage"), (RuntimeError("a bug"), "failed")]
)
async def test_a_voice_that_cannot_be_heard_ends_its_session(
    server: WhipServer, error: Exception, outcome: str
) -> None:
    async with WhipClient(server.url, "room") as client, WhipClient(server.url, "room") as other:
        server.ingest.hear_raises = error
        await client.send(VOICE[0])
        await until(lambda: outcome in server.ends(), outcome)
        server.ingest.hear_raises = None
        await other.play(VOICE[:5])
        await until(lambda: len(server.ingest.packets) == 5, "the other voice")


async def test_a_flood_ends_the_session_of_who_sends_it(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        while not server.ends() and client.sent < 100_000:
            with contextlib.suppress(ConnectionError):
                await client.send(VOICE[0])
            # A selector's loop reads one datagram a turn.
            await asyncio.sleep(0)
        await ended(server, "garbage")


async def test_one_source_after_another_is_no_voice(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        for ssrc in range(70):
            client.ssrc = ssrc
            with contextlib.suppress(ConnectionError):
                await client.send(VOICE[0])
            await asyncio.sleep(0)
        await ended(server, "garbage")


async def test_garbage_on_the_wire_does_not_end_a_session(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        for n in range(200):
            data = seeded_garbage(n, seed=n)
            # STUN, DTLS, RTP, RTCP by their first bytes, and nothing at all.
            for first in (b"", b"\x00\x01", b"\x16\xfe\xfd", b"\x80\x60", b"\x80\xc8", b"\xff"):
                await client.throw(first + data)
            await asyncio.sleep(0)
        await client.play(VOICE[:10])
        await until(lambda: len(server.ingest.packets) >= 10, "the voice after it")
        assert server.ends() == {}


async def test_garbage_under_srtp_does_not_end_a_session(server: WhipServer) -> None:
    def wreck(number: int, data: bytes) -> list[bytes]:
        whole = np.frombuffer(data, np.uint8)
        cut = bytes(whole[: number % 20 + 12])
        extended = bytes([data[0] | 0x30]) + data[1:12] + seeded_garbage(number % 9, seed=number)
        receiver_report = b"\x9f\xc9\x00\x07" + seeded_garbage(28, seed=number)
        feedback = b"\x8f\xce\x00\x05" + bytes(8) + b"REMB\xff" + bytes(7)
        return [data, cut, extended, receiver_report, feedback]

    async with WhipClient(server.url, "room", network=wreck) as client:
        await client.play(VOICE)
        await until(lambda: len(server.ingest.packets) >= client.sent, "the voice among it")
        assert server.ends() == {}
