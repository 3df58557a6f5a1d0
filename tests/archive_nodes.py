"""Archivers of one take over one storage, each on a disk of its own, that wait for nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from contracts.position import Position
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests import takes
from tests.archiving import Node, Storage
from tests.publishing import KEY, MemoryOrigin, encoded
from workers.backoff import Backoff

GRID = Grid(5)
HEADER = takes.header()
Nodes = Callable[..., Node]


async def origin_with(stop: tuple[int, int], end: int | None = None) -> MemoryOrigin:
    """An origin that has the take up to `stop`."""
    origin = MemoryOrigin()
    await origin.put_take(KEY, HEADER)
    await origin.put_init(KEY, "64k", init_segment(HEADER.settings, HEADER.settings.renditions[0]))
    for part in encoded((0, 0), stop):
        await origin.put_part(KEY, part.rendition, part.msn, part.part, part.data)
    if end is not None:
        await origin.end(KEY, end)
    return origin


def every(start: tuple[int, int], stop: tuple[int, int]) -> list[Position]:
    return list(takes.positions(GRID, Position(*start), Position(*stop)))


@asynccontextmanager
async def nodes(root: Path, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Nodes]:
    """What makes nodes below `root`, which are stopped in the end; `live`: the take is live there.

    No machine loses its power here, and nobody has time.
    """
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr("workers.archive.gathering._REFILL_SECONDS", 0.02)
    for module in ("archiver", "gathering", "depositing", "ending", "uploads"):
        monkeypatch.setattr(f"workers.archive.{module}.Backoff", lambda first, longest: Backoff(0.02, 0.2))
    made: list[Node] = []

    def make(*origins: MemoryOrigin, name: str = "here", live: bool = True, **options: int) -> Node:
        one = Node(root / name, storage, *origins, **options)
        made.append(one)
        one.archiver.start(lambda: [KEY] if live else [])
        return one

    try:
        yield make
    finally:
        storage.down, storage.hang = False, None
        for one in made:
            await one.archiver.stop(grace=0)
