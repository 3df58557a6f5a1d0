"""What an ingest writes to a real Redis: in order, once, and again where Redis has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

import pytest

from contracts.errors import BusUnavailable
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeKey
from tests.bus_writing import Owned, Stream, blocks, eventually, new_key, new_metrics, stream
from tests.redis_server import RedisServer
from workers.memory_bus import MemoryHub, MemoryTakeBus
from workers.redis_bus import keys
from workers.redis_bus.entries import Gap
from workers.redis_bus.links import BusLinks, open_links
from workers.redis_bus.round_trip import RoundTrip, Told
from workers.redis_bus.writers import BusWriters

pytestmark = pytest.mark.needs("redis-server")

T = TypeVar("T")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@dataclass
class _Ingest:
    """An ingest with takes; each sample says where it belongs."""

    links: BusLinks
    hub: MemoryHub
    writers: BusWriters
    owned: Owned
    metrics: Metrics
    heard: list[str] = field(default_factory=list)

    def open(self, key: TakeKey | None = None, first: int = 0) -> MemoryTakeBus:
        return self.hub.open(key or new_key(), self.owned.header, first)

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"bus": self.links[0].name, **labels}) or 0.0


@asynccontextmanager
async def _ingest(*urls: str, generation: int = 1, sound_held: int = 60 * 48_000) -> AsyncIterator[_Ingest]:
    metrics, hub, owned = new_metrics(), MemoryHub(sound_held=sound_held), Owned(generation)
    links = open_links(urls, metrics)
    writers = BusWriters(links, hub, owned, metrics)
    writers.start()
    try:
        yield _Ingest(links, hub, writers, owned, metrics)
    finally:
        await writers.stop(0)
        await links.close()


def _play(bus: MemoryTakeBus, samples: int) -> None:
    for at, sound in blocks(bus.top, bus.top + samples):
        bus.append(at, sound)


async def _written(server: RedisServer, bus: MemoryTakeBus) -> Stream:
    """Everything, once Redis has it but for the last tenth of a second."""
    await eventually(lambda: stream(server, bus.key).top > bus.top - 4800)
    return stream(server, bus.key)


def _joins(bus: MemoryTakeBus, n: int) -> str:
    event = TakeEvent(bus.top, n, "join", speakers=("a",))
    bus.append_event(event)
    return event.id


async def test_a_take_is_on_redis_as_it_was_mixed(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
        bus = ingest.open()
        told = [_joins(bus, 0)]
        for _ in range(8):
            _play(bus, 2400)
            told.append(_joins(bus, 0))
            bus.append_silence(bus.top, 960)
            await asyncio.sleep(0.01)
        bus.end(bus.top)
        await eventually(lambda: stream(server, bus.key).ended)
        found = stream(server, bus.key)
        found.check()
        assert found.top == bus.top
        assert found.happened == told
        assert found.ended == [bus.top]
        with server.client() as client:
            assert client.llen(keys.events(bus.key)) == len(told)
            assert client.hget(keys.take(bus.key), "top") == str(bus.top).encode()


async def test_others_find_a_take_as_long_as_it_lives(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
        bus = ingest.open()
        _play(bus, 9600)
        _joins(bus, 0)
        with server.client() as client:
            live, member = keys.live(bus.key.room), keys.member(bus.key)
            await eventually(lambda: client.llen(keys.events(bus.key)))
            await eventually(lambda: client.sismember(keys.TAKES, member))
            assert client.get(live) == bus.key.take.encode()
            assert [fields for _, fields in client.xrange(keys.CHANGES)][-1] == {b"take": member}
            for name in (keys.take(bus.key), keys.pcm(bus.key), keys.events(bus.key), live):
                assert 0 < client.ttl(name) <= keys.EXPIRES_SECONDS
            bus.end(bus.top)
            await eventually(lambda: client.get(live) is None)
            assert client.sismember(keys.TAKES, member)


async def test_keys_stay_as_long_as_their_take(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
        bus = ingest.open()
        _play(bus, 9600)
        await _written(server, bus)
        with server.client() as client:
            client.expire(keys.pcm(bus.key), 100)
            client.expire(keys.take(bus.key), 100)
            await eventually(lambda: client.ttl(keys.pcm(bus.key)) > 500)
            assert client.ttl(keys.take(bus.key)) > 500


async def test_an_answer_that_is_lost_writes_nothing_twice(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
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
            told.append(_joins(bus, 0))
            _play(bus, 4800)
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


async def test_an_owner_that_was_replaced_writes_nothing_more(server: RedisServer) -> None:
    key = new_key()
    async with _ingest(server.url) as old, _ingest(server.url, generation=2) as new:
        stale = old.open(key)
        _play(stale, 48_000)
        top = (await _written(server, stale)).top
        bus = new.open(key, top)
        bus.append_silence(top, 9600)
        _play(bus, 9600)
        await _written(server, bus)
        _play(stale, 96_000)
        _joins(stale, 0)
        await eventually(lambda: old.owned.told)
        _play(bus, 9600)
        found = await _written(server, bus)
        found.check()
        assert found.happened == []
        assert old.owned.told[0] == (key.room, 2)
        assert not new.owned.told
        assert old.counted("longwave_bus_refused_total", reason="generation") >= 1


async def test_an_owner_that_was_replaced_does_not_say_that_its_take_is_delivered(
    server: RedisServer,
) -> None:
    async with _ingest(server.url) as old:
        stale, other = old.open(), old.open()
        _play(stale, 9600)
        await _written(server, stale)
        server.command("HSET", keys.take(stale.key), "gen", 2)
        await eventually(lambda: old.owned.told)
        stale.end(stale.top)
        old.hub.close(stale.key)
        _play(other, 96_000)
        await _written(server, other)
        assert not server.command("HEXISTS", keys.take(stale.key), "delivered")
        assert server.command("SISMEMBER", keys.TAKES, keys.member(stale.key))


async def test_a_take_that_is_refused_holds_no_other_up(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
        refused, fine = ingest.open(), ingest.open()
        server.command("SET", keys.pcm(refused.key), "not a stream")
        for _ in range(10):
            _play(refused, 9600)
            _play(fine, 9600)
            await asyncio.sleep(0.01)
        (await _written(server, fine)).check()
        assert ingest.links[0].up
        server.command("DEL", keys.pcm(refused.key))
        (await _written(server, refused)).check()


async def test_a_redis_that_comes_back_empty_gets_all_that_is_held() -> None:
    with RedisServer() as lost:
        async with _ingest(lost.url, sound_held=96_000) as ingest:
            bus = ingest.open()
            told = [_joins(bus, 0)]
            _play(bus, 144_000)
            await _written(lost, bus)
            lost.restart()
            _play(bus, 48_000)
            found = await _written(lost, bus)
            assert found.spans[0].start == bus.first > 0
            found.check(bus.first)
            assert found.happened == told
            with lost.client() as client:
                await eventually(lambda: client.sismember(keys.TAKES, keys.member(bus.key)))
                assert client.hget(keys.take(bus.key), "header")
                assert client.get(keys.live(bus.key.room)) == bus.key.take.encode()


async def test_what_nobody_holds_any_more_is_declared() -> None:
    with RedisServer() as away:
        async with _ingest(away.url, sound_held=48_000) as ingest:
            bus = ingest.open()
            _play(bus, 48_000)
            top = (await _written(away, bus)).top
            away.freeze()
            _play(bus, 480_000)
            await eventually(lambda: not ingest.links[0].up)
            away.thaw()
            found = await _written(away, bus)
            found.check()
            gaps = [span for span in found.spans if isinstance(span, Gap)]
            assert len(gaps) == 1
            assert gaps[0].start >= top
            assert gaps[0].stop >= 480_000


async def test_a_redis_that_is_full_is_left_as_it_was_and_filled_later() -> None:
    with RedisServer() as full:
        async with _ingest(full.url) as ingest:
            bus = ingest.open()
            _play(bus, 48_000)
            top = (await _written(full, bus)).top
            full.command("CONFIG", "SET", "maxmemory", "1")
            told = []
            for _ in range(20):
                _play(bus, 4800)
                told.append(_joins(bus, 0))
                await asyncio.sleep(0.01)
            await eventually(lambda: not ingest.links[0].up)
            found = stream(full, bus.key)
            assert found.top >= top
            with full.client() as client:
                assert client.hget(keys.take(bus.key), "top") == str(found.top).encode()
                assert client.llen(keys.events(bus.key)) == len(found.happened)
            full.command("CONFIG", "SET", "maxmemory", "0")
            found = await _written(full, bus)
            found.check()
            await eventually(lambda: stream(full, bus.key).happened == told)


async def test_a_redis_that_hangs_holds_no_other_up(server: RedisServer) -> None:
    with RedisServer() as frozen:
        async with _ingest(frozen.url, server.url) as ingest:
            bus = ingest.open()
            _play(bus, 9600)
            await _written(frozen, bus)
            frozen.freeze()
            for _ in range(10):
                _play(bus, 4800)
                (await _written(server, bus)).check()
            frozen.thaw()
            (await _written(frozen, bus)).check()


async def test_scripts_that_are_gone_are_loaded_again(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
        bus = ingest.open()
        _play(bus, 9600)
        await _written(server, bus)
        server.command("SCRIPT", "FLUSH")
        _play(bus, 9600)
        (await _written(server, bus)).check()
        assert ingest.links[0].up


async def test_a_hundred_rooms_share_their_round_trips(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
        takes = [ingest.open() for _ in range(100)]
        for number, bus in enumerate(takes):
            bus.append_silence(0, number * 960)
        await eventually(lambda: ingest.counted("longwave_bus_round_trips_total", kind="append"))
        trips, began = ingest.counted("longwave_bus_round_trips_total", kind="append"), monotonic()
        for _ in range(200):
            for bus in takes:
                _play(bus, 240)
            await asyncio.sleep(0.002)
        for bus in takes:
            await _written(server, bus)
        appends = sum(len(stream(server, bus.key).spans) for bus in takes)
        trips = ingest.counted("longwave_bus_round_trips_total", kind="append") - trips
        assert appends > 900
        assert trips <= 100 * (monotonic() - began) + 2  # one in 10 ms at most
        assert trips < appends / 5


async def test_a_backlog_that_is_too_much_for_the_line_goes_in_smaller_pieces(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, sizes = RoundTrip.send, list[int]()

    async def narrow(trip: RoundTrip) -> list[Told]:
        sizes.append(sum(asked.batch.size for asked in trip._asked if asked and asked.batch))
        if sizes[-1] > 600_000:
            raise BusUnavailable("not in time")
        return await send(trip)

    async with _ingest(server.url) as ingest:
        ingest.owned.current = None
        takes = [ingest.open() for _ in range(20)]
        for bus in takes:
            _play(bus, 96_000)
        monkeypatch.setattr(RoundTrip, "send", narrow)
        ingest.owned.current = 1
        for bus in takes:
            (await _written(server, bus)).check()
        failed = sizes.index(max(sizes))
        assert sizes[failed] > 600_000
        assert sizes[failed + 1] == 0  # asked first what it has


async def test_a_take_is_closed_when_every_redis_knows_that_it_is_delivered(server: RedisServer) -> None:
    with RedisServer() as other:
        async with _ingest(server.url, other.url) as ingest:
            bus = ingest.open()
            _play(bus, 9600)
            bus.end(bus.top)
            await eventually(lambda: stream(server, bus.key).ended and stream(other, bus.key).ended)
            server.command("HSET", keys.take(bus.key), "delivered", 1)
            server.command("SREM", keys.TAKES, keys.member(bus.key))
            await eventually(lambda: ingest.writers._writers[0].delivered(bus.key))
            await asyncio.sleep(1.1)  # it has been looked at
            assert ingest.hub.live()
            other.freeze()
            await eventually(lambda: not ingest.hub.live())
            await eventually(lambda: not server.command("SISMEMBER", keys.TAKES, keys.member(bus.key)))
            other.thaw()
            # One that was away is told, or it would offer the take again.
            await eventually(lambda: not other.command("SISMEMBER", keys.TAKES, keys.member(bus.key)))
            assert other.command("HGET", keys.take(bus.key), "delivered") == b"1"


async def test_who_stops_writes_the_rest_first(server: RedisServer) -> None:
    async with _ingest(server.url) as ingest:
        bus = ingest.open()
        _play(bus, 9600)
        await _written(server, bus)
        _play(bus, 960)
        await ingest.writers.stop(30)
        found = stream(server, bus.key)
        found.check()
        assert found.top == bus.top


async def test_who_stops_does_not_wait_for_a_redis_that_is_gone() -> None:
    with RedisServer() as gone:
        async with _ingest(gone.url) as ingest:
            bus = ingest.open()
            _play(bus, 9600)
            await _written(gone, bus)
            gone.kill()
            _play(bus, 9600)
            async with asyncio.timeout(20):
                await ingest.writers.stop(0.2)
