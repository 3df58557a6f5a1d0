"""S3 is away from every role: live rooms do not notice, new ones begin, and the archive is whole after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.bench import Bench, wait_for
from tests.cluster.heard_room import heard_room
from tests.cluster.kept_take import kept_take
from tests.faulty_proxy import FaultyProxy
from tests.redis_server import RedisServer
from tests.s3_server import CREDENTIALS, s3_server
from tests.server import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.needs("redis-server", "ffmpeg")]


@dataclass(frozen=True)
class Site:
    """A bench whose storage is a bucket, and what stands before it."""

    bench: Bench
    proxy: FaultyProxy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("bench")
    storage = f"s3://{s3_server().new_bucket()}/takes"
    with RedisServer() as redis, FaultyProxy(s3_server().port) as proxy:
        env = CREDENTIALS | {"LONGWAVE_S3_ENDPOINT": proxy.url}
        counts = {"origin": 1, "worker": 2}
        with Bench(directory, [redis.url], counts=counts, storage=storage, env=env) as bench:
            yield Site(bench, proxy)


async def test_away_for_a_while(
    site: Site,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    bench, proxy = site.bench, site.proxy
    away = lasting(300, 8)
    async with heard_room(bench, "before", tmp_path, 2 * away + 30) as before:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        proxy.down()
        async with heard_room(bench, "meanwhile", tmp_path, away + 30) as meanwhile:
            # Its worker dies too: another one goes on without the storage.
            (worker,) = await asyncio.to_thread(bench.carried, "meanwhile")
            worker.kill()
            await meanwhile.ear.hears(10)
            await asyncio.sleep(max(0.0, begun + away - loop.time()))
            # What begins and ends while nothing can be stored is stored after.
            await meanwhile.end()
        assert not [each for each in bench.origins + bench.ingests if _status(each) != 200]
        await before.ear.hears(5)
        proxy.up()
        await asyncio.to_thread(bench.start, worker)
        await before.end()
    for room in (before, meanwhile):
        found = room.judge(f"S3 away for {away:.0f} s, a take that began {room.name}")
        kept = await asyncio.to_thread(kept_take, bench, room.name, room.heard)
        figures(f"{found}; {kept.samples_lost} samples lost in the archive")
        assert found.samples_lost == found.discontinuities == found.errors_5xx == found.conflicts == 0
        assert kept.samples_lost == 0
        assert not kept.lacks(room.heard)
    # No failure is left to be shown.
    await asyncio.to_thread(wait_for, lambda: not any(map(_degraded, bench.servers)))


def _status(server: Server) -> int:
    return server.get("/readyz").status


def _degraded(server: Server) -> object:
    return server.get("/readyz").json["degraded"]
