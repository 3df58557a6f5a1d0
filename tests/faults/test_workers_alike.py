"""Two workers for each take, which archive into S3: one that dies is not noticed at all."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.bench import Bench, metric
from tests.cluster.heard_room import heard_room
from tests.cluster.kept_take import kept_take
from tests.redis_server import RedisServer
from tests.s3_server import CREDENTIALS, s3_server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.needs("redis-server", "ffmpeg")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    env = {"LONGWAVE_REDUNDANCY": "2", "LONGWAVE_S3_ENDPOINT": s3_server().url} | CREDENTIALS
    storage = f"s3://{s3_server().new_bucket()}/takes"
    directory = tmp_path_factory.mktemp("bench")
    with RedisServer() as redis, Bench(directory, [redis.url], storage=storage, env=env) as bench:
        yield bench


async def test_two_workers_on_the_same_take(
    bench: Bench,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    seconds = lasting(60, 6)
    async with heard_room(bench, "both", tmp_path, 40 + seconds) as room:
        both = await asyncio.to_thread(bench.carried, "both", 2)
        encoded = [metric(each, "longwave_parts_encoded_total") for each in both]
        await room.ear.hears(int(seconds / 0.4))
        encoded = [
            metric(each, "longwave_parts_encoded_total") - n for each, n in zip(both, encoded, strict=True)
        ]
        assert min(encoded) >= seconds / 0.4 - 2, encoded
        await room.end()
    found = room.judge(f"two workers on the same take for {seconds:.0f} s")
    figures(found)
    assert found.samples_lost == found.discontinuities == found.errors_5xx == found.conflicts == 0
    assert found.stalls == ()
    kept = await asyncio.to_thread(kept_take, bench, "both", room.heard)
    assert kept.samples_lost == 0
    assert kept.lacks(room.heard) == []


@pytest.mark.round
async def test_one_of_two_is_killed_and_its_disk_never_comes_back(
    bench: Bench,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    times, pause = int(lasting(20, 2)), lasting(15, 4)
    async with heard_room(bench, "halved", tmp_path, 40 + times * (pause + 5)) as room:
        for _ in range(times):
            worker = random.choice(await asyncio.to_thread(bench.carried, "halved", 2))
            await room.ear.hears(1)
            await asyncio.sleep(random.uniform(0, 0.4))
            worker.kill()
            shutil.rmtree(worker.data_dir)
            back = asyncio.create_task(asyncio.to_thread(bench.start, worker))
            await room.ear.hears(int(pause / 0.4))
            await back
        await room.end()
    found = room.judge(f"one of two workers killed, {times} times")
    figures(found)
    assert found.samples_lost == found.discontinuities == found.errors_5xx == found.conflicts == 0
    assert found.stalls == ()
    kept = await asyncio.to_thread(kept_take, bench, "halved", room.heard)
    assert kept.samples_lost == 0
    assert kept.lacks(room.heard) == []
