"""Blocked requests of one rendition: who waits for which position, and their release.

A request waits on a future of its own (a request that goes away cancels only itself); the futures of one
position are kept together (in order of arrival), so that releasing a position is one pass, in the same step
as the part is put.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from contracts.errors import NotReady
from contracts.position import Position


@dataclass(slots=True)
class Crowd:
    """How many requests are blocked in the whole origin, and how many may be."""

    limit: int
    blocked: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """How a wait ended. `since` is the event loop's time of the release, for the last one of a position."""

    refusal: str | None = None
    since: float | None = None


_RELEASED: Final = Turn()
_EXPIRED: Final = Turn("nothing new for three target durations: try again in a moment")
_DRAINED: Final = Turn("this origin is shutting down: try again in a moment")


class Waiters:
    """Requests that wait for positions of one rendition.

    `observe` is told the seconds from each release to the moment when the last of those released runs again.
    """

    def __init__(self, crowd: Crowd, observe: Callable[[float], None]) -> None:
        self._crowd = crowd
        self._observe = observe
        self._waiting: dict[Position, dict[asyncio.Future[Turn], None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def wait(self, target: Position, deadline: float) -> None:
        """Return once `target` is there (or will never be).

        `deadline` is the event loop's time. Raises NotReady at the deadline, when too many wait, or on
        draining.
        """
        if self._crowd.blocked >= self._crowd.limit:
            raise NotReady("too many requests are waiting here: try again in a moment")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Turn] = loop.create_future()
        self._waiting.setdefault(target, {})[future] = None
        self._crowd.blocked += 1
        # A timer of its own costs a third of what asyncio.timeout does, and there are thousands.
        timer = loop.call_at(deadline, _expire, future)
        try:
            turn = await future
        finally:
            timer.cancel()
            self._crowd.blocked -= 1
            if future.cancelled() or future.result() is _EXPIRED:
                self._forget(target, future)
        if turn.refusal is not None:
            raise NotReady(turn.refusal)
        if turn.since is not None:
            self._observe(loop.time() - turn.since)

    def release(self, reached: Position) -> None:
        """Release everybody whose target lies before `reached`, the next position to come."""
        for target in [target for target in self._waiting if target < reached]:
            self._release(target, _RELEASED)

    def release_all(self) -> None:
        """Release everybody: the take has ended, or has left the window."""
        for target in tuple(self._waiting):
            self._release(target, _RELEASED)

    def drain(self) -> None:
        """Turn everybody away: the origin shuts down."""
        for target in tuple(self._waiting):
            self._release(target, _DRAINED)

    def _release(self, target: Position, turn: Turn) -> None:
        futures = [future for future in self._waiting.pop(target) if not future.done()]
        if not futures:
            return
        last = futures.pop()
        for future in futures:
            future.set_result(turn)
        last.set_result(turn if turn.refusal else Turn(since=last.get_loop().time()))

    def _forget(self, target: Position, future: asyncio.Future[Turn]) -> None:
        """Drop a request that gave up, so that it costs nothing while the others wait on."""
        futures = self._waiting.get(target)
        if futures is not None:
            futures.pop(future, None)
            if not futures:
                del self._waiting[target]


def _expire(future: asyncio.Future[Turn]) -> None:
    if not future.done():
        future.set_result(_EXPIRED)
