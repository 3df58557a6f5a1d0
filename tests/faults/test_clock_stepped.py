"""The wall clock of one machine is set an hour forth or back: what is served goes on as if it were not."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.grid import SAMPLE_RATE, Grid, first_sample
from tests.cluster.bench import Bench
from tests.cluster.ear import Heard
from tests.cluster.fake_clock import FakeClock
from tests.cluster.heard_room import heard_room
from tests.cluster.windows import compare, listed
from tests.redis_server import RedisServer
from tests.server import Server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600), pytest.mark.needs("redis-server", "ffmpeg")]

_HOUR = 3600
_DATED = re.compile(r"#EXT-X-PROGRAM-DATE-TIME:(\S+)\n(?:#.*\n)*(\d+)\.m4s$", re.MULTILINE)


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FakeClock]:
    directory = tmp_path_factory.mktemp("clocks")
    return {role: FakeClock(directory / role) for role in ("ingest", "worker", "origin")}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, clocks: dict[str, FakeClock]) -> Iterator[Bench]:
    """One process of each role has a clock of its own; the others share the true one."""
    directory = tmp_path_factory.mktemp("bench")
    counts = {"origin": 0, "worker": 0, "ingest": 0}
    with RedisServer() as redis:
        bench = Bench(directory, [redis.url], counts=counts)
        for role, clock in clocks.items():
            bench.make(role, inside=clock.inside)
        bench.make("origin")
        with bench:
            yield bench


@pytest.mark.parametrize("seconds", [_HOUR, -_HOUR], ids=["forth", "back"])
async def test_an_hour(
    bench: Bench,
    clocks: dict[str, FakeClock],
    tmp_path: Path,
    figures: Callable[[object], None],
    lasting: Callable[[float, float], float],
    seconds: int,
) -> None:
    name = "forth" if seconds > 0 else "back"
    stepped, true = bench.origins
    parts = int(lasting(25, 7))
    async with heard_room(bench, name, tmp_path, 120) as room:
        for role, clock in clocks.items():
            clock.step(seconds)
            assert _wrong_by(getattr(bench, f"{role}s")[0]) == pytest.approx(seconds, abs=60)
            await room.ear.hears(parts)
            for origin in bench.origins:
                _assert_dated(origin, name)
            clock.step(0)
        # An origin that starts with a wrong clock still has what it had.
        clocks["origin"].step(seconds)
        before = listed(true, name)
        stepped.kill()
        await asyncio.to_thread(bench.start, stepped)
        found = listed(stepped, name)
        assert set(before.segments) <= set(found.segments)
        assert not (await asyncio.to_thread(compare, stepped, true, name)).different
        clocks["origin"].step(0)
        await room.ear.hears(5)
        await room.end()
    judged = room.judge(f"clock set an hour {name}, of ingest, worker and origin in turn")
    figures(judged)
    assert not room.heard.refusals
    assert judged.samples_lost == judged.discontinuities == judged.errors_5xx == judged.conflicts == 0
    assert judged.longest_stall <= 4
    _assert_on_the_grid(room.heard)


def _wrong_by(server: Server) -> float:
    """Seconds by which the clock of a process is ahead: of what it logs or answers, HTTP's Date."""
    date = server.get("/healthz").headers["Date"]
    there = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    return (there - datetime.now(UTC)).total_seconds()


def _assert_dated(origin: Server, room: str) -> None:
    """Every segment begins as much later than the first as there is sound before it."""
    text = origin.media_playlist(room, "64k")
    dated = [(datetime.fromisoformat(date), int(msn)) for date, msn in _DATED.findall(text)]
    assert len(dated) == len(listed(origin, room).segments) > 2
    begun, first = dated[0]
    assert abs((begun - datetime.now(UTC)).total_seconds()) < 120
    for date, msn in dated:
        samples = first_sample(msn) - first_sample(first)
        assert abs(date - begun - timedelta(seconds=samples / SAMPLE_RATE)) <= timedelta(milliseconds=2)


def _assert_on_the_grid(heard: Heard) -> None:
    """Every part says itself (`tfdt`, ISO/IEC 14496-12 8.8.12) that it begins where its name says."""
    grid = Grid(5)
    for position, data in heard.parts.items():
        at = data.index(b"tfdt")
        (begins,) = struct.unpack(">Q", data[at + 8 : at + 16])
        assert begins == grid.start_sample(position), position
