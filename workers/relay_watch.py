"""Whether the room that somebody is relayed to still lives where it did.

An owner that is frozen, or cut off, closes nothing: its relays would wait for it for ever. That somebody else
owns the room, or nobody does, is what tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from contracts.errors import BusUnavailable, LongwaveError, OwnerUnavailable

T = TypeVar("T")

Elsewhere = Callable[[Collection[str]], Awaitable[Mapping[str, str | None]]]
"""For each of these rooms the URL of the other ingest that owns it; None: nobody does, or this one.

Of a room that is not in the answer nobody can say. Raises BusUnavailable.
"""
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
    """Looks at all rooms that are relayed at once, every `seconds`.

    Nobody is cut off twice within that time for a room without an owner, nor while no bus answers.
    """

    def __init__(self, elsewhere: Elsewhere, seconds: float = 0.5) -> None:
        self._elsewhere = elsewhere
        self._seconds = seconds
        self._lines: dict[str, set[_Line]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def over(self, room: str, url: str) -> Iterator[asyncio.Future[LongwaveError]]:
        """While it is entered: is done, with what to tell the sender, once `room` lives at `url` no more."""
        line = _Line(url, asyncio.get_running_loop().create_future())
        lines = self._lines.setdefault(room, set())
        lines.add(line)
        if self._task is None:
            self._task = asyncio.create_task(self._keep(), name="relay watch")
        try:
            yield line.over
        finally:
            lines.discard(line)
            if not lines:
                del self._lines[room]
            if not self._lines:
                self._task.cancel()
                self._task = None

    def end(self, reason: LongwaveError) -> None:
        """All relays are over."""
        for lines in self._lines.values():
            for line in lines:
                line.end(reason)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            looked_at = {line for lines in self._lines.values() for line in lines}
            try:
                urls = await self._elsewhere([*self._lines])
            except BusUnavailable:
                continue  # nobody can say: the lines may be as good as ever
            for room in urls.keys() & self._lines.keys():
                for line in self._lines[room] & looked_at:
                    line.told(urls[room])


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
