"""Whether the room that somebody is relayed to still lives where it did.

An owner that is frozen, or cut off, closes nothing: its relays would wait for it for ever. That somebody else
owns the room, or nobody does, is what tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from contracts.errors import BusUnavailable, LongwaveError, OwnerUnavailable

T = TypeVar("T")

Elsewhere = Callable[[str], Awaitable[str | None]]
"""The URL of the other ingest that owns a room; None: nobody does, or this one. Raises BusUnavailable."""
MOVED = "the ingest that owned this room is gone: connect again"


@dataclass(eq=False, slots=True)
class _Line:
    """One relay to the ingest at `url`; `over` says why it is no use any more."""

    url: str
    over: asyncio.Future[LongwaveError]
    doubted: bool = False

    def told(self, url: str | None) -> None:
        """The room lives at `url` now."""
        if url == self.url:
            self.doubted = False
        elif url is not None or self.doubted:
            self.end(OwnerUnavailable(MOVED))
        else:
            # A Redis that came back empty knows no owner, until that one says again that it is there.
            self.doubted = True

    def end(self, reason: LongwaveError) -> None:
        if not self.over.done():
            self.over.set_result(reason)


class Watch:
    """Looks at each room that is relayed, every `seconds`, once for all of its relays.

    Nobody is cut off twice within that time for a room without an owner, nor while no bus answers.
    """

    def __init__(self, elsewhere: Elsewhere, seconds: float = 0.5) -> None:
        self._elsewhere = elsewhere
        self._seconds = seconds
        self._lines: dict[str, set[_Line]] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}

    @contextmanager
    def over(self, room: str, url: str) -> Iterator[asyncio.Future[LongwaveError]]:
        """While it is entered: is done, with what to tell the sender, once `room` lives at `url` no more."""
        line = _Line(url, asyncio.get_running_loop().create_future())
        lines = self._lines.setdefault(room, set())
        if not lines:
            self._looks[room] = asyncio.create_task(self._look(room), name=f"relay watch of {room}")
        lines.add(line)
        try:
            yield line.over
        finally:
            lines.discard(line)
            if not lines:
                del self._lines[room]
                self._looks.pop(room).cancel()

    def end(self, reason: LongwaveError) -> None:
        """All relays are over."""
        for lines in self._lines.values():
            for line in lines:
                line.end(reason)

    async def _look(self, room: str) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            try:
                url = await self._elsewhere(room)
            except BusUnavailable:
                continue  # nobody can say: the line may be as good as ever
            for line in self._lines[room]:
                line.told(url)


async def unless(over: asyncio.Future[LongwaveError], work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives. Raises what `over` holds, should that come first; the work is then cancelled."""
    task = asyncio.create_task(work)
    try:
        both: set[asyncio.Future[Any]] = {task, over}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise over.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
