"""A worker goes and another one takes its take over: the same bytes, nothing twice, nothing missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from contracts.errors import UnknownTake
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeHeader, TakeKey, TakeSettings
from longwave.local_origin import LocalOrigin
from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, PREROLL_FRAMES, Grid, first_sample
from pipeline.segmenter import Segmenter
from tests.origins import KEY, RunningOrigin, running
from tests.takes import EPOCH_US
from tests.waiting import until
from workers.publisher import Publisher
from workers.redis_bus.entries import Ended, Sound
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors
from workers.transcoder_pool import TranscoderPool

SEGMENT = 96_000
RUN = 4800
HEADER = TakeHeader(EPOCH_US, TakeSettings(), "0" * 64)
GRID = Grid(5)
LENGTH = 4 * SEGMENT
LOOKAHEAD = LOOKAHEAD_FRAMES * FRAME


@cache
def noise() -> NDArray[np.int16]:
    return np.random.default_rng(3).integers(-9000, 9000, (40 * SEGMENT, 1)).astype("<i2")


@cache
def segmented() -> dict[Position, bytes]:
    """The take as one segmenter makes it from its first sample on."""
    segmenter = Segmenter(HEADER.settings, 0)
    before = np.zeros((-segmenter.needs, 1), dtype=np.int16)
    parts = [*segmenter.push(np.concatenate((before, noise()[:LENGTH]))), *segmenter.finish()]
    return {Position(part.msn, part.part): part.data for part in parts}


class Line(LocalOrigin):
    """Everything that is put, by who puts it."""

    def __init__(self, served: RunningOrigin) -> None:
        super().__init__(served.origin)
        self.put: list[str] = []

    async def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> None:
        self.put.append(f"{msn}.{part}")
        await super().put_part(key, rendition, msn, part, data)

    async def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> None:
        self.put.append(f"{msn}")
        await super().put_segment(key, rendition, msn, data)

    async def put_gap(self, key: TakeKey, rendition: str, msn: int) -> None:
        self.put.append(f"{msn}.gap")
        await super().put_gap(key, rendition, msn)


class Worker:
    """What a worker runs for its takes. Its mirrors are filled by the test."""

    def __init__(self, served: RunningOrigin) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.mirrors = Mirrors()
        self.line = Line(served)
        self.publisher = Publisher([self.line], self.metrics)
        self.pool = TranscoderPool(self.mirrors, self.publisher, self.metrics, threads=1)
        self.pool.start()

    def carry(self, first: int) -> Mirror:
        return self.mirrors.follow(KEY, HEADER, first)

    async def die(self) -> None:
        await self.pool.stop()
        await self.publisher.stop(grace=0)

    @property
    def conflicts(self) -> float | None:
        return self.metrics.registry.get_sample_value(
            "longwave_publish_conflicts_total", {"origin": self.line.name}
        )


def bring(mirror: Mirror, stop: int) -> None:
    """What the bus has: whole entries from before the mirror's first sample on."""
    start = mirror.top - mirror.top % RUN
    while start < stop and mirror.take_in(_entry(start, stop), min(stop, start + RUN), 1, "a", 0.0):
        start += RUN


def _entry(start: int, stop: int) -> Sound:
    stop = min(stop, start + RUN)
    return Sound(start, stop, noise()[start:stop].tobytes())


async def bring_all(mirror: Mirror, stop: int) -> None:
    while mirror.top < stop:
        bring(mirror, stop)
        await asyncio.sleep(0.001)


@pytest.fixture
async def served() -> AsyncIterator[RunningOrigin]:
    async with running() as origin:
        yield origin


@pytest.fixture
async def worker(served: RunningOrigin) -> AsyncIterator[Callable[[], Worker]]:
    made: list[Worker] = []

    def make() -> Worker:
        made.append(Worker(served))
        return made[-1]

    yield make
    for one in made:
        await one.die()


def at(served: RunningOrigin, position: Position) -> Callable[[], bool]:
    def there() -> bool:
        try:
            return served.origin.state(KEY).renditions["64k"].next == position
        except UnknownTake:
            return False

    return there


