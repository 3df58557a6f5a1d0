"""Origins that die, come back empty, or take a byte a second: nobody waits for them, their sister serves."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.bench import Bench, wait_for
from tests.cluster.heard_room import HeardRoom, heard_room
from tests.cluster.windows import compare, listed
from tests.redis_server import RedisServer
from tests.server import Server
from tests.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.needs("redis-server", "ffmpeg")]

Lasting = Callable[[float, float], float]
Figures = Callable[[object], None]

# What the design promises of an origin that starts.
_FILLED_SECONDS = 5.0
_MB = 2**20


@dataclass(frozen=True)
class Site:
    """Two origins on the bus, and a `slow` one behind `link`, which only the worker knows of."""

    bench: Bench
    slow: Server
    link: TcpProxy


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("bench")
    with RedisServer() as redis:
        bench = Bench(directory, [redis.url], counts={"worker": 0})
        slow = Server(directory / "slow", command="origin", env=bench.env)
        with slow, TcpProxy(slow.port) as link:
            bench.make("worker", "--origin", f"http://127.0.0.1:{link.port}")
            with bench:
                yield Site(bench, slow, link)


async def _goes_wrong(
    room: HeardRoom, origin: Server, *, emptied: bool, away: float
) -> tuple[float, float, int]:
    """Kill an origin and start it again: seconds to ready and to be filled, addresses it had at once."""
    bench = room.bench
    (sister,) = [each for each in bench.origins if each is not origin]
    origin.kill()
    if emptied:
        await asyncio.to_thread(shutil.rmtree, origin.data_dir)
    await room.ear.hears(int(away / 0.4))
    before = await asyncio.to_thread(listed, sister, room.name)
    began = time.monotonic()
    await asyncio.to_thread(bench.start, origin)
    ready = time.monotonic() - began
    # The first who asks finds all that its sister had before it came.
    found = await asyncio.to_thread(listed, origin, room.name)
    assert set(before.segments) <= set(found.segments)
    assert found.edge >= before.edge
    assert not found.gaps
    compared = await asyncio.to_thread(compare, origin, sister, room.name)
    assert not compared.different
    # And it takes part again.
    await room.ear.hears(5)
    await asyncio.to_thread(wait_for, lambda: listed(origin, room.name).edge > found.edge)
    return ready, _filled_in(origin), compared.addresses


def _filled_in(origin: Server) -> float:
    """Seconds that it took the last time, as its log says."""
    lines = [json.loads(line) for line in origin.log_path.read_text().splitlines() if line.startswith("{")]
    return [float(line["seconds"]) for line in lines if line["event"] == "this origin is filled"][-1]


@pytest.mark.parametrize(
    "emptied", [False, pytest.param(True, marks=pytest.mark.round)], ids=["with its disk", "empty"]
)
async def test_killed(site: Site, tmp_path: Path, figures: Figures, lasting: Lasting, emptied: bool) -> None:
    name = "emptied" if emptied else "restarted"
    async with heard_room(site.bench, name, tmp_path, 120) as room:
        # The one that the listener asks.
        ready, filled, addresses = await _goes_wrong(
            room, site.bench.origins[0], emptied=emptied, away=lasting(20, 3)
        )
        await room.end()
    found = room.judge(f"origin killed, {name}")
    figures(f"{found}; ready after {ready:.1f} s, filled in {filled:.2f} s, {addresses} addresses alike")
    assert found.samples_lost == found.discontinuities == found.errors_5xx == found.conflicts == 0
    assert not room.heard.refusals
    assert found.longest_stall <= 4
    assert filled <= _FILLED_SECONDS


async def test_a_byte_a_second(site: Site, tmp_path: Path, figures: Figures, lasting: Lasting) -> None:
    (worker,) = site.bench.workers
    async with heard_room(site.bench, "slow", tmp_path, 120) as room:
        await asyncio.to_thread(wait_for, lambda: bool(site.slow.media_playlist("slow", "64k")))
        memory = _memory(worker)
        site.link.throttle(1)
        try:
            await room.ear.hears(int(lasting(60, 8) / 0.4))
            grown = _memory(worker) - memory
        finally:
            site.link.heal()
        # When it can, it gets what it missed.
        await asyncio.to_thread(
            wait_for, lambda: listed(site.slow, "slow").edge >= tuple(room.heard.newest), 60
        )
        compared = await asyncio.to_thread(compare, site.slow, site.bench.origins[0], "slow")
        late = room.lateness()
        await room.end()
    found = room.judge("origin that takes 1 byte/s")
    figures(f"{found}; the worker grew by {grown / _MB:.1f} MB, parts late by {late * 1000:.0f} ms")
    assert found.samples_lost == found.discontinuities == found.errors_5xx == found.conflicts == 0
    assert found.longest_stall <= 1
    assert grown < 16 * _MB
    assert not compared.different


def _memory(server: Server) -> int:
    """What of a process is in memory, in bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024
