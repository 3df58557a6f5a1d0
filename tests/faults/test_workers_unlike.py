"""Workers that differ: one whose encoder rounds otherwise takes over; a take that takes its workers down."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from contracts.errors import LongwaveError
from longwave.publish import PublishOptions, publish
from tests.cluster import rounding
from tests.cluster.bench import Bench, metric, wait_for
from tests.cluster.heard_room import heard_room
from tests.cluster.kept_take import kept_take
from tests.faults import crashing
from tests.redis_server import RedisServer
from tests.server import Server
from tests.soak.line import write_wav
from workers.redis_bus import keys

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.needs("redis-server", "ffmpeg")]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as redis:
        yield redis


@pytest.fixture(scope="module")
def bench(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Three workers whose encoder crashes on loud sound."""
    with Bench(tmp_path_factory.mktemp("bench"), [redis.url], counts={"worker": 0}) as bench:
        for _ in range(3):
            bench.make("worker", inside=(sys.executable, crashing.__file__))
        bench.start(*bench.workers)
        yield bench


async def test_a_worker_that_rounds_otherwise_takes_over(
    bench: Bench, tmp_path: Path, figures: Callable[[object], None]
) -> None:
    odd = bench.make("worker", inside=(sys.executable, rounding.__file__))
    others = [each for each in bench.workers if each is not odd]
    await asyncio.to_thread(bench.start, odd)
    async with heard_room(bench, "odd", tmp_path, 60) as room:
        (first,) = await asyncio.to_thread(bench.carried, "odd")
        assert first is not odd, "the take's own encoder is preferred"
        for worker in others:
            worker.kill()
        await room.ear.hears(10)
        assert await asyncio.to_thread(bench.carried, "odd") == [odd]
        await asyncio.to_thread(bench.start, *others)
        await asyncio.to_thread(Server.wait_for, lambda: bench.carriers("odd") in ([each] for each in others))
        await room.ear.hears(8)
        await room.end()
    found = room.judge("a worker with another encoder takes over, and gives back")
    figures(found)
    assert odd.stop() == 0
    bench.workers.remove(odd)
    assert found.samples_lost == found.discontinuities == found.errors_5xx == 0
    assert found.longest_stall <= 4
    kept = await asyncio.to_thread(kept_take, bench, "odd", room.heard)
    assert kept.samples_lost == 0


async def test_a_take_that_takes_its_workers_down_is_let_alone_by_all_of_them(
    redis: RedisServer, bench: Bench, tmp_path: Path, figures: Callable[[object], None]
) -> None:
    # Whatever blocks goes into threads: the speakers are in this process.
    sound = await asyncio.to_thread(loud, tmp_path)
    async with heard_room(bench, "good", tmp_path, 120) as room, speaking(bench, "bad", sound):
        crashes = await asyncio.wait_for(revived(bench), 90)
        (worker,) = await asyncio.to_thread(bench.carried, "bad")
        assert await asyncio.to_thread(metric, worker, "longwave_takes_quarantined") == 1
        ready = await asyncio.to_thread(worker.get, "/readyz")
        assert any("quarantine" in each for each in ready.json["degraded"])
        (name,) = redis.command("KEYS", "lw:{bad}:failures:*")
        # Each was told, however soon the next one came.
        await asyncio.to_thread(wait_for, lambda: int(redis.command("HGET", name, keys.CRASHES)) == crashes)
        # Nobody else tries it either.
        assert await asyncio.to_thread(worker.stop) == 0
        seen = await asyncio.to_thread(gaps, bench, "bad")
        await asyncio.to_thread(wait_for, lambda: gaps(bench, "bad") > seen + 1)
        assert [each for each in bench.workers if running(each)] == [
            each for each in bench.workers if each is not worker
        ]
        await room.ear.hears(5)
        await room.end()
    found = room.judge(f"a take that takes {crashes} workers down, beside")
    figures(found)
    assert 3 <= crashes <= 5, "one is known when its worker is back: until then, others may try"
    assert found.samples_lost == found.discontinuities == found.conflicts == 0
    assert len(room.heard.refusals) == found.errors_5xx
    assert all(each.startswith("503 ") and "?_HLS_msn=" in each for each in room.heard.refusals)


async def revived(bench: Bench) -> int:
    """Start workers again when they have crashed, until the room gets gaps; how often that was."""
    crashes = 0
    while await asyncio.to_thread(gaps, bench, "bad") < 2:
        for worker in bench.workers:
            if not running(worker):
                assert worker.stop() == -signal.SIGSEGV
                crashes += 1
                await asyncio.to_thread(bench.start, worker)
        await asyncio.sleep(0.1)
    return crashes


def running(server: Server) -> bool:
    return server.process is not None and server.process.poll() is None


def loud(directory: Path) -> Path:
    """Three seconds that hurt nobody, then sound that the encoder dies of."""
    tone = np.sin(2 * np.pi * 300 * np.arange(120 * 48_000) / 48_000)
    tone[: 3 * 48_000] *= 0.2
    return write_wav(directory / "loud.wav", (30_000 * tone).astype(np.int16))


def gaps(bench: Bench, room: str) -> int:
    """Segments of a room that are said to be gaps."""
    return bench.origins[0].media_playlist(room, "64k").count("#EXT-X-GAP")


@contextlib.asynccontextmanager
async def speaking(bench: Bench, room: str, sound: Path) -> AsyncIterator[None]:
    """Somebody who plays a file."""

    async def speak() -> None:
        with contextlib.suppress(LongwaveError):
            await publish(PublishOptions(sound, room, bench.ingests[0].url, speaker="Ada"))

    task = asyncio.create_task(speak())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