@pytest.mark.parametrize("part", range(5))
async def test_whatever_part_a_worker_dies_in_its_successor_puts_the_rest_and_the_same_bytes(
    served: RunningOrigin, worker: Callable[[], Worker], part: int
) -> None:
    killed = Position(2, part)
    # In the middle of the part after the one that was put last.
    heard = GRID.start_sample(killed) + LOOKAHEAD + 7 * FRAME
    first, second = worker(), worker()
    await bring_all(first.carry(0), heard)
    await until(at(served, killed))
    await first.die()
    mirror = second.carry(first_sample(killed.msn) - PREROLL_FRAMES * FRAME)
    await bring_all(mirror, LENGTH)
    assert mirror.take_in(Ended(LENGTH), LENGTH, 1, "a", 0.0)
    await until(lambda: second.mirrors.delivered == {KEY})
    rest = [f"{msn}.{index}" for msn in (2, 3) for index in range(5)][part:]
    assert _in_parts(second.line.put) == rest
    wanted = segmented()
    for msn in range(4):
        answer = await served.get(f"{msn}.m4s")
        assert answer.body == b"".join(wanted[Position(msn, index)] for index in range(5))
    playlist = (await served.playlist()).text
    assert "EXT-X-DISCONTINUITY" not in playlist
    assert "EXT-X-GAP" not in playlist
    assert "EXT-X-ENDLIST" in playlist
    assert not second.conflicts


def _in_parts(put: list[str]) -> list[str]:
    """Whole segments as their parts: how fast the successor was makes no difference."""
    return [name for each in put for name in ([each] if "." in each else [f"{each}.{j}" for j in range(5)])]


async def test_two_workers_on_one_take_put_the_same(
    served: RunningOrigin, worker: Callable[[], Worker]
) -> None:
    first, second = worker(), worker()
    one, two = first.carry(0), second.carry(0)
    for stop in range(RUN, LENGTH + 1, RUN):
        bring(one, stop)
        if stop % (7 * RUN) == 0:
            bring(two, stop)
        await asyncio.sleep(0.002)
    for mirror in (one, two):
        await bring_all(mirror, LENGTH)
        mirror.take_in(Ended(LENGTH), LENGTH, 1, "a", 0.0)
    await until(lambda: first.mirrors.delivered == second.mirrors.delivered == {KEY})
    wanted = segmented()
    answer = await served.get("3.m4s")
    assert answer.body == b"".join(wanted[Position(3, index)] for index in range(5))
    assert not first.conflicts
    assert not second.conflicts


async def test_what_the_bus_has_lost_is_a_gap_and_the_take_goes_on(
    served: RunningOrigin, worker: Callable[[], Worker]
) -> None:
    first, second = worker(), worker()
    await bring_all(first.carry(0), GRID.start_sample(Position(1, 2)) + LOOKAHEAD)
    await until(at(served, Position(1, 2)))
    await first.die()
    mirror = second.carry(first_sample(1) - PREROLL_FRAMES * FRAME)
    second.mirrors.attach("a")
    # The bus begins in the middle of segment 2.
    begins = 2 * SEGMENT + 10 * RUN
    assert not mirror.take_in(_entry(begins, LENGTH), begins + RUN, 1, "a", 0.0)
    second.mirrors.settle()
    await bring_all(mirror, LENGTH)
    mirror.take_in(Ended(LENGTH), LENGTH, 1, "a", 0.0)
    await until(lambda: second.mirrors.delivered == {KEY})
    playlist = (await served.playlist()).text
    assert playlist.count("EXT-X-GAP\n") == 2
    assert "EXT-X-DISCONTINUITY" not in playlist
    wanted = segmented()
    for msn, whole in ((0, True), (1, False), (2, False), (3, True)):
        answer = await served.get(f"{msn}.m4s")
        assert (answer.status == 200) == whole
    assert (await served.get("3.4.m4s")).body == wanted[Position(3, 4)]
