"""A take that leaves a worker, and origins that come and go while takes live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeHeader, TakeSettings
from pipeline.grid import FRAME, PREROLL_FRAMES, Grid, first_sample
from storage.names import fragment_name
from tests import takes
from tests.archiving import Node, Storage, archived, log_of, play
from tests.publishing import KEY, BadLine, MemoryOrigin, encoded
from tests.waiting import until
from workers.archive.fragment_file import scan
from workers.origin_client import OriginClient
from workers.publisher import Publisher
from workers.redis_bus.entries import Ended, Sound
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors
from workers.transcoder_pool import TranscoderPool

SEGMENT = 96_000
HEADER = TakeHeader(takes.EPOCH_US, TakeSettings(), "f")
SOUND = np.random.default_rng(4).integers(-9000, 9000, (20 * SEGMENT, 1)).astype("<i2")


class Worker:
    """Mirrors, a pool, a publisher and an archive; the test fills the mirrors."""

    def __init__(self, root: Path, *origins: OriginClient) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.mirrors = Mirrors()
        self.publisher = Publisher(origins, self.metrics)
        self.node = Node(root / "node", Storage(root / "storage"), *origins)
        self.node.archiver.start()
        self.pool = TranscoderPool(
            self.mirrors, self.publisher, self.metrics, threads=1, archiver=self.node.archiver
        )
        self.pool.start()

    async def stop(self) -> None:
        await self.pool.stop()
        await self.node.archiver.stop(grace=0)
        await self.publisher.stop(grace=0)


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Callable[..., Worker]]:
    made: list[Worker] = []

    def make(*origins: OriginClient) -> Worker:
        made.append(Worker(tmp_path, *origins))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def bring(mirror: Mirror, stop: int) -> None:
    while mirror.top < stop:
        end = min(stop, mirror.top + 4800)
        mirror.take_in(Sound(mirror.top, end, SOUND[mirror.top : end].tobytes()), end, 1, "a", 0.0)
        await asyncio.sleep(0)


async def test_a_take_that_is_dropped_is_published_no_more_and_another_one_goes_on(
    worker: Callable[..., Worker],
) -> None:
    origin = MemoryOrigin()
    here = worker(origin)
    other = KEY._replace(room="other")
    mirror, stays = here.mirrors.follow(KEY, HEADER, 0), here.mirrors.follow(other, HEADER, 0)
    await bring(mirror, SEGMENT)
    await until(lambda: origin.reached() == Position(0, 4))
    assert here.publisher.reached(KEY) == Position(0, 4)
    here.mirrors.drop(KEY)
    await until(lambda: here.publisher.reached(KEY) is None)
    await bring(mirror, 2 * SEGMENT)
    await bring(stays, SEGMENT)
    await until(lambda: other in origin.takes and origin.takes[other].renditions["64k"].next.part == 4)
    assert origin.reached() == Position(0, 4)
    own = f"{KEY.room}/{KEY.take}"
    await until(lambda: not any(own in task.get_name() for task in asyncio.all_tasks()))
    assert here.mirrors.delivered == set()


async def test_a_take_that_comes_back_goes_on_from_where_others_brought_it(
    worker: Callable[..., Worker],
) -> None:
    origin = MemoryOrigin()
    here = worker(origin)
    await bring(here.mirrors.follow(KEY, HEADER, 0), SEGMENT)
    await until(lambda: origin.reached() == Position(0, 4))
    # It is dropped and followed again before anybody looked.
    here.mirrors.drop(KEY)
    mirror = here.mirrors.follow(KEY, HEADER, 0)
    await bring(mirror, 3 * SEGMENT)
    mirror.take_in(Ended(3 * SEGMENT), 3 * SEGMENT, 1, "a", 0.0)
    await until(lambda: here.mirrors.delivered == {KEY})
    assert origin.ended() == 3 * SEGMENT
    assert origin.gaps == []
    errors = here.metrics.registry.get_sample_value
    assert not errors("longwave_unexpected_errors_total", {"where": "transcoder"})
    # It is finished where it ended, and once.
    await until(lambda: [key for key, _ in here.node.finished] == [KEY])


async def test_what_was_encoded_of_a_take_that_left_is_stored_and_others_finish_it(
    worker: Callable[..., Worker],
) -> None:
    origin = MemoryOrigin()
    here = worker(origin)
    await bring(here.mirrors.follow(KEY, HEADER, 0), 17 * SEGMENT)
    await until(lambda: origin.reached() == Position(16, 4))
    here.mirrors.drop(KEY)
    storage = Storage(here.node.spool.parent.parent / "storage")
    await until(lambda: storage.head(fragment_name(KEY, "64k", 15)) is not None)
    await until(lambda: here.node.archiver.working == frozenset())
    assert here.node.finished == []
    assert list(here.node.spool.iterdir()) == []
    # The rest comes from elsewhere; then the take comes back.
    mirror = here.mirrors.follow(KEY, HEADER, first_sample(16) - PREROLL_FRAMES * FRAME)
    await bring(mirror, 18 * SEGMENT)
    mirror.take_in(Ended(18 * SEGMENT), 18 * SEGMENT, 1, "a", 0.0)
    await until(lambda: [key for key, _ in here.node.finished] == [KEY])
    assert here.node.finished[0][1].lost == ()
    # The rest lies beside what was stored when the take left.
    stored = [info.name for info in storage.list(fragment_name(KEY, "64k", 15).removesuffix(".mp4"))]
    parts = scan(b"".join(storage.read(name).data for name in stored), Grid(5), 15).places
    assert len(stored) == 2
    assert {*parts} == {*takes.positions(Grid(5), Position(15, 0), Position(18, 0))}
    assert origin.ended() == 18 * SEGMENT


async def test_what_was_not_encoded_here_of_a_take_that_left_is_not_called_lost(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "storage")
    node, log = Node(tmp_path / "node", storage), log_of(HEADER, 4)
    node.archiver.start(lambda: [KEY])
    play(node.archiver.open(log), log, encoded((4, 0), (14, 2)))
    node.archiver.release(KEY)
    await until(lambda: node.archiver.working == frozenset())
    stored = [*takes.positions(Grid(5), Position(4, 0), Position(14, 2))]
    assert archived(storage, Grid(5), "64k", 0) == stored
    assert node.value("archive_lost_seconds_total") == 0
    await node.archiver.stop()


async def test_a_worker_stops_while_a_take_leaves(worker: Callable[..., Worker]) -> None:
    hanging = BadLine()
    hanging.hangs = True
    here = worker(hanging)
    await bring(here.mirrors.follow(KEY, HEADER, 0), SEGMENT)
    await until(lambda: KEY in here.publisher._takes)
    here.mirrors.drop(KEY)
    await here.stop()
    assert KEY not in here.publisher._takes


# ---------------------------------------------------------------- origins come and go


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    made = Publisher([], Metrics(CollectorRegistry()))
    yield made
    await made.stop(grace=0)


async def test_a_new_origin_gets_the_takes_that_live_and_one_that_left_gets_no_more(
    publisher: Publisher,
) -> None:
    old, stays, new = MemoryOrigin("old"), MemoryOrigin("stays"), MemoryOrigin("new")
    await publisher.set_origins([old, stays])
    log = publisher.open(KEY, takes.header(), 0)
    log.append(encoded((0, 0), (2, 0)))
    await until(lambda: old.reached() == stays.reached() == Position(2, 0))
    await publisher.set_origins([stays, new])
    assert old.closed
    assert not stays.closed
    log.append(encoded((2, 0), (2, 3)))
    await until(lambda: stays.reached() == new.reached() == Position(2, 3))
    assert old.reached() == Position(2, 0)
    assert stays.requests.count("take.json") == 1
    assert await publisher.states(KEY) == [await stays.state(KEY), await new.state(KEY)]


async def test_an_ended_take_waits_for_an_origin_where_there_is_none(publisher: Publisher) -> None:
    log = publisher.open(KEY, takes.header(), 0)
    log.append(encoded((0, 0), (1, 0)))
    publisher.finish(KEY, SEGMENT)
    delivered = asyncio.ensure_future(publisher.delivered(KEY))
    await asyncio.sleep(0.05)
    assert not delivered.done()
    origin = MemoryOrigin()
    await publisher.set_origins([origin])
    await delivered
    assert origin.ended() == SEGMENT


async def test_an_ended_take_is_delivered_when_the_origin_that_hangs_is_taken_away(
    publisher: Publisher,
) -> None:
    good, hanging = MemoryOrigin("good"), BadLine()
    hanging.hangs = True
    await publisher.set_origins([good, hanging])
    log = publisher.open(KEY, takes.header(), 0)
    log.append(encoded((0, 0), (1, 0)))
    publisher.finish(KEY, SEGMENT)
    await until(lambda: good.ended() == SEGMENT)
    delivered = asyncio.ensure_future(publisher.delivered(KEY))
    await asyncio.sleep(0.05)
    assert not delivered.done()
    await publisher.set_origins([good])
    await delivered
