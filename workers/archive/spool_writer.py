"""One thread that writes for all takes, and one that makes durable what it wrote.

Writing takes microseconds and ends in the page cache, which outlives the process; syncing takes as long as
the disk likes, and nobody waits for it. A disk that hangs takes its writer with it, and nobody else.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SYNC_SECONDS: Final = 2.0
"""A segment: what a machine that loses its power takes with it."""


class SpoolWriter:
    """Does what it is given, one after another, and `sync` every two seconds. `clock` is monotonic."""

    def __init__(self, sync: Callable[[], None], clock: Callable[[], float]) -> None:
        self._sync = sync
        self._clock = clock
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._writing_since: float | None = None
        self._stop = threading.Event()
        self._writer = threading.Thread(target=self._write, name="spool", daemon=True)
        self._syncer = threading.Thread(target=self._sync_for_ever, name="spool-sync", daemon=True)

    def start(self) -> None:
        """Start both threads."""
        self._writer.start()
        self._syncer.start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have `work` done after all that was given before. Until it is begun it can be cancelled."""
        future: Future[T] = Future()

        def do() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - whoever waits gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        self._work.put(do)
        return future

    @property
    def idle(self) -> bool:
        """All that was given so far is done, or the last of it is being done."""
        return self._work.empty()

    @property
    def hanging(self) -> float:
        """For how many seconds it has been at the same work."""
        since = self._writing_since
        return 0.0 if since is None else self._clock() - since

    def close(self, timeout: float) -> None:
        """Do what was given, sync, and stop. A disk that hangs is left to itself after `timeout` seconds."""
        self._work.put(None)
        self._stop.set()
        deadline = self._clock() + timeout
        for thread in (self._writer, self._syncer):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - self._clock()))

    def _write(self) -> None:
        while (work := self._work.get()) is not None:
            self._writing_since = self._clock()
            work()
            self._writing_since = None

    def _sync_for_ever(self) -> None:
        while not self._stop.wait(SYNC_SECONDS):
            self._sync()
        self._writer.join()
        self._sync()
