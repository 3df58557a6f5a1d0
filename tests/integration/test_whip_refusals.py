"""WHIP requests that are refused: before anything is made, with the reason, readable from any site."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from contracts.access import Grant
from contracts.errors import OverCapacity
from contracts.tokens import Keys, TokenGate
from tests.whip_client import WhipClient, offer_of_nobody
from tests.whip_room import SDP, WhipServer, ask, whip_server
from workers.whip.settings import WhipSettings


@pytest.fixture
async def server() -> AsyncIterator[WhipServer]:
    async with whip_server(WhipSettings(media_timeout=1.5, handshake_timeout=3.0)) as server:
        yield server


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
    status, _, headers = await ask(server, "POST", "/whip/room", await offer_of_nobody(), SDP)
    assert status == 503
    assert headers["Retry-After"] == "1"


async def test_a_room_is_a_room_id(server: WhipServer) -> None:
    assert (await ask(server, "POST", "/whip/no%20room", await offer_of_nobody(), SDP))[0] == 400


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
