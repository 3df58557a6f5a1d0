"""Tries the storage on behalf of all takes: a few at a time, and only one as long as it fails.

So a storage that comes back is not flooded, and one that hangs holds a few threads and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from contracts.errors import StorageUnavailable
from workers.archive.threads import Threads
from workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from contracts.metrics import Metrics

log = structlog.get_logger()

T = TypeVar("T")

AT_ONCE: Final = 4
"""Uploads of all takes together: a fragment is 240 kB, and comes every 30 s a rendition."""

_HANGS_SECONDS: Final = 30.0
"""After which an upload that lasts is said to hang: a directory in a network has no time limit of its own."""


class Uploads:
    """Turns at the storage, in the order in which they were asked for."""

    def __init__(
        self, metrics: Metrics, clock: Callable[[], float] = time.monotonic, backoff: Backoff | None = None
    ) -> None:
        self.trouble: str | None = None
        """Why the last try failed, until one does not."""
        self._clock = clock
        self._under_way: dict[object, float] = {}
        self._metrics = metrics
        self._backoff = backoff or Backoff(first=0.5, longest=15.0)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._probe = asyncio.Lock()
        self._threads = Threads(AT_ONCE + 1, "upload")

    @property
    def degraded(self) -> str | None:
        """Why the storage does not work, as long as it does not: it fails, or gives no answer at all."""
        if self.trouble is not None:
            return self.trouble
        lasts = self._clock() - min(self._under_way.values(), default=self._clock())
        return f"the storage has not answered for {lasts:.0f} s" if lasts > _HANGS_SECONDS else None

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Attempt it until the storage works, however long that takes; other errors are passed on."""
        while True:
            failing = self.trouble is not None
            async with self._probe if failing else self._slots:
                if self.trouble is not None:
                    if not failing:
                        continue  # it failed while this waited for its turn
                    await asyncio.sleep(self._backoff.next())
                try:
                    result = await attempt()
                except StorageUnavailable as error:
                    self._failed(error.message)
                    continue
                self._works()
                return result

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something blocking with the storage."""
        this = object()
        self._under_way[this] = self._clock()
        try:
            return await self._threads.run(work)
        finally:
            del self._under_way[this]

    def close(self) -> None:
        """Begin nothing more; what a thread is at, it ends by itself."""
        self._threads.close()

    def _failed(self, reason: str) -> None:
        self._metrics.archive_failures.inc()
        if self.trouble is None:
            log.warning("the storage does not take what is archived; it stays in the spool", reason=reason)
        self.trouble = reason

    def _works(self) -> None:
        if self.trouble is not None:
            log.info("the storage works again")
        self.trouble = None
        self._backoff.reset()
