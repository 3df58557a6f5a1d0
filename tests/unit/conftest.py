"""What several files of unit tests begin with: takes, listeners, ingests and archivers in virtual time.

What they are made of is imported when a test asks for it: other files need not wait for it.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pipeline.take_window import TakeWindow
    from storage.objects import Objects
    from tests.archive_nodes import Nodes
    from tests.archiving import Storage
    from tests.finish_moments import Ground
    from tests.load_stage import Stage
    from tests.other_ingests import OtherIngests
    from tests.world import World

# ---------------------------------------------------------------- simulated listeners


@pytest.fixture
def plain_listener() -> Iterator[Stage]:
    """A plain listener of segments 0 to 9, at 1000 exactly six seconds behind their end."""
    from tests.load_stage import six_seconds_behind

    stage = six_seconds_behind()
    yield stage
    stage.listener.end(stage.now)


@pytest.fixture
def fast_listener() -> Iterator[tuple[Stage, TakeWindow]]:
    """A low-latency listener at the edge of segments 0 to 9, who waits for part 0 of segment 10."""
    from tests.load_stage import at_the_edge

    stage, take = at_the_edge()
    yield stage, take
    stage.listener.end(stage.now)


# ---------------------------------------------------------------- ingests


@pytest.fixture
async def lone_world(tmp_path: Path) -> AsyncIterator[World]:
    """An ingest that knows of no others."""
    from tests.world import World

    made = World(tmp_path)
    yield made
    await made.ingest.stop()


@pytest.fixture
def other_ingests() -> OtherIngests:
    """Those that the ingest of `shared_world` claims its rooms among."""
    from tests.other_ingests import OtherIngests

    return OtherIngests()


@pytest.fixture
async def shared_world(tmp_path: Path, other_ingests: OtherIngests) -> AsyncIterator[World]:
    """An ingest among others."""
    from tests.world import World

    made = World(tmp_path, claims=other_ingests)
    yield made
    await made.ingest.stop()


# ---------------------------------------------------------------- archivers, and finished takes


@pytest.fixture
def archive_storage(tmp_path: Path) -> Storage:
    """An empty storage that fails on command."""
    from tests.archiving import Storage

    return Storage(tmp_path / "storage")


@pytest.fixture
async def archive_node(
    tmp_path: Path, archive_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Nodes]:
    """What makes nodes that archive into `archive_storage`."""
    from tests.archive_nodes import nodes

    async with nodes(tmp_path, archive_storage, monkeypatch) as make:
        yield make


@pytest.fixture
def disk_objects(tmp_path: Path) -> Objects:
    """An empty storage in a directory."""
    from storage.disk_objects import DiskObjects

    return DiskObjects(tmp_path)


@pytest.fixture(scope="module")
def finish_ground() -> Ground:
    """Copies of one take, over or finished, to finish and edit in every way."""
    from tests.finish_moments import Ground

    return Ground()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long work in a thread does not rest between its steps."""
    from workers.archive import steps

    monkeypatch.setattr(steps, "_PAUSE", 0)
