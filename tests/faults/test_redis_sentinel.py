"""The master of a pair dies or freezes, and Sentinel makes its replica the master."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.bench import Bench
from tests.cluster.heard_room import heard_room
from tests.redis_server import RedisPair, RedisServer, poll

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900), pytest.mark.needs("redis-server", "ffmpeg")]

_COUNTS = {"origin": 1, "worker": 1}


@dataclass(frozen=True)
class Watched:
    """A bench on a pair, and one on that and a Redis of its own."""

    pair: RedisPair
    one: Bench
    both: Bench


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp("bench")
    with RedisPair(sentinels=3) as pair, RedisServer() as other:
        again = pair.url.removesuffix("0") + "1"
        with (
            Bench(directory / "one", [pair.url], counts=_COUNTS) as one,
            Bench(directory / "both", [again, other.url], counts=_COUNTS) as both,
        ):
            yield Watched(pair, one, both)


def _roles(pair: RedisPair) -> tuple[RedisServer, RedisServer]:
    """The master of the moment, and its replica."""
    servers = (pair.master, pair.replica)
    with pair.master.client() as client:
        first = client.info("replication")["role"] == "master"
    return servers if first else (servers[1], servers[0])


def _became(server: RedisServer, role: str) -> None:
    with server.client() as client:
        poll(lambda: client.info("replication")["role"] == role, f"it became {role}")


@pytest.mark.parametrize("how", [pytest.param("killed", marks=pytest.mark.round), "frozen"])
async def test_failover(
    how: str,
    watched: Watched,
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
) -> None:
    pair = watched.pair
    master, replica = await asyncio.to_thread(_roles, pair)
    async with (
        heard_room(watched.one, how, tmp_path, 60) as alone,
        heard_room(watched.both, f"{how}2", tmp_path, 60) as doubled,
    ):
        if how == "killed":
            master.kill()
        else:
            master.freeze()
        await asyncio.to_thread(_became, replica, "master")
        await alone.ear.hears(6)
        if how == "killed":
            await asyncio.to_thread(master.start)
            await asyncio.to_thread(master.command, "REPLICAOF", "127.0.0.1", replica.port)
        else:
            # It believes that it is the master, until Sentinel tells it what happened.
            master.thaw()
            await asyncio.sleep(lasting(12, 0))
        await alone.ear.hears(4)
        await asyncio.gather(alone.end(), doubled.end())
    first = alone.judge(f"Redis master {how}, one bus under Sentinel")
    second = doubled.judge(f"Redis master {how}, a bus under Sentinel and another")
    figures(first)
    figures(second)
    for found in (first, second):
        assert found.samples_lost == 0
        assert found.discontinuities == found.errors_5xx == found.conflicts == 0
    assert first.longest_stall <= 4
    assert second.longest_stall < 0.5, "what this machine is late for, no more"
