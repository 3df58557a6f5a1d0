"""What an ingest writes to a real Redis: in order, in few round trips, and only as long as it owns it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic

import pytest

from tests.bus_writing import eventually, joins, new_key, open_ingest, play, stream, written
from tests.redis_server import RedisServer
from workers.redis_bus import keys

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


async def test_a_take_is_on_redis_as_it_was_mixed(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        bus = ingest.open()
        told = [joins(bus, 0)]
        for _ in range(8):
            play(bus, 2400)
            told.append(joins(bus, 0))
            bus.append_silence(bus.top, 960)
            await asyncio.sleep(0.01)
        bus.end(bus.top)
        assert ingest.owned.over == set()
        await eventually(lambda: stream(server, bus.key).ended)
        await eventually(lambda: ingest.owned.over == {bus.key})
        found = stream(server, bus.key)
        found.check()
        assert found.top == bus.top
        assert found.happened == told
        assert found.ended == [bus.top]
        with server.client() as client:
            assert client.llen(keys.events(bus.key)) == len(told)
            assert client.hget(keys.take(bus.key), "top") == str(bus.top).encode()


async def test_others_find_a_take_as_long_as_it_lives(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        bus = ingest.open()
        play(bus, 9600)
        joins(bus, 0)
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
    async with open_ingest(server.url) as ingest:
        bus = ingest.open()
        play(bus, 9600)
        await written(server, bus)
        with server.client() as client:
            client.expire(keys.pcm(bus.key), 100)
            client.expire(keys.take(bus.key), 100)
            await eventually(lambda: client.ttl(keys.pcm(bus.key)) > 500)
            assert client.ttl(keys.take(bus.key)) > 500


async def test_an_owner_that_was_replaced_writes_nothing_more(server: RedisServer) -> None:
    key = new_key()
    async with open_ingest(server.url) as old, open_ingest(server.url, generation=2) as new:
        stale = old.open(key)
        play(stale, 48_000)
        top = (await written(server, stale)).top
        bus = new.open(key, top)
        bus.append_silence(top, 9600)
        play(bus, 9600)
        await written(server, bus)
        play(stale, 96_000)
        joins(stale, 0)
        await eventually(lambda: old.owned.told)
        play(bus, 9600)
        found = await written(server, bus)
        found.check()
        assert found.happened == []
        assert old.owned.told[0] == (key.room, 2)
        assert not new.owned.told
        assert old.counted("longwave_bus_refused_total", reason="generation") >= 1


async def test_an_owner_that_was_replaced_does_not_say_that_its_take_is_delivered(
    server: RedisServer,
) -> None:
    async with open_ingest(server.url) as old:
        stale, other = old.open(), old.open()
        play(stale, 9600)
        await written(server, stale)
        server.command("HSET", keys.take(stale.key), "gen", 2)
        await eventually(lambda: old.owned.told)
        stale.end(stale.top)
        old.hub.close(stale.key)
        play(other, 96_000)
        await written(server, other)
        assert not server.command("HEXISTS", keys.take(stale.key), "delivered")
        assert server.command("SISMEMBER", keys.TAKES, keys.member(stale.key))


async def test_a_take_that_is_refused_holds_no_other_up(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        refused, fine = ingest.open(), ingest.open()
        server.command("SET", keys.pcm(refused.key), "not a stream")
        for _ in range(10):
            play(refused, 9600)
            play(fine, 9600)
            await asyncio.sleep(0.01)
        (await written(server, fine)).check()
        assert ingest.links[0].up
        server.command("DEL", keys.pcm(refused.key))
        (await written(server, refused)).check()


async def test_a_hundred_rooms_share_their_round_trips(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        takes = [ingest.open() for _ in range(100)]
        for number, bus in enumerate(takes):
            bus.append_silence(0, number * 960)
        await eventually(lambda: ingest.counted("longwave_bus_round_trips_total", kind="append"))
        trips, began = ingest.counted("longwave_bus_round_trips_total", kind="append"), monotonic()
        for _ in range(200):
            for bus in takes:
                play(bus, 240)
            await asyncio.sleep(0.002)
        for bus in takes:
            await written(server, bus)
        appends = sum(len(stream(server, bus.key).spans) for bus in takes)
        trips = ingest.counted("longwave_bus_round_trips_total", kind="append") - trips
        assert appends > 900
        assert trips <= 100 * (monotonic() - began) + 2  # one in 10 ms at most
        assert trips < appends / 5


@pytest.mark.parametrize("generation", [None, 2], ids=["lost", "claimed again"])
async def test_an_end_in_a_room_that_was_lost_is_no_delivery(
    server: RedisServer, generation: int | None
) -> None:
    async with open_ingest(server.url) as ingest:
        bus, other = ingest.open(), ingest.open()
        play(bus, 9600)
        await written(server, bus)
        member = keys.member(bus.key)
        await eventually(lambda: server.command("SISMEMBER", keys.TAKES, member))
        # It learns so when it says that it is there, and not from a write that is refused.
        ingest.owned.current = generation
        bus.end(bus.top)
        ingest.hub.close(bus.key)
        ingest.owned.current = 2
        play(other, 9600)
        await written(server, other)
        assert not server.command("HEXISTS", keys.take(bus.key), "delivered")
        assert server.command("SISMEMBER", keys.TAKES, member)


async def test_a_take_is_closed_when_every_redis_knows_that_it_is_delivered(server: RedisServer) -> None:
    with RedisServer() as other:
        async with open_ingest(server.url, other.url) as ingest:
            bus = ingest.open()
            play(bus, 9600)
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
    async with open_ingest(server.url) as ingest:
        bus = ingest.open()
        play(bus, 9600)
        await written(server, bus)
        play(bus, 960)
        await ingest.writers.stop(30)
        found = stream(server, bus.key)
        found.check()
        assert found.top == bus.top
