"""WHIP over real sockets: what a publisher gets, what of it is heard, and what may come later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.audio import beeps, find_beeps
from tests.opus import opus_packets
from tests.whip_client import WhipClient, with_video, without_candidates
from tests.whip_room import WhipServer, until, whip_server
from workers.whip.settings import IceServer, WhipSettings

FRAGMENT: Final = {"Content-Type": "application/trickle-ice-sdpfrag"}
# libopus looks ahead by so much.
OPUS_DELAY = 312
VOICE = opus_packets(beeps(1.0))


@pytest.fixture
async def server() -> AsyncIterator[WhipServer]:
    async with whip_server(WhipSettings(media_timeout=1.5, handshake_timeout=3.0)) as server:
        yield server


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
