"""Links whose connections break, on the event loop that all roles run on, and how fast they are back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import pytest
import uvloop

from contracts.errors import BusUnavailable
from tests.bus_writing import new_metrics
from tests.redis_server import RedisServer
from tests.tcp_proxy import TcpProxy
from workers.redis_bus.address import parse_bus
from workers.redis_bus.links import BLOCK_SECONDS, RedisLink

pytestmark = pytest.mark.needs("redis-server")

T = TypeVar("T")

_AT_ONCE = 8


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


def _run(server: RedisServer, story: Callable[[RedisLink, TcpProxy], Awaitable[T]]) -> T:
    """Tell a story of a link on the event loop that all roles run on."""

    async def told(proxy: TcpProxy) -> T:
        link = RedisLink(parse_bus(f"redis://127.0.0.1:{proxy.port}/0"), new_metrics())
        try:
            return await story(link, proxy)
        finally:
            await link.close()

    with TcpProxy(server.port) as proxy:
        return uvloop.run(told(proxy))


async def _ping(link: RedisLink) -> bool:
    return bool(await link.call("read", link.client.ping()))


async def _open_some(link: RedisLink) -> None:
    """Several connections, all idle."""
    assert all(await asyncio.gather(*(_ping(link) for _ in range(_AT_ONCE))))


def test_a_connection_that_was_reset_makes_redis_unavailable_and_nothing_worse(server: RedisServer) -> None:
    async def story(link: RedisLink, proxy: TcpProxy) -> None:
        await _open_some(link)
        proxy.cut()
        for _ in range(_AT_ONCE):
            await asyncio.sleep(0.01)  # as long as the loop needs to see it
            with pytest.raises(BusUnavailable):
                await _ping(link)

    _run(server, story)


def test_one_failure_is_enough_to_leave_all_connections_of_before(server: RedisServer) -> None:
    async def story(link: RedisLink, proxy: TcpProxy) -> None:
        await _open_some(link)
        proxy.cut()
        await asyncio.sleep(0.01)
        with pytest.raises(BusUnavailable):
            await _ping(link)
        proxy.heal()
        opened = proxy.connections
        assert await _ping(link)
        assert proxy.connections == opened + 1, "a connection of its own"

    _run(server, story)


def test_a_read_that_blocks_may_take_as_long_as_any_call_beyond_that(server: RedisServer) -> None:
    async def story(link: RedisLink, proxy: TcpProxy) -> None:
        proxy.delay(0.215)
        for _ in range(10):  # a machine that is busy may need more than one try
            nothing = link.blocking.xread({b"nothing": b"0-0"}, block=int(1000 * BLOCK_SECONDS))
            with suppress(BusUnavailable):
                assert not await link.call("blocking", nothing)
                return
        raise AssertionError("it never got an answer in time")

    _run(server, story)
