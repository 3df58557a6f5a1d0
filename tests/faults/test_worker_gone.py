"""Workers that die, freeze, are all gone, and come back: neither listeners nor the archive lose a sample."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.bench import Bench
from tests.cluster.ear import Heard
from tests.cluster.heard_room import heard_room
from tests.cluster.kept_take import kept_take
from tests.cluster.verdict import Verdict
from tests.redis_server import RedisServer
from tests.server import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.needs("redis-server", "ffmpeg")]

Figures = Callable[[object], None]
Lasting = Callable[[float, float], float]


@pytest.fixture(scope="module")
def benched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("bench")
    with RedisServer() as redis, Bench(directory, [redis.url]) as bench:
        yield bench


@pytest.fixture
def bench(benched: Bench) -> Iterator[Bench]:
    """With all of its workers at the end, whatever a test did to them."""
    yield benched
    for worker in benched.workers:
        worker.thaw()
    benched.start(*(each for each in benched.workers if not running(each)))


def running(server: Server) -> bool:
    return server.process is not None and server.process.poll() is None


def assert_unhurt(found: Verdict) -> None:
    assert found.samples_lost == 0
    assert found.discontinuities == found.errors_5xx == found.conflicts == 0


def assert_only_progress_was_refused(heard: Heard) -> None:
    """RFC 8216bis 6.2.5.2: 503 is for a blocking request whose part does not come in time."""
    assert all(each.startswith("503 ") and "?_HLS_msn=" in each for each in heard.refusals), heard.refusals


@pytest.mark.round
async def test_a_worker_that_is_killed_again_and_again(
    bench: Bench, tmp_path: Path, figures: Figures, lasting: Lasting
) -> None:
    times, pause = int(lasting(20, 2)), lasting(15, 4)
    async with heard_room(bench, "killed", tmp_path, 40 + times * (pause + 5)) as room:
        for number in range(times):
            (worker,) = await asyncio.to_thread(bench.carried, "killed")
            # At any moment within a part.
            await room.ear.hears(1)
            await asyncio.sleep(random.uniform(0, 0.4))
            worker.kill()
            if number % 2 == 0:
                # Its disk never comes back: what was in its spool, origins have.
                shutil.rmtree(worker.data_dir)
            back = asyncio.create_task(asyncio.to_thread(bench.start, worker))
            await room.ear.hears(int(pause / 0.4))
            await back
        await room.end()
    found = room.judge(f"worker killed, {times} times")
    figures(found)
    assert_unhurt(found)
    assert found.longest_stall <= 4
    kept = await asyncio.to_thread(kept_take, bench, "killed", room.heard)
    assert kept.samples_lost == 0
    assert kept.lacks(room.heard) == []


async def test_a_worker_that_is_frozen_and_thawed(
    bench: Bench, tmp_path: Path, figures: Figures, lasting: Lasting
) -> None:
    seconds = lasting(10, 5)
    async with heard_room(bench, "frozen", tmp_path, 45 + seconds) as room:
        (worker,) = await asyncio.to_thread(bench.carried, "frozen")
        worker.freeze()
        await room.ear.hears(int(seconds / 0.4))
        worker.thaw()
        # Until what it makes late has been refused, or has changed nothing.
        await room.ear.hears(12)
        await room.end()
    found = room.judge(f"worker frozen {seconds:.0f} s, then thawed")
    figures(found)
    assert_unhurt(found)
    assert found.longest_stall <= 4
    kept = await asyncio.to_thread(kept_take, bench, "frozen", room.heard)
    assert kept.lacks(room.heard) == []


async def test_all_workers_are_gone(bench: Bench, tmp_path: Path, figures: Figures, lasting: Lasting) -> None:
    seconds = lasting(8, 4)
    async with heard_room(bench, "alone", tmp_path, 60 + seconds) as room:
        for worker in bench.workers:
            worker.kill()
        await asyncio.sleep(seconds)
        back = asyncio.get_running_loop().time()
        await asyncio.to_thread(bench.start, *bench.workers)
        async with asyncio.timeout(60):
            while room.lateness(-3) > 0.4:
                await room.ear.hears(1)
        caught_up = asyncio.get_running_loop().time() - back
        await room.end()
    found = room.judge(f"all workers gone for {seconds:.0f} s")
    figures(f"{found}; caught up {caught_up:.1f} s after they were started again")
    assert found.samples_lost == found.discontinuities == found.conflicts == 0
    assert_only_progress_was_refused(room.heard)
    assert caught_up <= 15


async def test_a_worker_that_is_told_to_stop_and_one_that_joins(
    bench: Bench, tmp_path: Path, figures: Figures
) -> None:
    async with heard_room(bench, "stopped", tmp_path, 60) as room:
        (worker,) = await asyncio.to_thread(bench.carried, "stopped")
        code = await asyncio.to_thread(worker.stop)
        await room.ear.hears(8)
        await asyncio.to_thread(bench.start, worker)
        # It gets what fell to it before: the same takes fall to the same nodes.
        await asyncio.to_thread(Server.wait_for, lambda: bench.carriers("stopped") == [worker], 20)
        await room.ear.hears(8)
        await room.end()
    found = room.judge("worker told to stop, and one that joins")
    figures(found)
    assert code == 0
    assert_unhurt(found)
    assert found.stalls == ()
    kept = await asyncio.to_thread(kept_take, bench, "stopped", room.heard)
    assert kept.lacks(room.heard) == []


async def test_the_only_worker_is_told_to_stop_while_an_origin_hangs(
    bench: Bench, tmp_path: Path, figures: Figures
) -> None:
    loop = asyncio.get_running_loop()
    async with heard_room(bench, "hanging", tmp_path, 90) as room:
        (worker,) = await asyncio.to_thread(bench.carried, "hanging")
        for other in bench.workers:
            if other is not worker:
                assert await asyncio.to_thread(other.stop) == 0
        frozen = bench.origins[1]
        frozen.freeze()
        try:
            told = loop.time()
            code = await asyncio.to_thread(worker.stop)
            took = loop.time() - told
        finally:
            frozen.thaw()
        await asyncio.to_thread(bench.start, *bench.workers)
        await room.ear.hears(10)
        await room.end()
    found = room.judge("the only worker told to stop while an origin hangs")
    figures(f"{found}; it was gone after {took:.1f} s")
    assert code == 0
    assert took < 30
    assert found.samples_lost == found.discontinuities == found.conflicts == 0
    assert_only_progress_was_refused(room.heard)
