"""Where the archive learns how far a take is: from the log of a live one, or from what a process left."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from contracts.position import Position
from pipeline.grid import Grid
from storage.names import FRAGMENT_SEGMENTS
from workers.archive.fragment_file import positions

if TYPE_CHECKING:
    from contracts.take import TakeHeader
    from workers.archive.spool_take import SpoolTake
    from workers.archive.tools import Tools
    from workers.parts_log import TakeLog

_RETRY_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 5.0
PATIENCE: Final = 60.0
"""Seconds for which an origin out of reach is waited for, before what only it may have is given up."""


class Source(Protocol):
    """How far a take is."""

    @property
    def stop(self) -> Position | None:
        """The position after the last part of the take; None while it goes on."""

    @property
    def samples(self) -> int | None:
        """How long the take is, where that is known."""

    async def until_settled(self, first: int, seen: int) -> int:
        """Return when nothing more will come of the fragment `first`, or something else is new.

        `seen` is what this returned last (-1 at first); see `settled`.
        """

    def settled(self, first: int) -> bool:
        """Whether nothing more will come of the fragment `first`."""

    @property
    def log(self) -> TakeLog | None:
        """What is in memory of it."""

    def why_lost(self, msn: int) -> str:
        """Why a part of this segment is nowhere."""


class LiveSource:
    """A take that is encoded here."""

    def __init__(self, log: TakeLog) -> None:
        self.log: TakeLog | None = log
        self._log = log
        self._grid = Grid(log.header.settings.parts)
        self._begun = log.first

    @property
    def stop(self) -> Position | None:
        """Known as soon as the take has ended."""
        return None if self._log.end is None else self._grid.end_of(self._log.end)

    @property
    def samples(self) -> int | None:
        """The same."""
        return self._log.end

    async def until_settled(self, first: int, seen: int) -> int:
        """Every part of the log is something new."""
        return seen if self.settled(first) else await self._log.changed(seen)

    def settled(self, first: int) -> bool:
        """The log has gone past it, or the take has ended."""
        return self._log.end is not None or self._log.next.msn >= first + FRAGMENT_SEGMENTS

    def why_lost(self, msn: int) -> str:
        """As the log has it; what lies outside of it was nobody's."""
        why = self._log.why_lost(msn)
        if why is not None:
            return f"never encoded: {why}"
        if msn < self._begun or msn >= self._log.next.msn:
            return "never encoded: the server was down"
        return "not archived"


class ReleasedSource:
    """A take that was encoded here up to some position, and by somebody else from there on.

    For this archive it is over there: what there is before it is stored, and nothing more comes.
    """

    def __init__(self, log: TakeLog) -> None:
        self.log: TakeLog | None = log
        self._grid = Grid(log.header.settings.parts)
        self.stop: Position | None = log.next if log.end is None else self._grid.end_of(log.end)
        self.samples: int | None = log.end

    async def until_settled(self, first: int, seen: int) -> int:  # noqa: ARG002 - all of it is
        """At once."""
        return seen

    def settled(self, first: int) -> bool:  # noqa: ARG002 - of all of it the same
        """Nothing more comes of anything."""
        return True

    def why_lost(self, msn: int) -> str:  # noqa: ARG002 - of all of it the same
        """Nothing is known to be lost: others may have it."""
        return "encoded by another worker"


class LeftSource:
    """A take that an earlier process archived, and that is not live here any more.

    It is over once every origin says so. Fragments that are whole do not wait for that.
    """

    def __init__(self, take: SpoolTake, header: TakeHeader, tools: Tools) -> None:
        self._take = take
        self._threads = tools.files
        self._windows = tools.windows
        self._clock = tools.clock
        self._renditions = [rendition.name for rendition in header.settings.renditions]
        self._grid = Grid(header.settings.parts)
        self._deadline: float | None = None
        self.stop: Position | None = None
        self.samples: int | None = None
        self.log: TakeLog | None = None
        self._whole: set[int] = set()

    async def until_settled(self, first: int, seen: int) -> int:
        """Look whether the fragment is whole, then what origins say."""
        if self.settled(first):
            return seen
        if await self._threads.run(partial(self._is_whole, first)):
            self._whole.add(first)
            return seen + 1
        standing = await self._windows.standing(self._take.key)
        if self._deadline is None or standing.certain:
            self._deadline = self._clock() + PATIENCE
        if standing.goes_on or (not standing.certain and self._clock() < self._deadline):
            await asyncio.sleep(_RETRY_SECONDS if seen < 0 else _LOOK_SECONDS)
        else:
            self.stop = max(standing.next, await self._threads.run(self._after_spooled))
        return seen + 1

    def settled(self, first: int) -> bool:
        """It is whole, or the take is over."""
        return self.stop is not None or first in self._whole

    def why_lost(self, msn: int) -> str:  # noqa: ARG002 - of all of it the same
        """Who encoded it is gone."""
        return "not archived before the server went down"

    def _is_whole(self, first: int) -> bool:
        wanted = positions(self._grid, first, None)
        return all(wanted <= self._take.positions(rendition, first) for rendition in self._renditions)

    def _after_spooled(self) -> Position:
        found = [
            max(there)
            for rendition, first in self._take.fragments()
            if (there := self._take.positions(rendition, first))
        ]
        return self._grid.after(max(found)) if found else Position(0, 0)
