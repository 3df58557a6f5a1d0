"""Archives for tests: a storage that fails on command, and a take that is encoded without an encoder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from contracts.errors import StorageUnavailable
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeHeader, TakeKey
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.segmenter import EncodedPart
from storage.disk_objects import DiskObjects
from storage.names import fragment_name
from storage.objects import Content
from tests.publishing import KEY, encoded
from workers.archive.archiver import Archiver
from workers.archive.commit import StoryMissing
from workers.archive.fragment_file import scan
from workers.archive.notes import ArchiveNotes
from workers.archive.take_archive import TakeArchive
from workers.origin_client import OriginClient
from workers.parts_log import TakeLog

SILENT = np.empty((0, 1), np.int16)


class Storage(DiskObjects):
    """A real storage that is `down` when told so, and hangs until events are set.

    `puts` are the names that were put, in order; `before_put` is called with each.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.down = False
        self.tries = 0
        self.puts: list[str] = []
        self.reads = 0
        self.hang: threading.Event | None = None
        self.unread: threading.Event | None = None
        self.before_put: Callable[[str], None] = lambda _: None

    def read(self, name: str, start: int = 0, stop: int | None = None, *, etag: str | None = None) -> Content:
        self.reads += 1
        if self.unread is not None:
            self.unread.wait()
        return super().read(name, start, stop, etag=etag)

    def put_new(self, name: str, data: bytes) -> bool:
        self.tries += 1
        if self.hang is not None:
            self.hang.wait()
        if self.down:
            raise StorageUnavailable("no answer")
        self.before_put(name)
        new = super().put_new(name, data)
        if new:
            self.puts.append(name)
        return new


def log_of(header: TakeHeader, first: int = 0, window: int = 450) -> TakeLog:
    inits = {each.name: init_segment(header.settings, each) for each in header.settings.renditions}
    return TakeLog(KEY, header, first, inits, window)


class Node:
    """What archives on one machine: its disk outlives it, and so does the storage."""

    def __init__(
        self,
        root: Path,
        storage: Storage,
        *origins: OriginClient,
        spool_bytes: int = 2**26,
        patience: float = 5.0,
    ) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.finished: list[tuple[TakeKey, ArchiveNotes]] = []
        self.refuse_to_finish: list[Exception] = []
        self.asked = 0
        self.untold = False
        self.kept: set[TakeKey] = set()
        self.later = 0.0
        self.spool = root / "spool"
        self.archiver = Archiver(
            storage,
            self.spool,
            spool_bytes,
            self.metrics,
            finish=self._finish,
            origins=origins,
            patience=patience,
            kept_here=lambda key: key in self.kept,
            clock=lambda: time.monotonic() + self.later,
        )

    def _finish(self, key: TakeKey, notes: ArchiveNotes, *, without_story: bool = False) -> None:
        self.asked += 1
        if self.untold and not without_story:
            raise StoryMissing("nobody has told it")
        if self.refuse_to_finish:
            raise self.refuse_to_finish.pop(0)
        self.finished.append((key, notes))

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"longwave_{name}", labels) or 0.0

    @property
    def files(self) -> list[str]:
        """The fragments in the spool."""
        return sorted(
            str(path.relative_to(self.spool / KEY.room / KEY.take)) for path in self.spool.rglob("*.mp4")
        )


def play(archive: TakeArchive, log: TakeLog, parts: Iterable[EncodedPart]) -> None:
    """Encode: keep each part, then put it into the log."""
    by_position: dict[Position, list[EncodedPart]] = {}
    for part in parts:
        by_position.setdefault(Position(part.msn, part.part), []).append(part)
    for together in by_position.values():
        archive.keep(together, 0, SILENT)
        log.append(together)


def archived(storage: DiskObjects, grid: Grid, rendition: str, first: int) -> list[Position]:
    """The parts of a fragment in the storage, as they lie there; all of it is parts."""
    data = storage.read(fragment_name(KEY, rendition, first)).data
    found = scan(data, grid, first)
    assert found.size == len(data)
    return list(found.places)


def whole(start: tuple[int, int], stop: tuple[int, int], renditions: Sequence[str] = ("64k",)) -> bytes:
    """Parts as they lie in an object of one rendition."""
    return b"".join(part.data for part in encoded(start, stop, renditions))
