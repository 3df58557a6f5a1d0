"""Links to real Redis servers that hang, refuse, and change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from redis.exceptions import ResponseError

from contracts.errors import BusUnavailable
from tests.bus_writing import eventually, new_metrics
from tests.redis_server import RedisServer
from workers.redis_bus.address import parse_bus
from workers.redis_bus.links import RedisLink, open_links

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _up(link: RedisLink) -> bool:
    return link.up


@asynccontextmanager
async def _link(url: str, clock: _Clock | None = None) -> AsyncIterator[RedisLink]:
    link = RedisLink(parse_bus(url), new_metrics(), clock=clock or monotonic)
    try:
        yield link
    finally:
        await link.close()


async def test_a_link_is_up_from_its_first_answer_on(server: RedisServer) -> None:
    clock = _Clock()
    async with _link(server.url, clock) as link:
        assert not _up(link)
        assert await link.call("read", link.client.ping())
        assert link.up_since == 100.0
        clock.now = 102.9
        assert not link.settled(3.0)
        clock.now = 103.0
        assert link.settled(3.0)


async def test_nobody_waits_long_for_a_server_that_hangs() -> None:
    with RedisServer() as frozen:
        async with _link(frozen.url) as link:
            await link.call("coordinate", link.client.set("key", "old"))
            frozen.freeze()
            began = monotonic()
            calls = (link.call("read", link.client.get("key")) for _ in range(100))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(outcome, BusUnavailable) for outcome in outcomes)
            assert monotonic() - began < 10  # 100 calls, of which each may take 2.5 s
            assert not _up(link)
            assert not link.settled(0)
            frozen.thaw()
            assert await link.call("read", link.client.get("key")) == b"old"
            assert _up(link)


async def test_an_answer_that_comes_too_late_is_nobody_elses(server: RedisServer) -> None:
    async with _link(server.url) as link:
        await link.call("coordinate", link.client.set("key", "value"))
        reading = asyncio.create_task(link.call("blocking", link.blocking.xread({"none": "0"}, block=300)))
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert await link.call("blocking", link.blocking.get("key")) == b"value"
        assert _up(link)


async def test_a_cancellation_that_the_client_library_swallows_holds_all_the_same(
    server: RedisServer,
) -> None:
    async def swallowing() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "an answer that came in the same moment"
        return "never"

    async with _link(server.url) as link:
        calling = asyncio.create_task(link.call("read", swallowing()))
        await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling


async def test_calls_before_which_others_stand_in_line_are_answered_all(server: RedisServer) -> None:
    async with _link(server.url) as link:
        calls = (link.call("read", link.client.echo(str(n))) for n in range(300))
        answers = await asyncio.gather(*calls)
        assert answers == [str(n).encode() for n in range(300)]
        assert server.command("CLIENT", "LIST").count(b"\n") < 30


async def test_a_server_that_is_full_is_of_no_use_though_it_answers() -> None:
    with RedisServer() as full:
        clock = _Clock()
        async with _link(full.url, clock) as link:
            full.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(BusUnavailable, match="memory is full"):
                await link.call("append", link.client.set("key", "value"))
            assert await link.call("read", link.client.get("key")) is None
            assert not _up(link)
            full.command("CONFIG", "SET", "maxmemory", "0")
            await link.call("append", link.client.set("key", "value"))
            assert _up(link)


async def test_a_refusal_that_nobody_repeats_is_forgotten() -> None:
    with RedisServer() as full:
        clock = _Clock()
        async with _link(full.url, clock) as link:
            full.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(BusUnavailable):
                await link.call("append", link.client.set("key", "value"))
            clock.now += 6
            await link.call("read", link.client.get("key"))
            assert _up(link)


async def test_a_replica_takes_no_writes(server: RedisServer) -> None:
    with RedisServer("--replicaof", "127.0.0.1", str(server.port)) as replica:
        async with _link(replica.url) as link:
            with pytest.raises(BusUnavailable, match="replica"):
                await link.call("append", link.client.set("key", "value"))
            assert not _up(link)
            replica.command("REPLICAOF", "NO", "ONE")
            await link.call("append", link.client.set("key", "value"))
            assert _up(link)


async def test_a_password_is_said_to_the_server_and_to_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer(password="s3cret") as locked:
        host = f"127.0.0.1:{locked.port}"
        async with _link(f"redis://:s3cret@{host}/3") as link:
            assert await link.call("read", link.client.ping())
            assert link.name == f"{host}/3"
            for error in (ResponseError("ERR unknown command, with args: s3cret"), OSError("s3cret")):
                assert "s3cret" not in str(link.failed("read", error)) + link.trouble
        for url in (f"redis://{host}", f"redis://:wr0ng@{host}"):
            async with _link(url) as link:
                with pytest.raises(BusUnavailable) as refused:
                    await link.call("read", link.client.ping())
                assert "password" in str(refused.value)
                assert "wr0ng" not in str(refused.value) + caplog.text
                assert refused.value.__cause__ is None


async def test_a_command_that_is_wrong_says_nothing_of_the_link(server: RedisServer) -> None:
    async with _link(server.url) as link:
        await link.call("coordinate", link.client.set("text", "value"))
        with pytest.raises(BusUnavailable, match="WRONGTYPE"):
            await link.call("coordinate", link.client.lpush("text", "value"))
        assert _up(link)


async def test_links_together_say_which_of_them_is_down(server: RedisServer) -> None:
    with RedisServer() as other:
        links = open_links([server.url, other.url], new_metrics())
        try:
            assert [link.up for link in links] == [False, False]
            for link in links:
                await link.call("read", link.client.ping())
            assert all(link.up for link in links)
            assert not links.degraded
            other.kill()
            with pytest.raises(BusUnavailable):
                await links[1].call("read", links[1].client.ping())
            assert links.any_up
            reason = str(links.degraded)
            assert str(other.port) in reason
            assert str(server.port) not in reason
        finally:
            await links.close()


async def test_every_round_trip_is_counted(server: RedisServer) -> None:
    metrics = new_metrics()
    link = RedisLink(parse_bus(server.url), metrics)
    for _ in range(3):
        await link.call("append", link.client.ping())
    await link.close()
    trips = metrics.registry.get_sample_value(
        "longwave_bus_round_trips_total", {"bus": link.name, "kind": "append"}
    )
    assert trips == 3


async def test_closing_leaves_no_connection_open(server: RedisServer) -> None:
    before = server.command("INFO", "clients")["connected_clients"]
    async with _link(server.url) as link:
        await link.call("read", link.client.ping())
        await link.call("blocking", link.blocking.ping())
    await eventually(lambda: server.command("INFO", "clients")["connected_clients"] <= before)
