"""Finishes takes, and changes finished ones. Blocking: called in threads, by any number of them.

Whatever it does may be done again after a crash at any point, by this process or another, with the same
outcome. Within one process a take is worked on by one thread at a time; between processes the order of
writing and conditional writes keep it right (`derive`).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import structlog

from contracts.errors import NotFound, ObjectDamaged
from contracts.metrics import Metrics
from contracts.take import TakeKey
from storage.entry import ReplayEntry
from storage.names import PEAKS, open_name, take_object
from storage.objects import Objects
from storage.reading import is_deleted
from workers.archive.commit import Committed, StoryMissing, commit_take
from workers.archive.delete import clear, delete_take
from workers.archive.derive import derive_take
from workers.archive.edit import Change, edit_meta, finished_take
from workers.archive.joining import remove_pieces
from workers.archive.make import Making
from workers.archive.notes import ArchiveNotes
from workers.archive.reading import Deleted
from workers.archive.steps import Progress, Steps

__all__ = ["Finisher", "StoryMissing"]

log = structlog.get_logger()
_NO_NOTES = ArchiveNotes()


class Finisher:
    """Works on the takes of one storage. `clock` gives seconds since 1970, for tombstones."""

    def __init__(self, objects: Objects, metrics: Metrics | None, *, clock: Callable[[], float]) -> None:
        self._objects = objects
        self._metrics = metrics
        self._clock = clock
        self._turns = _Turns()

    def busy(self, key: TakeKey) -> bool:
        """Whether a thread of this process works on the take at this moment."""
        return self._turns.taken(key)

    def finish(
        self,
        key: TakeKey,
        notes: ArchiveNotes | None = None,
        *,
        without_story: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """See that a take which is over has all that a replay is; one that was deleted is removed.

        `without_story` takes what the take's owner never told from the fragments, as far as it is in them.
        Raises StoryMissing, StorageUnavailable, and ObjectDamaged for what cannot be read any more.
        """
        steps = Steps(progress)
        with self._turns.of(key), self._unless_deleted(key):
            made = commit_take(self._objects, key, notes or _NO_NOTES, steps, without_story=without_story)
            if made is None:
                log.warning("nothing was kept of a take", room=key.room, take=key.take)
                self._objects.delete([open_name(key)])
                return
            remove_pieces(self._objects, made.commit)
            entry = self._derive(made, steps, notes)
            self._count("finished")
            if entry is not None:
                log.info(
                    "a replay is there", room=key.room, take=key.take, samples=entry.samples, bytes=entry.size
                )

    def derive(self, key: TakeKey, *, again: bool = False, progress: Progress | None = None) -> None:
        """See that what is made from a finished take is there and up to date; `again` makes all of it anew.

        Raises NotFound, StillLive, ObjectDamaged, StorageUnavailable.
        """
        with self._turns.of(key), self._unless_deleted(key):
            commit = finished_take(self._objects, key)
            remove_pieces(self._objects, commit)
            if again:
                self._objects.delete([take_object(key, PEAKS)])
            self._derive(Committed(commit), Steps(progress), None, again=again)

    def edit(self, key: TakeKey, change: Change) -> ReplayEntry:
        """Change what a host may change; what is public at once, all else a moment later, when this returns.

        Raises NotFound, StillLive, EditConflict, ObjectDamaged, StorageUnavailable; a change that was made
        before such an error holds, and what follows from it is derived by the next sweep.
        """
        with self._unless_deleted(key):
            commit = finished_take(self._objects, key)
            edit_meta(self._objects, commit, change)
            with self._turns.of(key):
                entry = self._derive(Committed(commit), Steps(), None)
            if entry is not None:
                self._count("edited")
                return entry
        raise NotFound(f"{key.room}/{key.take}: no such replay")

    def delete(self, key: TakeKey) -> None:
        """Remove a take for good. Raises NotFound, EditConflict, StorageUnavailable."""
        instant = datetime.fromtimestamp(self._clock(), tz=UTC)
        delete_take(self._objects, key, instant.isoformat(timespec="seconds").replace("+00:00", "Z"))
        self._count("deleted")

    def _derive(
        self, made: Committed, steps: Steps, notes: ArchiveNotes | None, *, again: bool = False
    ) -> ReplayEntry | None:
        story = made.commit.story
        if not story.samples:
            self._objects.delete([open_name(story.key)])
            return None
        peaks = notes.peaks if notes is not None else None
        making = Making(self._objects, made.commit, steps, indexes=made.indexes, live_peaks=peaks)
        return derive_take(self._objects, making, again=again)

    @contextlib.contextmanager
    def _unless_deleted(self, key: TakeKey) -> Iterator[None]:
        """A take may be deleted while it is worked on: then what was written meanwhile goes too."""
        try:
            yield
        except Deleted:
            clear(self._objects, key)
        except (ObjectDamaged, StoryMissing) as error:
            if not is_deleted(self._objects, key):
                if isinstance(error, ObjectDamaged):
                    self._count("damaged")
                raise
            clear(self._objects, key)

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.replays.labels(outcome).inc()


class _Turns:
    """One thread a take; the others wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._takes: dict[TakeKey, tuple[threading.Lock, int]] = {}

    def taken(self, key: TakeKey) -> bool:
        """Whether somebody has the turn."""
        with self._lock:
            return key in self._takes

    @contextlib.contextmanager
    def of(self, key: TakeKey) -> Iterator[None]:
        """Wait for the turn, and give it back."""
        with self._lock:
            turn, waiting = self._takes.get(key, (threading.Lock(), 0))
            self._takes[key] = turn, waiting + 1
        try:
            with turn:
                yield
        finally:
            with self._lock:
                _, waiting = self._takes.pop(key)
                if waiting > 1:
                    self._takes[key] = turn, waiting - 1
