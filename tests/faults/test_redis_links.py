"""Links to a Redis that are slow, cut or dead for all roles or for one; a Redis that is full."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.bench import Bench, wait_for
from tests.cluster.heard_room import heard_room
from tests.cluster.kept_take import kept_take
from tests.redis_server import RedisServer
from tests.server import Server
from tests.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.needs("redis-server", "ffmpeg")]

_ROLES = ("origin", "origin", "worker", "worker", "ingest")


@dataclass(frozen=True)
class Linked:
    """A bench on one Redis, to which each process has a link of its own."""

    redis: RedisServer
    bench: Bench
    links: dict[Server, TcpProxy]

    def heal(self) -> None:
        """All links are well."""
        for link in self.links.values():
            link.heal()


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linked]:
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        nobody = {"origin": 0, "worker": 0, "ingest": 0}
        directory = tmp_path_factory.mktemp("bench")
        bench = stack.enter_context(Bench(directory, [redis.url], counts=nobody))
        links = {}
        for role in _ROLES:
            link = stack.enter_context(TcpProxy(redis.port))
            links[bench.make(role, buses=[f"redis://127.0.0.1:{link.port}/0"])] = link
        bench.start(*links)
        yield Linked(redis, bench, links)


async def _slow(linked: Linked, seconds: float, delay: float) -> None:
    for link in linked.links.values():
        link.delay(delay)
    await asyncio.sleep(seconds)


async def _narrow(linked: Linked, seconds: float) -> None:
    for link in linked.links.values():
        link.throttle(250_000)
    await asyncio.sleep(seconds)


async def _cut_often(linked: Linked, seconds: float) -> None:
    for _ in range(int(seconds)):
        for link in linked.links.values():
            link.cut()
        await asyncio.sleep(0.2)
        linked.heal()
        await asyncio.sleep(0.8)


async def _half_open(linked: Linked, seconds: float) -> None:
    for link in linked.links.values():
        link.half_open()
    await asyncio.sleep(min(seconds, 5))


_FAULTS: dict[str, Callable[[Linked, float], Awaitable[None]]] = {
    "delayed by 50 ms each way": partial(_slow, delay=0.05),
    "delayed by 200 ms each way": partial(_slow, delay=0.2),
    "of 250 kB/s": _narrow,
    "cut every second": _cut_often,
    "half open": _half_open,
}


async def test_slow_and_broken(
    linked: Linked,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    each = lasting(20, 2)
    late = []
    async with heard_room(linked.bench, "slow", tmp_path, 6 * (each + 8)) as room:
        for name, fault in _FAULTS.items():
            since = len(room.heard.parts)
            await fault(linked, each)
            late.append(
                f"{name}: +{room.lateness(since):.2f} s"
                if len(room.heard.parts) > since
                else f"{name}: nothing came"
            )
            linked.heal()
            await room.ear.hears(4)
        await room.end()
    found = room.judge("links to Redis " + ", ".join(late))
    figures(found)
    assert found.samples_lost == 0
    assert found.discontinuities == found.conflicts == 0
    assert all("?_HLS_msn=" in each for each in room.heard.refusals)
    assert found.longest_stall <= 4 + 5


async def test_ingest_cut(
    linked: Linked,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    async with heard_room(linked.bench, "ingest-cut", tmp_path, 100) as room:
        link = linked.links[linked.bench.ingests[0]]
        link.cut()
        await asyncio.sleep(lasting(40, 5))
        link.heal()
        await room.ear.hears(10)
        await room.end()
    found = room.judge("Redis out of reach of the ingest")
    figures(found)
    assert found.samples_lost == found.discontinuities == found.conflicts == 0
    assert all("?_HLS_msn=" in each for each in room.heard.refusals)


async def test_worker_and_origin_cut(
    linked: Linked,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    bench, name = linked.bench, "worker-cut"
    async with heard_room(bench, name, tmp_path, 120) as room:
        (worker,) = await asyncio.to_thread(bench.carried, name)
        # The listener stays with the first origin while that answers.
        for each in (worker, bench.origins[0]):
            linked.links[each].cut()
        await asyncio.to_thread(wait_for, lambda: bench.carriers(name) not in ([worker], []))
        await asyncio.sleep(lasting(70, 1))
        await room.ear.hears(3)
        linked.heal()
        await room.ear.hears(5)
        await room.end()
    found = room.judge("Redis out of reach of a worker and of an origin")
    figures(found)
    kept = await asyncio.to_thread(kept_take, bench, name, room.heard)
    assert not kept.samples_lost
    assert not kept.lacks(room.heard)
    assert found.samples_lost == found.discontinuities == found.errors_5xx == found.conflicts == 0
    assert found.longest_stall <= 4


async def test_full(
    linked: Linked,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    redis = linked.redis
    async with heard_room(linked.bench, "full", tmp_path, 100) as room:
        with redis.client() as client:
            client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 100_000)
        await asyncio.sleep(lasting(40, 7))
        with redis.client() as client:
            assert client.info("stats")["total_error_replies"] > 0
            assert "OOM" in {name.removeprefix("errorstat_") for name in client.info("errorstats")}
            client.config_set("maxmemory", 0)
        await room.ear.hears(10)
        await room.end()
    found = room.judge("Redis full, then bigger")
    figures(found)
    assert found.samples_lost == found.discontinuities == found.conflicts == 0
    assert all("?_HLS_msn=" in each for each in room.heard.refusals)
