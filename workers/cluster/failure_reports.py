"""Tells every Redis of the takes that failed here, so that all workers know which of them are dangerous."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from contracts.errors import BusUnavailable
from workers.news import News
from workers.quarantine import FORGOTTEN_SECONDS
from workers.redis_bus import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contracts.take import TakeKey
    from workers.redis_bus.links import RedisLink

log = structlog.get_logger()

# Until a Redis answers that did not; somebody else asks it all the time.
_LOOK_AGAIN = 0.2


@dataclass(slots=True)
class _Line:
    """What one Redis is to be told, and since when; `telling`: the outcome of one is not known yet."""

    link: RedisLink
    waiting: deque[tuple[TakeKey, float]] = field(default_factory=deque)
    telling: bool = False

    @property
    def empty(self) -> bool:
        """All of it was told."""
        return not self.waiting and not self.telling


class FailureReports:
    """Counts failures in `keys.failures` of each Redis: one more, and forgotten some minutes after the last.

    Each is said once, when that Redis answers: one that hangs would count every try when it wakes up, and
    what was counted too often stops a room. `clock` is monotonic.
    """

    def __init__(self, links: Sequence[RedisLink], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines = [_Line(link) for link in links]
        self._wake = asyncio.Event()
        self._told = News()
        self._task: asyncio.Task[None] | None = None

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """The task that tells, which never returns by itself."""
        return () if self._task is None else (self._task,)

    def start(self) -> None:
        """Tell from now on."""
        self._task = asyncio.create_task(self._tell(), name="failure reports")

    async def stop(self) -> None:
        """Tell nobody any more."""
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)

    def add(self, key: TakeKey) -> None:
        """A take failed."""
        for line in self._lines:
            line.waiting.append((key, self._clock()))
        self._wake.set()

    async def told(self) -> None:
        """Return once a Redis knows of all that was added; of what it cannot be told, others know nothing."""
        seen = self._told.version
        while self._lines and not any(line.empty for line in self._lines):
            seen = await self._told.changed(seen)

    async def _tell(self) -> None:
        while True:
            await self._wake.wait()
            await asyncio.gather(*map(self._tell_one, self._lines))
            if any(line.waiting for line in self._lines):
                await asyncio.sleep(_LOOK_AGAIN)
            else:
                self._wake.clear()

    async def _tell_one(self, line: _Line) -> None:
        while line.waiting and line.link.up:
            key, since = line.waiting.popleft()
            if self._clock() - since < FORGOTTEN_SECONDS:
                line.telling = True
                await self._count(line.link, key)
                line.telling = False
        self._told.announce()

    async def _count(self, link: RedisLink, key: TakeKey) -> None:
        name = keys.failures(key)
        pipe = link.client.pipeline(transaction=True)
        pipe.incr(name)
        pipe.expire(name, FORGOTTEN_SECONDS)
        try:
            await link.call("coordinate", pipe.execute())
        except BusUnavailable as error:
            log.warning("a failure is not counted by all", room=key.room, take=key.take, reason=error.message)
