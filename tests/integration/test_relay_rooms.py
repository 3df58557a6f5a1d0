"""A host's requests at an ingest which does not own the room; what is answered while no bus is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.ingests import IngestServer, Owners, two_ingests
from tests.waiting import until

RATE = 48_000
Pair = tuple[IngestServer, IngestServer, Owners]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with two_ingests(tmp_path) as made:
        yield made


@asynccontextmanager
async def speaking(server: IngestServer, room: str = "room", name: str = "Ada") -> AsyncIterator[None]:
    """Somebody who goes on speaking."""
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield np.full(RATE // 2, 1000, "<i2").tobytes()
        await more.wait()

    said = asyncio.create_task(server.ask("PUT", f"/pcm/{room}?speaker={name}", data=body()))
    await until(lambda: name in server.present(room))
    try:
        yield
    finally:
        more.set()
        await said


async def test_a_live_room_is_told_of_as_its_owner_does(pair: Pair) -> None:
    here, owner, _ = pair
    async with speaking(owner):
        status, told = await here.ask("GET", "/rooms/room")
        assert (status, told["live"]["take"]) == (200, owner.bus().key.take)
        assert [each["name"] for each in told["live"]["speakers"]] == ["Ada"]
        async with here.http.get("/rooms/room") as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_host_s_hand_reaches_the_owner(pair: Pair) -> None:
    here, owner, _ = pair
    async with speaking(owner):
        assert (await here.ask("POST", "/rooms/room/chapters", json={"title": "Öffnung"}))[0] == 201
        await until(lambda: any(event.title == "Öffnung" for event in owner.bus().events_from(0)))
        assert await here.ask("POST", "/rooms/room/speakers/Ada/mute") == (
            200,
            {"room": "room", "name": "Ada", "muted": True},
        )
        assert (await here.ask("POST", "/rooms/room/speakers/Ada/unmute"))[0] == 200
        assert (await here.ask("DELETE", "/rooms/room"))[0] == 409
        assert (await here.ask("DELETE", "/rooms/room/speakers/Ada"))[0] == 204
        await until(lambda: not owner.present())
        bus = owner.bus()
        status, ended = await here.ask("POST", "/rooms/room/end")
        assert (status, ended["take"], ended["samples"]) == (200, bus.key.take, bus.ended)


async def test_what_the_owner_refuses_is_refused_in_its_words(pair: Pair) -> None:
    here, owner, _ = pair
    async with speaking(owner):
        status, answer = await here.ask("POST", "/rooms/room/chapters", json={"name": "x"})
        assert (status, "a chapter is" in answer["error"]) == (400, True)
        long = {"title": "x" * 20_000}
        assert (await here.ask("POST", "/rooms/room/chapters", json=long))[0] == 413
        assert (await here.ask("POST", "/rooms/room/chapters", data=bytes(100_000)))[0] == 413
    assert (await here.ask("POST", "/rooms/other/end"))[0] == 404


async def test_who_may_not_is_told_so_here(tmp_path: Path) -> None:
    async with two_ingests(tmp_path, "secret") as (here, owner, _):
        assert (await here.ask("POST", "/rooms/room/end"))[0] == 401
        wrong = {"Authorization": "Bearer guess"}
        assert (await here.ask("POST", "/rooms/room/end", headers=wrong))[0] == 403
        right = {"Authorization": "Bearer secret"}
        foreign = right | {"Origin": "https://evil.example"}
        assert (await here.ask("POST", "/rooms/room/end", headers=foreign))[0] == 403
        assert owner.seen == []
        own = right | {"Origin": here.url}
        assert (await here.ask("POST", "/rooms/room/end", headers=own))[0] == 404
        assert len(owner.seen) == 1


async def test_without_a_bus_what_lives_here_is_answered_here(pair: Pair) -> None:
    here, owner, owners = pair
    async with speaking(owner):
        owners.down = True
        assert (await owner.ask("POST", "/rooms/room/speakers/Ada/mute"))[0] == 200
        async with here.http.get("/rooms/room") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await here.ask("PUT", "/pcm/room", data=b"\0\0"))[0] == 503
        # Records are the storage's, which every ingest has.
        assert (await here.ask("PUT", "/rooms/new", json={"title": "New"}))[0] == 201


async def test_an_owner_that_is_gone_is_a_503(pair: Pair) -> None:
    here, _, owners = pair
    owners.urls["room"] = "http://127.0.0.1:9"
    status, answer = await here.ask("POST", "/rooms/room/end")
    assert (status, "gives no answer" in answer["error"]) == (503, True)


async def test_a_request_is_relayed_once(pair: Pair) -> None:
    here, owner, _ = pair
    owner.believe(Owners(room=here.url))
    status, answer = await here.ask("POST", "/rooms/room/end")
    assert (status, "changing its ingest" in answer["error"]) == (503, True)
    assert len(here.seen) == len(owner.seen) == 1
