"""Brings into the spool what is not there yet: from the take's log, and from the windows of origins."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from contracts.errors import DiskUnavailable, LongwaveError
from pipeline.segmenter import EncodedPart
from storage.names import FRAGMENT_SEGMENTS, fragment_of
from workers.archive.fragment_file import position_of, positions
from workers.archive.sources import PATIENCE
from workers.backoff import Backoff
from workers.news import News

if TYPE_CHECKING:
    from collections.abc import Collection, Container

    from contracts.position import Position
    from workers.archive.tools import Subject, Tools

# How long the spool is left in peace after it refused something, and how often the end is looked after.
_REFILL_SECONDS: Final = 0.5
# What is stored of a take is soon known. While the storage is away, all of it is looked for.
_STORED_SECONDS: Final = 30.0


class Gathering:
    """One take. `reached` is the first fragment that was not gone through yet; `news` says that it grew."""

    def __init__(self, tools: Tools, take: Subject) -> None:
        self.reached = 0
        self.news = News()
        self._tools = tools
        self._take = take
        self._stored: Container[tuple[str, int]] = ()
        self._know_stored = asyncio.Event()
        self._absent: set[tuple[str, Position]] = set()
        self._patience_until: float | None = None

    def skip(self, stored: Container[tuple[str, int]]) -> None:
        """These fragments (rendition, first segment) are in the storage: nothing of them is looked for."""
        self._stored = stored
        self._know_stored.set()

    async def run(self, *, resumed: bool) -> None:
        """Complete one fragment after the other; then offer for ever what the spool refused.

        Of a take that was `resumed`, much may be stored already.
        """
        take = self._take
        with contextlib.suppress(LongwaveError):  # a disk that is full: said with every part, and tried again
            await self._tools.spool.do(partial(take.spooled.begin, take.header))
        if resumed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._know_stored.wait(), _STORED_SECONDS)
        seen = -1
        while True:
            if take.spooled.behind and not await self.spool_log():
                await asyncio.sleep(_REFILL_SECONDS)
            if take.over(self.reached):
                self.news.announce()
                await asyncio.sleep(_REFILL_SECONDS)
                continue
            seen = await take.source.until_settled(self.reached, seen)
            if take.source.settled(self.reached):
                await self._complete(self.reached)
                self.reached += FRAGMENT_SEGMENTS
                self.news.announce()

    async def spool_log(self) -> bool:
        """Offer to the spool what of the log is not in it, oldest first; whether it took all."""
        self._take.spooled.behind = False
        for first in self._in_log():
            for rendition in self._take.renditions:
                found = self._from_log(rendition, await self._missing(rendition, first))
                if not await self._spool(rendition, first, found):
                    return False
        return True

    async def find(
        self, rendition: str, wanted: set[Position], *, patient: bool = False
    ) -> dict[Position, bytes]:
        """What the log and origins have of it. Who is `patient` waits a while for an origin out of reach."""
        found = self._from_log(rendition, wanted)
        backoff = Backoff(first=0.5, longest=5.0)
        while True:
            rest = {each for each in wanted - found.keys() if (rendition, each) not in self._absent}
            if not rest:
                return found
            answer = await self._tools.windows.find(self._take.key, self._take.grid, rendition, rest)
            found |= answer.parts
            if answer.certain:
                self._patience_until = None
                self._absent |= {(rendition, each) for each in rest - answer.parts.keys()}
                return found
            if not patient or self._patience_is_over():
                return found
            await asyncio.sleep(backoff.next())

    def forget(self, first: int) -> None:
        """A fragment is done with."""
        self._absent = {each for each in self._absent if fragment_of(each[1].msn) != first}

    # ---- inside ------------------------------------------------------------------------------------------

    async def _complete(self, first: int) -> None:
        """See that the spool has all of a settled fragment that can be had."""
        for rendition in self._take.renditions:
            wanted = await self._missing(rendition, first)
            if wanted:
                await self._spool(rendition, first, await self.find(rendition, wanted, patient=True))

    async def _missing(self, rendition: str, first: int) -> set[Position]:
        """What the spool lacks of a fragment that is not stored."""
        take = self._take
        if (rendition, first) in self._stored:
            return set()
        try:
            there = await self._tools.files.run(partial(take.spooled.positions, rendition, first))
        except DiskUnavailable:
            take.spooled.behind = True  # to be looked at again
            return set()
        return positions(take.grid, first, take.source.stop) - there

    async def _spool(self, rendition: str, first: int, found: dict[Position, bytes]) -> bool:
        """Whether the spool took what was found of a fragment, or need not."""
        take = self._take
        if not found or (rendition, first) in self._stored:
            return True
        parts = [EncodedPart(rendition, *position, data) for position, data in sorted(found.items())]
        return await self._tools.spool.add(take.spooled, take.header, parts)

    def _in_log(self) -> range:
        """The fragments that the log holds something of."""
        log = self._take.source.log
        if log is None:
            return range(0)
        return range(fragment_of(log.first), log.next.msn + 1, FRAGMENT_SEGMENTS)

    def _from_log(self, rendition: str, wanted: Collection[Position]) -> dict[Position, bytes]:
        log = self._take.source.log
        if log is None:
            return {}
        grid = self._take.grid
        found = {}
        for msn in {position.msn for position in wanted}:
            for part in log.parts_of(rendition, msn):
                position = position_of(part, grid)
                if position is not None and position in wanted:
                    found[position] = part
        return found

    def _patience_is_over(self) -> bool:
        now = self._tools.clock()
        if self._patience_until is None:
            self._patience_until = now + PATIENCE
        return now >= self._patience_until
