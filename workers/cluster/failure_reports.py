"""Tells every Redis of the takes that failed here, so that all workers know which of them are dangerous."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from contracts.errors import BusUnavailable
from workers.news import News
from workers.quarantine import FAILURES, FORGOTTEN_SECONDS
from workers.redis_bus import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from contracts.take import TakeKey
    from workers.redis_bus.links import RedisLink

log = structlog.get_logger()

_COUNT: Final = re.compile(rb"[0-9]{1,9}")
# Until a Redis answers that did not; somebody else asks it all the time.
_LOOK_AGAIN = 0.2


@dataclass(frozen=True, slots=True)
class Reported:
    """What all nodes reported of a take lately: failures by node, and how many of all ended a process."""

    by_node: Mapping[str, int] = field(default_factory=dict)
    crashes: int = 0

    @property
    def count(self) -> int:
        """Failures on all nodes together."""
        return sum(self.by_node.values())

    @property
    def condemned(self) -> bool:
        """Whether it is the take that is to blame, and not one worker that can encode nothing."""
        return self.crashes >= FAILURES or (len(self.by_node) > 1 and self.count >= FAILURES)


NOTHING_REPORTED = Reported()


def parse_reported(fields: object) -> Reported:
    """What a Redis counted, as `HGETALL` gives it; what makes no sense counts for nothing."""
    if not isinstance(fields, dict):
        return Reported()
    counts = {name: int(text) for name, text in fields.items() if _COUNT.fullmatch(text)}
    crashes = counts.pop(keys.CRASHES, 0)
    return Reported({name.decode(errors="replace"): count for name, count in counts.items()}, crashes)


def all_reported(reports: Iterable[Reported]) -> Reported:
    """One take as several Redis counted it; one that was away for a while counted less."""
    by_node: dict[str, int] = {}
    crashes = 0
    for each in reports:
        crashes = max(crashes, each.crashes)
        for node, count in each.by_node.items():
            by_node[node] = max(count, by_node.get(node, 0))
    return Reported(by_node, crashes)


class _Failure(NamedTuple):
    """One of a take, at the monotonic instant `since`."""

    key: TakeKey
    since: float
    crashed: bool


@dataclass(slots=True)
class _Line:
    """What one Redis is to be told, and since when; `telling`: the outcome of one is not known yet."""

    link: RedisLink
    waiting: deque[_Failure] = field(default_factory=deque)
    telling: bool = False

    @property
    def empty(self) -> bool:
        """All of it was told."""
        return not self.waiting and not self.telling


class FailureReports:
    """Counts failures of `node` in `keys.failures` of each Redis, which forgets them minutes after the last.

    Each is said once, when that Redis answers: one that hangs would count every try when it wakes up, and
    what was counted too often stops a room. `clock` is monotonic.
    """

    def __init__(self, links: Sequence[RedisLink], node: str, clock: Callable[[], float]) -> None:
        self._node = node
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

    def add(self, key: TakeKey, *, crashed: bool = False) -> None:
        """A take failed, and ended the process with it if it `crashed`."""
        for line in self._lines:
            line.waiting.append(_Failure(key, self._clock(), crashed))
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
            failure = line.waiting.popleft()
            if self._clock() - failure.since < FORGOTTEN_SECONDS:
                line.telling = True
                await self._count(line.link, failure)
                line.telling = False
        self._told.announce()

    async def _count(self, link: RedisLink, failure: _Failure) -> None:
        key = failure.key
        name = keys.failures(key)
        pipe = link.client.pipeline(transaction=True)
        pipe.hincrby(name, self._node, 1)
        if failure.crashed:
            pipe.hincrby(name, keys.CRASHES, 1)
        pipe.expire(name, FORGOTTEN_SECONDS)
        try:
            await link.call("coordinate", pipe.execute())
        except BusUnavailable as error:
            log.warning("a failure is not counted by all", room=key.room, take=key.take, reason=error.message)
