"""A line to Redis that carries hardly more than a take: what is behind must not be too much for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bus_writing import eventually, new_metrics, open_ingest, pcm, play, written
from tests.redis_server import RedisServer
from tests.tcp_proxy import TcpProxy
from workers.redis_bus.address import parse_bus
from workers.redis_bus.links import RedisLink
from workers.redis_bus.mirrors import Mirrors
from workers.redis_bus.reader import BusReader

pytestmark = pytest.mark.needs("redis-server")

# A second of sound takes 0.8 s: longer than any answer may.
_BYTES_A_SECOND = 120_000
_BEHIND = 2 * 48_000


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


async def test_an_owner_that_is_behind_catches_up(server: RedisServer) -> None:
    with TcpProxy(server.port) as line:
        async with open_ingest(f"redis://127.0.0.1:{line.port}/0") as ingest:
            line.throttle(_BYTES_A_SECOND)
            bus = ingest.open()
            play(bus, _BEHIND)
            (await written(server, bus)).check()


async def test_a_worker_that_is_behind_catches_up(server: RedisServer) -> None:
    async with open_ingest(server.url) as ingest:
        bus = ingest.open()
        play(bus, _BEHIND)
        top = (await written(server, bus)).top
        with TcpProxy(server.port) as line:
            link = RedisLink(parse_bus(f"redis://127.0.0.1:{line.port}/0"), new_metrics())
            mirrors = Mirrors()
            reader = BusReader(link, mirrors, new_metrics())
            line.throttle(_BYTES_A_SECOND)
            mirror = mirrors.follow(bus.key, bus.header, 0)
            reader.start()
            await eventually(lambda: mirror.top == top)
            await reader.stop()
            await link.close()
        assert mirror.read(0, top).tobytes() == pcm(0, top)
