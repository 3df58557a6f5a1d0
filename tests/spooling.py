"""Spools on a disk, and what is kept in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from pipeline.grid import Grid
from tests import takes
from tests.publishing import KEY, encoded
from workers.archive.spool import Spool
from workers.archive.spool_disk import SpoolDisk
from workers.archive.spool_take import SpoolTake

GRID = Grid(5)
HEADER = takes.header()


def size(start: tuple[int, int], stop: tuple[int, int]) -> int:
    return sum(len(part.data) for part in encoded(start, stop))


def keep(spool: Spool, start: tuple[int, int], stop: tuple[int, int]) -> bool:
    return spool.keep(spool.take(KEY), HEADER, encoded(start, stop), None)


def spooled(spool: Spool, first: int = 0) -> list[Position]:
    return sorted(spool.take(KEY).read("64k", first))


def take_in(root: Path, limit: int = 2**20) -> SpoolTake:
    return SpoolTake(root / KEY.room / KEY.take, KEY, SpoolDisk(limit))


@contextmanager
def spools(root: Path) -> Iterator[Callable[..., Spool]]:
    """What opens a spool in `root`, as often as it is called."""
    made: list[Spool] = []

    def spool(
        limit: int = 2**20, patience: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> Spool:
        metrics = Metrics(CollectorRegistry())
        made.append(Spool(root, limit, metrics, patience=patience, clock=clock))
        made[-1].start()
        return made[-1]

    try:
        yield spool
    finally:
        for each in made:
            each.close()
