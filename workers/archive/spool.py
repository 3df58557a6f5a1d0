"""The spool: what was encoded and is not in the storage yet, on this disk, bounded, surviving kill -9.

`keep` is called by encoders before a part goes anywhere, and waits until it is written, but never long: a
disk that hangs, is full or broken costs live audio nothing. What it does not take in time is noted with the
take (`SpoolTake.refusals`), stays in the take's log, and is offered again by whoever archives the take.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import structlog

from contracts.errors import BadRequest, DiskUnavailable
from contracts.ids import check_room, check_take
from contracts.take import TakeKey
from storage.files import disk_errors
from workers.archive.spool_disk import SpoolDisk, SpoolFull
from workers.archive.spool_take import SpoolTake
from workers.archive.spool_writer import SpoolWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from contracts.metrics import Metrics
    from contracts.take import TakeHeader
    from pipeline.segmenter import EncodedPart

log = structlog.get_logger()

T = TypeVar("T")

PATIENCE: Final = 0.05
"""Seconds that an encoder waits for the disk: a seventh of what a listener's player has in hand."""
_QUEUE_BYTES: Final = 8 * 2**20
"""What may wait for the writer: 50 rooms of 64 kbit/s for 20 s. More stays in the takes' logs."""
_HANGS_SECONDS: Final = 2.0
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NEARLY_FULL: Final = 0.8


class PeakRecords(NamedTuple):
    """Records of the waveform, for the file of them from byte `offset` on."""

    offset: int
    data: bytes


class Spool:
    """All takes under `root`, `limit` bytes of media at most. `clock` is monotonic, `patience` in seconds."""

    def __init__(
        self,
        root: Path,
        limit: int,
        metrics: Metrics,
        *,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._disk = SpoolDisk(limit)
        self._metrics = metrics
        self._patience = patience
        self._writer = SpoolWriter(self._sync, clock)
        self._lock = threading.Lock()
        self._takes: dict[TakeKey, SpoolTake] = {}
        self._waiting = 0
        self._blocked = False
        self._refusing: str | None = None
        self._not_synced: str | None = None
        metrics.spool_limit_bytes.set(limit)
        metrics.spool_bytes.set_function(lambda: self._disk.used)

    def start(self) -> None:
        """Start writing."""
        self._writer.start()

    def close(self, timeout: float = 5.0) -> None:
        """Write what waits, make it durable, stop."""
        self._writer.close(timeout)

    @property
    def used(self) -> int:
        """Bytes of media in it."""
        return self._disk.used

    @property
    def degraded(self) -> str | None:
        """What is wrong, in a few words, or None."""
        if self._writer.hanging > _HANGS_SECONDS:
            return f"archive: the disk of the spool has not answered for {self._writer.hanging:.0f} s"
        if self._refusing is not None:
            return f"archive: {self._refusing}; what is new is kept in memory for one window only"
        share = self._disk.used / self._disk.limit
        if share >= _NEARLY_FULL:
            return f"archive: the spool is {share:.0%} full"
        return self._not_synced

    def take(self, key: TakeKey) -> SpoolTake:
        """A take, whether anything of it is here or not."""
        with self._lock:
            take = self._takes.get(key)
            if take is None:
                directory = self._root / check_room(key.room) / check_take(key.take)
                take = self._takes[key] = SpoolTake(directory, key, self._disk)
            return take

    def forget(self, key: TakeKey) -> None:
        """Nothing of the take is here any more."""
        with self._lock:
            self._takes.pop(key, None)
            refused = any(take.refusals for take in self._takes.values())
        # Nobody may have anything to write for hours, and until then it would be said to refuse.
        if not refused:
            self._accepts()

    def survey(self) -> list[SpoolTake]:
        """What an earlier process left here, oldest first; empty shells are removed.

        Blocks; to be called in the order of all writing (`do`). Raises DiskUnavailable.
        """
        keys = []
        with disk_errors(self._root):
            for path in self._root.glob("*/*"):
                with contextlib.suppress(BadRequest):
                    keys.append(TakeKey(check_room(path.parent.name), check_take(path.name)))
        takes = [self.take(key) for key in sorted(keys, key=lambda key: key.take)]
        shells = [take for take in takes if not take.fragments() and take.header() is None]
        for shell in shells:
            shell.clear()  # what is left of one that was done with, or not begun, when a process died
        return [take for take in takes if take not in shells]

    # ---- what encoders and archivers do ------------------------------------------------------------------

    def keep(
        self, take: SpoolTake, header: TakeHeader, parts: Sequence[EncodedPart], peaks: PeakRecords | None
    ) -> bool:
        """Write parts, and what was measured: called in a thread. Whether they are known to be written."""
        size = sum(len(part.data) for part in parts)
        with self._lock:
            if self._waiting + size > _QUEUE_BYTES:
                self._refuse(take, parts, "the disk did not answer")
                return False
            self._waiting += size
        written = self._writer.submit(partial(self._written, take, header, parts, peaks, size))
        if self._blocked:
            return False
        try:
            return written.result(self._patience)
        except TimeoutError:
            self._blocked = True
            return False

    async def add(self, take: SpoolTake, header: TakeHeader, parts: Sequence[EncodedPart]) -> bool:
        """Write parts, in the end: whether they are there."""
        return await self.do(partial(self._write, take, header, parts, None))

    async def do(self, work: Callable[[], T]) -> T:
        """Do something blocking in the order of all writing."""
        return await asyncio.wrap_future(self._writer.submit(work))

    # ---- inside, in the writer's thread ------------------------------------------------------------------

    def _written(
        self,
        take: SpoolTake,
        header: TakeHeader,
        parts: Sequence[EncodedPart],
        peaks: PeakRecords | None,
        size: int,
    ) -> bool:
        try:
            return self._write(take, header, parts, peaks)
        finally:
            with self._lock:
                self._waiting -= size
            # Whoever comes next waits again: the disk keeps up.
            if self._writer.idle:
                self._blocked = False

    def _write(
        self,
        take: SpoolTake,
        header: TakeHeader,
        parts: Sequence[EncodedPart],
        peaks: PeakRecords | None,
    ) -> bool:
        try:
            take.begin(header)
            take.write(parts)
            if peaks is not None:
                take.write_peaks(*peaks)
        except SpoolFull as error:
            self._refuse(take, parts, error.message)
            return False
        except DiskUnavailable as error:
            cause = error.__cause__
            full = isinstance(cause, OSError) and cause.errno in _FULL
            self._refuse(take, parts, "the disk was full" if full else "the disk failed", error.message)
            return False
        self._accepts()
        return True

    def _refuse(self, take: SpoolTake, parts: Sequence[EncodedPart], why: str, detail: str = "") -> None:
        # `why` goes into the take's public record: no path is in it.
        for part in parts:
            take.refusals[part.msn] = why
        take.behind = True
        self._metrics.spool_refusals.labels(why).inc(len(parts))
        if self._refusing is None:
            log.error("the spool does not take what is encoded; it waits in memory", reason=detail or why)
        self._refusing = why

    def _accepts(self) -> None:
        if self._refusing is not None:
            log.info("the spool takes what is encoded again")
        self._refusing = None

    def _sync(self) -> None:
        try:
            self._disk.sync()
        except DiskUnavailable as error:
            if self._not_synced is None:
                log.warning("the spool cannot be synced", reason=error.message)
            self._not_synced = f"archive: {error.message}"
        else:
            self._not_synced = None
