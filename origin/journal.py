"""Writes the window to disk, off the live path and at most about a second behind it.

`record` only appends to a queue in memory. A thread writes. A disk that is slow, full or gone costs the
live path nothing: the queue is bounded, its oldest media is dropped and counted (a hole becomes a gap on
reload), `degraded` says so, and writing goes on when the disk does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from origin.journal_format import MEDIA_KINDS, Record, RecordKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from contracts.metrics import Metrics
    from contracts.take import TakeKey
    from origin.journal_store import JournalStore

log = structlog.get_logger()

QUEUE_BYTES: Final = 64 * 2**20
"""What may wait for the disk: 50 rooms of 64 kbit/s for two and a half minutes."""
_INTERVAL: Final = 0.2
_RETRY_SECONDS: Final = 1.0
_BEHIND_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Evict:
    first: int


class _Remove:
    """The take has left the window."""


@dataclass(frozen=True, slots=True)
class _Rewrite:
    records: Sequence[Record]
    since: float


@dataclass(frozen=True, slots=True)
class _Entry:
    key: TakeKey
    record: Record
    since: float


@dataclass(frozen=True, slots=True)
class _Deletion:
    what: _Evict | _Remove
    since: float


class Journal:
    """The queue and its thread. `record`, `evict` and `remove` never block; `close` writes what is left."""

    def __init__(
        self,
        store: JournalStore,
        metrics: Metrics,
        *,
        queue_bytes: int = QUEUE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._limit = queue_bytes
        self._clock = clock
        self._lock = threading.Lock()
        # The newest of each take. They come first and wait for nothing: a full disk needs them.
        self._deletions: dict[TakeKey, _Deletion] = {}
        # Whole takes, whose media is the window's own and costs no memory here. Before what came after them.
        self._rewrites: dict[TakeKey, _Rewrite] = {}
        # What says how to read the media is never dropped, and is written before it.
        self._control: deque[_Entry] = deque()
        self._media: deque[_Entry] = deque()
        self._bytes = 0
        self._writing_since: float | None = None
        self._known: set[TakeKey] = set()
        self._failure: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Start writing."""
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits and stop. A disk that hangs is left to itself after `timeout` seconds."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def adopt(self, key: TakeKey) -> None:
        """Go on with a take that was loaded from this journal."""
        self._known.add(key)

    def record(self, key: TakeKey, record: Record) -> None:
        """Something new was put."""
        entry = _Entry(key, record, self._clock())
        with self._lock:
            if record.kind in MEDIA_KINDS:
                self._media.append(entry)
                self._bytes += record.size
                self._shed()
            else:
                self._control.append(entry)

    def rewrite(self, key: TakeKey, records: Sequence[Record]) -> None:
        """Write a take anew, whatever was written of it: `records` are all there is of it now."""
        with self._lock:
            # The rewrite deletes by itself: what waits to be deleted must not come after it.
            self._deletions.pop(key, None)
            self._control = deque(entry for entry in self._control if entry.key != key)
            self._media = deque(entry for entry in self._media if entry.key != key)
            self._bytes = sum(entry.record.size for entry in self._media)
            self._rewrites[key] = _Rewrite(records, self._clock())

    def evict(self, key: TakeKey, first: int) -> None:
        """Nothing below `first` is listed or served any more."""
        with self._lock:
            waiting = self._deletions.get(key)
            if waiting is None or isinstance(waiting.what, _Evict):
                self._deletions[key] = _Deletion(_Evict(first), self._clock())

    def remove(self, key: TakeKey) -> None:
        """The take has left the window: what still waits to be written of it need not be."""
        with self._lock:
            self._control = deque(entry for entry in self._control if entry.key != key)
            self._rewrites.pop(key, None)
            self._deletions[key] = _Deletion(_Remove(), self._clock())

    def degraded(self, now: float) -> str | None:
        """What is wrong, in a few words, or None. `now` is the clock's."""
        if self._failure is not None:
            return self._failure
        with self._lock:
            waiting = [queue[0].since for queue in (self._control, self._media) if queue]
            waiting += [deletion.since for deletion in self._deletions.values()]
            waiting += [rewrite.since for rewrite in self._rewrites.values()]
            if self._writing_since is not None:
                waiting.append(self._writing_since)
        oldest = min(waiting, default=now)
        if now - oldest > _BEHIND_SECONDS:
            return f"journal: {now - oldest:.0f} s behind"
        return None

    def _shed(self) -> None:
        """Drop the oldest media while too much waits."""
        while self._bytes > self._limit and self._media:
            self._bytes -= self._media.popleft().record.size
            self._metrics.journal_dropped.inc()
        self._metrics.journal_lag.set(self._bytes)

    def _run(self) -> None:
        pause = _INTERVAL
        while not self._stop.wait(pause):
            pause = _INTERVAL if self.flush() else _RETRY_SECONDS
        self.flush()

    def flush(self) -> bool:
        """Write what waits now. Returns whether the disk took it; what it did not take waits on."""
        try:
            self._delete()
            self._write_anew()
            self._write_control()
            self._write_media()
        except OSError as error:
            if self._failure is None:
                log.warning("the journal cannot be written; live audio goes on without it", reason=str(error))
            self._failure = f"journal: {error.strerror or error}"
            return False
        if self._failure is not None:
            log.info("the journal is being written again")
        self._failure = None
        return True

    def _delete(self) -> None:
        with self._lock:
            deletions = list(self._deletions.items())
        for key, deletion in deletions:
            match deletion.what:
                case _Evict(first):
                    self._store.evict(key, first)
                case _Remove():
                    self._known.discard(key)
                    self._store.remove(key)
            with self._lock:
                if self._deletions.get(key) is deletion:
                    del self._deletions[key]

    def _write_anew(self) -> None:
        while True:
            with self._lock:
                waiting = next(iter(self._rewrites.items()), None)
            if waiting is None:
                return
            key, rewrite = waiting
            self._store.remove(key)
            files: dict[Path, list[Record]] = {}
            for record in rewrite.records:
                files.setdefault(self._store.path_of(key, record), []).append(record)
            for path, records in files.items():
                self._store.append(path, records)
            self._known.add(key)
            with self._lock:
                if self._rewrites.get(key) is rewrite:
                    del self._rewrites[key]

    def _write_control(self) -> None:
        while True:
            with self._lock:
                if not self._control:
                    return
                entry = self._control[0]
            if entry.record.kind is RecordKind.HEADER:
                self._known.add(entry.key)
            if entry.key in self._known:
                self._store.append(self._store.path_of(entry.key, entry.record), (entry.record,))
            with self._lock:
                if self._control and self._control[0] is entry:
                    self._control.popleft()

    def _write_media(self) -> None:
        with self._lock:
            entries, self._media, self._bytes = self._media, deque(), 0
            self._writing_since = entries[0].since if entries else None
        files: dict[Path, list[_Entry]] = {}
        for entry in entries:
            # Media of a take that has left meanwhile is let go.
            if entry.key in self._known:
                files.setdefault(self._store.path_of(entry.key, entry.record), []).append(entry)
        waiting = list(files.items())
        try:
            while waiting:
                path, chosen = waiting[0]
                self._store.append(path, [entry.record for entry in chosen])
                waiting.pop(0)
        finally:
            self._put_back([entry for _, chosen in waiting for entry in chosen])

    def _put_back(self, entries: list[_Entry]) -> None:
        with self._lock:
            self._writing_since = None
            self._media.extendleft(reversed(entries))
            self._bytes += sum(entry.record.size for entry in entries)
            self._shed()
