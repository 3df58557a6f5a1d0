"""Workers that die, freeze, and are doubled: a listener loses no sample."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longwave.publish import PublishOptions, publish
from tests.cluster.bench import Bench
from tests.cluster.ear import Ear
from tests.cluster.verdict import verdict
from tests.redis_server import RedisServer
from tests.soak.hearing import known_sound
from tests.soak.line import write_wav

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.needs("redis-server", "ffmpeg")]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    directory = tmp_path_factory.mktemp("bench")
    with RedisServer() as redis, Bench(directory, [redis.url]) as bench:
        yield bench


async def test_killed(bench: Bench, tmp_path: Path, figures: Callable[[object], None]) -> None:
    said = known_sound(20)
    wav = write_wav(tmp_path / "said.wav", said)
    options = PublishOptions(wav, "killed", bench.ingests[0].url, speaker="Ada")
    async with Ear([each.url for each in bench.origins], "killed") as ear:
        sender = asyncio.create_task(publish(options))
        await ear.hears(12)
        (worker,) = await asyncio.to_thread(bench.carried, "killed")
        worker.kill()
        await ear.hears(15)
        await asyncio.to_thread(bench.start, worker)
        await sender
        await asyncio.to_thread(bench.ingests[0].request, "POST", "/rooms/killed/end")
        heard = await ear.to_the_end()
    found = verdict("worker killed", heard, said, tmp_path, conflicts=bench.conflicts())
    figures(found)
    assert found.samples_lost == 0
    assert found.discontinuities == found.errors_5xx == found.conflicts == 0
    assert found.longest_stall <= 4
