"""WHIP over real sockets: what a publisher gets, what of it is heard, and how its session ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
import numpy as np
import pytest

from contracts.access import Grant
from contracts.errors import BadRequest, OverCapacity
from contracts.tokens import Keys, TokenGate
from pipeline.voice.opus import BadOpus
from tests.audio import beeps, find_beeps
from tests.opus import opus_packets
from tests.whip_client import WhipClient, seeded_garbage, with_video, without_candidates
from tests.whip_room import WhipServer, whip_server
from workers.whip.settings import IceServer, WhipSettings

SDP: Final = {"Content-Type": "application/sdp"}
FRAGMENT: Final = {"Content-Type": "application/trickle-ice-sdpfrag"}
# libopus looks ahead by so much.
OPUS_DELAY = 312
VOICE = opus_packets(beeps(1.0))


@pytest.fixture
async def server() -> AsyncIterator[WhipServer]:
    async with whip_server(WhipSettings(media_timeout=1.5, handshake_timeout=3.0)) as server:
        yield server


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not {what}"
        await asyncio.sleep(0.01)


async def ended(server: WhipServer, outcome: str) -> None:
    await until(lambda: outcome in server.ends(), outcome)
    assert server.ends() == {outcome: 1}
    assert server.ingest.left == server.ingest.speakers


async def ask(
    server: WhipServer, method: str, path: str, body: str | bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, server.url + path, data=body, headers=headers) as response,
    ):
        return response.status, await response.text(), dict(response.headers)


async def good_offer() -> str:
    """An offer that nobody stands behind."""
    async with whip_server() as other, WhipClient(other.url, "room") as client:
        return client.offer


# ---------------------------------------------------------------- publishing


async def test_what_is_said_is_heard(server: WhipServer) -> None:
    said = beeps(2.0)
    async with WhipClient(server.url, "room", "Ann") as client:
        await client.play(opus_packets(said))
        await until(lambda: len(server.ingest.packets) == client.sent, "all packets")
        heard = find_beeps(server.ingest.heard()[:, 0])
    assert [beep.tone for beep in heard] == [beep.tone for beep in find_beeps(said)]
    assert [beep.sample for beep in heard] == pytest.approx([OPUS_DELAY, 48_000 + OPUS_DELAY], abs=48)
    assert server.ingest.speakers[0].name == "Ann"


async def test_the_answer_names_the_session(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        assert client.location.startswith("/whip/room/")
        assert len(client.location.rpartition("/")[2]) >= 32
        assert client.headers["ETag"].startswith('"')
        assert client.headers["Content-Type"] == "application/sdp"
        assert client.headers["Access-Control-Expose-Headers"] == "Location, Link, ETag"
        assert client.headers["Access-Control-Allow-Origin"] == "*"
        assert "Link" not in client.headers


async def test_an_encoder_with_pictures_is_heard(server: WhipServer) -> None:
    async with WhipClient(server.url, "room", edit=with_video) as client:
        assert "m=video 0 " in client.answer
        await client.play(VOICE[:5])
        await until(lambda: len(server.ingest.packets) == 5, "the voice")


async def test_ice_servers_are_told() -> None:
    servers = (IceServer("stun:stun.example.net"), IceServer("turn:t.example.net", "u", "c"))
    async with (
        whip_server(WhipSettings(ice_servers=servers)) as server,
        WhipClient(server.url, "room") as client,
    ):
        assert client.headers.getall("Link") == [one.link() for one in servers]


async def test_a_peer_that_hides_its_addresses_is_found_by_its_own_checks(server: WhipServer) -> None:
    def hide(offer: str) -> str:
        # As browsers do for pages that may not use the microphone yet: names that only multicast resolves.
        return offer.replace(" 127.0.0.1 ", " 0b1d2e3f-aaaa-bbbb-cccc-0123456789ab.local ")

    async with WhipClient(server.url, "room", edit=hide) as client:
        await client.play(VOICE[:5])
        await until(lambda: len(server.ingest.packets) == 5, "the voice")


async def test_reports_tell_the_sender_what_it_loses(server: WhipServer) -> None:
    async with WhipClient(
        server.url, "room", network=lambda number, data: [] if number % 4 == 1 else [data]
    ) as client:
        reports = client.reports()
        await client.play(VOICE * 3)
        await until(lambda: bool(reports), "a report")
    last = reports[-1]
    assert last.ssrc == client.ssrc
    assert last.fraction_lost == pytest.approx(64, abs=12)


async def test_a_stereo_room_asks_for_stereo(server: WhipServer) -> None:
    server.ingest.channels = 2
    async with WhipClient(server.url, "room") as client:
        assert "stereo=1" in client.answer


# ---------------------------------------------------------------- trickle


async def test_trickled_candidates_are_taken(server: WhipServer) -> None:
    async with WhipClient(server.url, "room", edit=without_candidates) as client:
        headers = {**FRAGMENT, "If-Match": client.headers["ETag"]}
        response = await client.request("PATCH", client.location, client.fragment(), headers)
        assert response.status == 204
        assert "ETag" not in response.headers


@pytest.mark.parametrize(
    ("if_match", "ufrag", "status"),
    [
        (None, None, 428),
        ('"other"', None, 412),
        ("*", None, 422),
        ("ETAG", "another", 422),
        ("ETAG", None, 204),
    ],
)
async def test_a_patch_says_which_ice_session_it_is_for(
    server: WhipServer, if_match: str | None, ufrag: str | None, status: int
) -> None:
    async with WhipClient(server.url, "room") as client:
        match = client.headers["ETag"] if if_match == "ETAG" else if_match
        headers = FRAGMENT if match is None else {**FRAGMENT, "If-Match": match}
        body = f"a=ice-ufrag:{ufrag}\r\n" if ufrag else client.fragment()
        response = await client.request("PATCH", client.location, body, headers)
        assert response.status == status
        # Whatever it said, the session goes on (RFC 9725 4.3.3).
        await client.play(VOICE[:5])
        await until(lambda: len(server.ingest.packets) == 5, "the voice")


async def test_trickling_without_end_is_refused(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        lines = [f"a=candidate:{n} 1 udp 1 10.0.0.{n} 9 typ host" for n in range(60)]
        headers = {**FRAGMENT, "If-Match": client.headers["ETag"]}
        statuses = [
            (await client.request("PATCH", client.location, "\r\n".join(lines), headers)).status
            for _ in range(2)
        ]
    assert statuses == [204, 422]


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("v=0\r\n", {"Content-Type": "application/json"}, 415),
        ("v=0\r\n", {**SDP, "Content-Encoding": "gzip"}, 415),
        ("v" * 65_537, SDP, 413),
        ("hello", SDP, 400),
        (b"v=0\r\ns=\xff\r\n", SDP, 400),
        ("v=0\r\ns=-\r\n", SDP, 422),
        ("v=0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 50, SDP, 422),
    ],
)
async def test_what_is_no_good_offer_is_refused_before_anything_is_made(
    server: WhipServer, body: str | bytes, headers: dict[str, str], status: int
) -> None:
    got, text, answer = await ask(server, "POST", "/whip/room", body, headers)
    assert got == status, text
    assert '"error"' in text
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert server.ingest.speakers == []


async def test_a_full_room_says_when_to_come_back(server: WhipServer) -> None:
    server.ingest.refuse = OverCapacity("full")
    status, _, headers = await ask(server, "POST", "/whip/room", await good_offer(), SDP)
    assert status == 503
    assert headers["Retry-After"] == "1"


async def test_a_room_is_a_room_id(server: WhipServer) -> None:
    assert (await ask(server, "POST", "/whip/no%20room", await good_offer(), SDP))[0] == 400


async def test_no_free_port_leaves_no_speaker_behind() -> None:
    async with whip_server() as taken, WhipClient(taken.url, "room") as client:
        port = int(client.answer.partition(" 127.0.0.1 ")[2].split()[0])
        async with whip_server(WhipSettings(udp_ports=(port, port))) as server:
            status, text, _ = await ask(server, "POST", "/whip/room", client.offer, SDP)
            assert status == 503, text
            assert server.ingest.left == server.ingest.speakers != []


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_the_endpoint_takes_offers_only(server: WhipServer, method: str) -> None:
    status, _, headers = await ask(server, method, "/whip/room")
    assert status == 405
    assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_an_unknown_session_is_not_found(server: WhipServer, method: str) -> None:
    assert (await ask(server, method, "/whip/room/never"))[0] == 404


async def test_a_session_is_found_in_its_own_room_only(server: WhipServer) -> None:
    async with WhipClient(server.url, "room") as client:
        assert (await ask(server, "DELETE", client.location.replace("room", "other")))[0] == 404


@pytest.mark.parametrize(
    ("path", "accepts"), [("/whip/room", "Accept-Post"), ("/whip/room/x", "Accept-Patch")]
)
async def test_pages_of_other_sites_may_ask_what_is_taken(
    server: WhipServer, path: str, accepts: str
) -> None:
    status, _, headers = await ask(server, "OPTIONS", path, headers={"Origin": "https://other.example"})
    assert status == 204
    assert headers[accepts].startswith("application/")
    assert "Authorization" in headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(("other_sites", "status"), [(False, 403), (True, 422)])
async def test_pages_of_other_sites_may_speak_where_a_token_is_needed(other_sites: bool, status: int) -> None:
    async with whip_server(WhipSettings(other_sites=other_sites)) as server:
        headers = {**SDP, "Origin": "https://other.example"}
        assert (await ask(server, "POST", "/whip/room", "v=0\r\n", headers))[0] == status


async def test_a_token_names_who_speaks() -> None:
    keys = Keys({"k": b"x" * 32})
    token = keys.sign(Grant("speaker", "room", "Ann"), 4_000_000_000)
    async with whip_server(gate=TokenGate(None, keys)) as server:
        assert (await ask(server, "POST", "/whip/room", "", SDP))[0] == 401
        async with WhipClient(server.url, "room", token=token) as client:
            assert server.ingest.speakers[0].name == "Ann"
            # The session is behind the token as its beginning was.
            assert (await ask(server, "DELETE", client.location))[0] == 401
            wrong = await client.request("POST", "/whip/room?speaker=Ben", client.offer, SDP)
            assert wrong.status == 403


# ---------------------------------------------------------------- ends


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
    status, _, _ = await ask(server, "POST", "/whip/room", await good_offer(), SDP)
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


# ---------------------------------------------------------------- garbage


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
