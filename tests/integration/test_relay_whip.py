"""WHIP at an ingest which does not own the room: sent to the owner, or relayed for who prefers that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.audio import beeps
from tests.ingests import IngestServer, Owners, two_ingests
from tests.opus import opus_packets
from tests.waiting import until
from tests.whip_client import WhipClient, offer_of_nobody

Pair = tuple[IngestServer, IngestServer, Owners]
SDP = {"Content-Type": "application/sdp"}
VOICE = opus_packets(beeps(0.6))
RELAY = {"Prefer": "respond-async, Relay"}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with two_ingests(tmp_path) as made:
        yield made


async def test_an_offer_is_sent_to_the_owner(pair: Pair) -> None:
    here, owner, _ = pair
    offer = await offer_of_nobody()
    path = "/whip/room?speaker=Ada%20%26%20Bo"
    async with here.http.post(path, data=offer, headers=SDP, allow_redirects=False) as answer:
        assert answer.status == 307
        assert answer.headers["Location"] == owner.url + path
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "no-store"
    assert owner.seen == []


async def test_a_client_that_follows_speaks_at_the_owner(pair: Pair) -> None:
    here, owner, _ = pair
    async with WhipClient(here.url, "room", "Ada") as client:
        await client.play(VOICE)
        await until(lambda: owner.present() == ["Ada"])
        assert not here.is_live()
        assert client.location.startswith("/whip/room/")
        # Relative to where the answer came from, or to where it was asked for: the session ends.
        async with aiohttp.ClientSession() as http, http.delete(owner.url + client.location) as answer:
            assert answer.status == 200
        await until(lambda: not owner.present())


async def test_who_prefers_it_is_relayed_with_all_that_follows(tmp_path: Path) -> None:
    async with two_ingests(tmp_path, "secret") as (here, owner, _):
        client = WhipClient(here.url, "room", "Ada", "secret", headers=RELAY)
        async with client:
            assert [request.method for request in owner.seen] == ["POST"]
            await client.play(VOICE)
            await until(lambda: owner.present() == ["Ada"])
            match = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": client.headers["ETag"]}
            trickled = await client.request("PATCH", client.location, client.fragment(), match)
            assert trickled.status == 204
            stale = await client.request(
                "PATCH", client.location, client.fragment(), match | {"If-Match": "x"}
            )
            assert stale.status == 412
            assert await client.delete() == 200
            await until(lambda: not owner.present())
            assert await client.delete() == 404
        assert client.headers["Access-Control-Expose-Headers"] == "Location, Link, ETag"


async def test_a_session_of_a_room_that_nobody_owns_is_unknown(pair: Pair) -> None:
    here, _, owners = pair
    assert (await here.ask("DELETE", "/whip/nobody/x"))[0] == 404
    owners.down = True
    assert (await here.ask("DELETE", "/whip/nobody/x"))[0] == 503


async def test_a_page_may_say_what_it_prefers(pair: Pair) -> None:
    here, _, _ = pair
    async with here.http.options("/whip/room") as answer:
        assert "Prefer" in answer.headers["Access-Control-Allow-Headers"]
