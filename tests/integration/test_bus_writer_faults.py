"""A Redis that hangs, is full, forgets, or whose answers are lost: it gets all, once, and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import TypeVar

import pytest

from contracts.errors import BusUnavailable
from tests.bus_writing import eventually, joins, open_ingest, play, stream, written
from tests.redis_server import RedisServer
from workers.redis_bus import keys
from workers.redis_bus.entries import Gap
from workers.redis_bus.round_trip import Asked, RoundTrip, Told

pytestmark = pytest.mark.needs("redis-server")

T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


async def test_an_answer_that_is_lost_writes_nothing_twice(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        link, lost = ingest.links[0], 0
        call = link.call

        async def forgetful(kind: str, work: Awaitable[T]) -> T:
            nonlocal lost
            answer = await call(kind, work)
            if kind == "append" and lost < 5:
                lost += 1
                raise BusUnavailable("the answer is lost")
            return answer

        link.call = forgetful  # type: ignore[method-assign]
        bus = ingest.open()
        told = []
        for _ in range(20):
            told.append(joins(bus, 0))
            play(bus, 4800)
            await asyncio.sleep(0.01)
        bus.end(bus.top)
        await eventually(lambda: stream(server, bus.key).ended)
        found = stream(server, bus.key)
        assert lost == 5
        found.check()
        assert found.happened == told
        assert found.ended == [bus.top]
        with server.client() as client:
            assert client.llen(keys.events(bus.key)) == len(told)


async def test_a_redis_that_comes_back_empty_gets_all_that_is_held() -> None:
    with RedisServer() as lost:
        async with open_ingest(lost.url, sound_held=96_000) as ingest:
            bus = ingest.open()
            told = [joins(bus, 0)]
            play(bus, 144_000)
            await written(lost, bus)
            lost.restart()
            play(bus, 48_000)
            found = await written(lost, bus)
            assert found.spans[0].start == bus.first > 0
            found.check(bus.first)
            assert found.happened == told
            with lost.client() as client:
                await eventually(lambda: client.sismember(keys.TAKES, keys.member(bus.key)))
                assert client.hget(keys.take(bus.key), "header")
                assert client.get(keys.live(bus.key.room)) == bus.key.take.encode()


async def test_what_nobody_holds_any_more_is_declared() -> None:
    with RedisServer() as away:
        async with open_ingest(away.url, sound_held=48_000) as ingest:
            bus = ingest.open()
            play(bus, 48_000)
            top = (await written(away, bus)).top
            away.freeze()
            play(bus, 480_000)
            await eventually(lambda: not ingest.links[0].up)
            away.thaw()
            found = await written(away, bus)
            found.check()
            gaps = [span for span in found.spans if isinstance(span, Gap)]
            assert len(gaps) == 1
            assert gaps[0].start >= top
            assert gaps[0].stop >= 480_000


async def test_a_redis_that_is_full_is_left_as_it_was_and_filled_later() -> None:
    with RedisServer() as full:
        async with open_ingest(full.url) as ingest:
            bus = ingest.open()
            play(bus, 48_000)
            top = (await written(full, bus)).top
            full.command("CONFIG", "SET", "maxmemory", "1")
            told = []
            for _ in range(20):
                play(bus, 4800)
                told.append(joins(bus, 0))
                await asyncio.sleep(0.01)
            await eventually(lambda: not ingest.links[0].up)
            found = stream(full, bus.key)
            assert found.top >= top
            with full.client() as client:
                assert client.hget(keys.take(bus.key), "top") == str(found.top).encode()
                assert client.llen(keys.events(bus.key)) == len(found.happened)
            full.command("CONFIG", "SET", "maxmemory", "0")
            found = await written(full, bus)
            found.check()
            await eventually(lambda: stream(full, bus.key).happened == told)


async def test_a_redis_that_hangs_holds_no_other_up(server: RedisServer) -> None:
    with RedisServer() as frozen:
        async with open_ingest(frozen.url, server.url) as ingest:
            bus = ingest.open()
            play(bus, 9600)
            await written(frozen, bus)
            frozen.freeze()
            for _ in range(10):
                play(bus, 4800)
                (await written(server, bus)).check()
            frozen.thaw()
            (await written(frozen, bus)).check()


async def test_scripts_that_are_gone_are_loaded_again(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        bus = ingest.open()
        play(bus, 9600)
        await written(server, bus)
        server.command("SCRIPT", "FLUSH")
        play(bus, 9600)
        (await written(server, bus)).check()
        assert ingest.links[0].up


async def test_a_backlog_that_is_too_much_for_the_line_goes_in_smaller_pieces(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sizes = RoundTrip.send, list[int]()

    async def narrow(trip: RoundTrip) -> list[Told]:
        appends = (each.batch for each in trip._asked if isinstance(each, Asked))
        sizes.append(sum(batch.size for batch in appends if batch))
        if sizes[-1] > 600_000:
            raise BusUnavailable("not in time")
        return await send(trip)

    async with open_ingest(server.url) as ingest:
        ingest.owned.current = None
        takes = [ingest.open() for _ in range(20)]
        for bus in takes:
            play(bus, 96_000)
        monkeypatch.setattr(RoundTrip, "send", narrow)
        ingest.owned.current = 1
        for bus in takes:
            (await written(server, bus)).check()
        failed = sizes.index(max(sizes))
        assert sizes[failed] > 600_000
        assert sizes[failed + 1] == 0  # asked first what it has


async def test_who_stops_does_not_wait_for_a_redis_that_is_gone() -> None:
    with RedisServer() as gone:
        async with open_ingest(gone.url) as ingest:
            bus = ingest.open()
            play(bus, 9600)
            await written(gone, bus)
            gone.kill()
            play(bus, 9600)
            async with asyncio.timeout(20):
                await ingest.writers.stop(0.2)
