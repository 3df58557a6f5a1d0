"""Who listens, counted by real requests to a running origin."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from origin.service import OriginLimits
from tests.on_the_bus import Clock
from tests.origins import ROOM, RunningOrigin, running, settings
from tests.playlists import blocked, end, samples_to
from tests.waiting import until


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Two renditions; whole segments 0 to 2, and two parts of segment 3."""
    async with running(settings("64k", "32k"), limits=OriginLimits(block_seconds=5.0)) as origin:
        await origin.begin()
        await origin.feed((3, 2))
        yield origin


def gauge(room: RunningOrigin) -> float | None:
    return room.origin.metrics.registry.get_sample_value("longwave_listeners")


async def three_reload_ten_segments(
    room: RunningOrigin, session: aiohttp.ClientSession, clock: Clock
) -> None:
    """Once a segment each; all but the first ask for what is known."""
    for msn in range(3, 13):
        clock.now += 2.0
        for _ in range(3):
            async with session.get(f"{room.url}{room.line()}/index.m3u8") as answer:
                assert answer.status == 200
                await answer.read()
        await room.feed((msn, 0))


async def test_low_latency_listeners_of_all_renditions_are_counted_and_told(room: RunningOrigin) -> None:
    query = "?_HLS_msn=3&_HLS_part=2"
    asking = [await blocked(room, query) for _ in range(3)]
    other = asyncio.create_task(room.playlist(query, "32k"))
    await until(lambda: room.blocked == 4)
    assert room.origin.listeners(ROOM) == 4
    assert gauge(room) == 4
    await room.feed((3, 3))
    assert [answer.status for answer in await asyncio.gather(*asking, other)] == [200] * 4
    # On their way to their next request they still listen.
    assert room.origin.listeners(ROOM) == 4
    assert json.loads((await room.get("/rooms.json")).body)["rooms"][0]["listeners"] == 4


async def test_a_request_for_media_is_no_listener(room: RunningOrigin) -> None:
    hinted = asyncio.create_task(room.get("3.2.m4s"))
    await until(lambda: room.blocked == 1)
    assert room.origin.listeners(ROOM) == 0
    hinted.cancel()


async def test_who_hangs_up_while_waiting_listens_no_more(room: RunningOrigin) -> None:
    request = await blocked(room, "?_HLS_msn=3&_HLS_part=2")
    request.cancel()
    await until(lambda: room.blocked == 0)
    assert room.origin.listeners(ROOM) == 0


async def test_plain_players_are_counted_also_when_they_are_answered_from_memory() -> None:
    clock = Clock()
    # A connection that has put something is not answered from memory: players have one of their own.
    async with running(clock=clock) as room, aiohttp.ClientSession() as player:
        await room.begin()
        await room.feed((2, 0))
        await three_reload_ten_segments(room, player, clock)
        assert room.origin.listeners(ROOM) == 3


async def test_an_edge_is_no_listener_however_it_asks() -> None:
    clock = Clock()
    edge = {"CDN-Loop": "longwave-edge"}
    async with running(clock=clock) as room, aiohttp.ClientSession(headers=edge) as session:
        await room.begin()
        await room.feed((2, 0))
        await three_reload_ten_segments(room, session, clock)
        assert room.origin.listeners(ROOM) == 0
        asking = asyncio.create_task(room.get("index.m3u8?_HLS_msn=12&_HLS_part=0", CDN_Loop="longwave-edge"))
        await until(lambda: room.blocked == 1)
        assert room.origin.listeners(ROOM) == 0
        listening = await blocked(room, "?_HLS_msn=12&_HLS_part=0")
        assert room.origin.listeners(ROOM) == 1
        await room.feed((12, 1))
        assert [answer.status for answer in await asyncio.gather(asking, listening)] == [200, 200]
        assert room.origin.listeners(ROOM) == 1


async def test_nobody_listens_to_a_take_that_is_over_or_not_there(room: RunningOrigin) -> None:
    request = await blocked(room, "?_HLS_msn=3&_HLS_part=2")
    assert (await end(room, samples_to((3, 2)))).status == 201
    assert (await request).status == 200
    assert room.origin.listeners(ROOM) == 0
    assert room.origin.listeners("elsewhere") == 0
    assert gauge(room) == 0
