"""Room records in real Redis servers, before a storage that may be away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import StorageUnavailable
from contracts.metrics import Metrics
from storage.rooms import RoomRecord, RoomStore
from tests.over_takes import Memory, Watched
from tests.redis_server import RedisServer
from workers.redis_bus import keys
from workers.redis_bus.links import BusLinks, open_links
from workers.redis_bus.room_cache import RedisRoomCache

pytestmark = pytest.mark.needs("redis-server")
NEWS = RoomRecord(title="Nachrichten")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with RedisServer() as one, RedisServer() as other:
        yield one, other


@asynccontextmanager
async def cache_on(*servers: RedisServer) -> AsyncIterator[tuple[RedisRoomCache, BusLinks]]:
    links = open_links([server.url for server in servers], Metrics(CollectorRegistry()))
    try:
        for link in links:
            await link.call("coordinate", link.client.flushdb())
        yield RedisRoomCache(links), links
    finally:
        await links.close()


async def test_a_record_is_kept_for_a_while_and_its_age_is_told(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    async with cache_on(servers[0]) as (cache, links):
        assert await asyncio.to_thread(cache.get, "news") is None
        await asyncio.to_thread(cache.put, "news", b"{}")
        young = await asyncio.to_thread(cache.get, "news")
        assert young is not None
        assert young.data == b"{}"
        assert 0 <= young.age < 30
        await links[0].client.expire(keys.room("news"), 500)
        old = await asyncio.to_thread(cache.get, "news")
        assert old is not None
        assert 99 <= old.age < 130
        await asyncio.to_thread(cache.put, "news", None)
        gone = await asyncio.to_thread(cache.get, "news")
        assert gone is not None
        assert gone.data is None


async def test_the_youngest_of_two_is_told_and_one_is_enough(
    servers: tuple[RedisServer, RedisServer],
) -> None:
    async with cache_on(*servers) as (cache, links):
        await asyncio.to_thread(cache.put, "news", b"both")
        await links[0].client.set(keys.room("news"), b"old", ex=400)
        found = await asyncio.to_thread(cache.get, "news")
        assert found is not None
        assert found.data == b"both"
        links[1].up = False
        found = await asyncio.to_thread(cache.get, "news")
        assert found is not None
        assert found.data == b"old"
        links[0].up = False
        assert await asyncio.to_thread(cache.get, "news") is None
        await asyncio.to_thread(cache.put, "news", b"nobody")


async def test_without_redis_the_storage_answers_and_without_a_storage_redis() -> None:
    away = False

    def notice(_what: str, _name: str) -> None:
        if away:
            raise StorageUnavailable("the storage is gone")

    objects = Watched(Memory(), notice)
    with RedisServer() as server:
        async with cache_on(server) as (cache, _):
            writer = RoomStore(objects, cache, shared=True)
            await asyncio.to_thread(writer.put, "news", NEWS)
            away = True
            assert await asyncio.to_thread(RoomStore(objects, cache, shared=True).get, "news") == NEWS
            server.kill()
            with pytest.raises(StorageUnavailable):
                await asyncio.to_thread(RoomStore(objects, cache, shared=True).get, "news")
            away = False
            reader = RoomStore(objects, cache, shared=True)
            assert await asyncio.to_thread(reader.get, "news") == NEWS
            await asyncio.to_thread(writer.put, "news", RoomRecord())


async def test_nobody_waits_for_a_redis_that_hangs_or_a_loop_that_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.redis_bus.room_cache._PATIENCE_SECONDS", 0.05)
    with RedisServer() as server:
        async with cache_on(server) as (cache, _):
            server.freeze()
            assert await asyncio.to_thread(cache.get, "news") is None
            with pytest.raises(AssertionError, match="from a thread"):
                cache.get("news")
            server.thaw()

        def late() -> RedisRoomCache:
            async def make() -> RedisRoomCache:
                return RedisRoomCache(())

            return asyncio.run(make())

        closed = await asyncio.to_thread(late)
        assert await asyncio.to_thread(closed.get, "news") is None
