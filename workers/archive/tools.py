"""What the archives of all takes of a process use together, and what is known of one take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from contracts.metrics import Metrics
    from contracts.take import TakeHeader, TakeKey
    from pipeline.grid import Grid
    from storage.objects import Objects
    from workers.archive.notes import ArchiveNotes
    from workers.archive.sources import Source
    from workers.archive.spool import Spool
    from workers.archive.spool_take import SpoolTake
    from workers.archive.threads import Threads
    from workers.archive.uploads import Uploads
    from workers.archive.windows import Windows


class Finish(Protocol):
    """Finishes a take, as `Finisher.finish` does."""

    def __call__(self, key: TakeKey, notes: ArchiveNotes, /, *, without_story: bool = False) -> None:
        """Blocks. Raises a LongwaveError where it is to be tried again."""


@dataclass(frozen=True, slots=True)
class Tools:
    """`files` are threads for reading the spool, `finishing` those for `finish`. `clock` is monotonic.

    `kept_here` says of a take whether its owner in this process has yet to tell what happened in it.
    """

    objects: Objects
    spool: Spool
    uploads: Uploads
    windows: Windows
    files: Threads
    finishing: Threads
    finish: Finish
    kept_here: Callable[[TakeKey], bool]
    metrics: Metrics
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Subject:
    """The take: `spooled` is what the disk has of it, `source` says how far it is.

    One that was `released` is archived to its end by somebody else, who finds out what is lost of it.
    """

    key: TakeKey
    header: TakeHeader
    grid: Grid
    renditions: tuple[str, ...]
    spooled: SpoolTake
    source: Source
    released: bool = False

    def over(self, first: int) -> bool:
        """Whether the take ends before the fragment `first`."""
        stop = self.source.stop
        return stop is not None and (first, 0) >= stop
