"""Puts the fragments of a take into the storage, oldest first, as soon as all there is of one is gathered."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog

from contracts.errors import DiskUnavailable, LongwaveError
from pipeline.grid import SAMPLE_RATE
from storage.names import FRAGMENT_SEGMENTS
from workers.archive.deposit import open_take, put_fragment
from workers.archive.fragment_file import positions
from workers.archive.joining import Fragment
from workers.archive.losses import Losses
from workers.archive.sources import PATIENCE
from workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from contracts.position import Position
    from workers.archive.gathering import Gathering
    from workers.archive.losses import Loss
    from workers.archive.tools import Subject, Tools

log = structlog.get_logger()


class Depositing:
    """One take. `reached` is the first fragment that is not dealt with yet."""

    def __init__(self, tools: Tools, take: Subject, gathering: Gathering) -> None:
        self.reached = 0
        self._tools = tools
        self._take = take
        self._gathering = gathering
        self._stored: set[tuple[str, int]] = set()
        self._losses = Losses(take.grid)
        self._logger = log.bind(room=take.key.room, take=take.key.take)

    async def run(self) -> None:
        """Return when all there is of the take is stored. Raises Deleted, and Finished (by somebody else)."""
        tools, take = self._tools, self._take
        mark = partial(open_take, tools.objects, take.key, take.header)
        self._stored = await tools.uploads.run(lambda: tools.uploads.in_thread(mark))
        self._gathering.skip(self._stored)
        while not take.over(self.reached):
            if self._gathering.reached > self.reached:
                await self._store(self.reached)
                self.reached += FRAGMENT_SEGMENTS
            else:
                await self._gathering.news.changed(self._gathering.news.version)

    def lost(self) -> tuple[Loss, ...]:
        """All that is lost, found by this process or noted by those before. Blocking."""
        return self._losses.all(self._take.spooled.lost())

    async def on_disk(self, work: Callable[[], None]) -> None:
        """Do it as soon as the spool's disk does."""
        backoff = Backoff(first=0.5, longest=15.0)
        while True:
            try:
                await self._tools.spool.do(work)
            except LongwaveError as error:
                self._logger.warning("the spool's disk fails", reason=error.message)
            else:
                return
            await asyncio.sleep(backoff.next())

    # ---- inside ------------------------------------------------------------------------------------------

    async def _store(self, first: int) -> None:
        """Store a fragment of all renditions, note what is missing of it, let go of what was spooled."""
        take, tools = self._take, self._tools
        spooled = await tools.files.run(take.spooled.fragments)
        lost: set[Position] = set()
        for rendition in take.renditions:
            # What is stored and not spooled was dealt with by an earlier process.
            if (rendition, first) not in self._stored or (rendition, first) in spooled:
                lost |= await tools.uploads.run(partial(self._put, rendition, first))
        if lost and not take.released:
            await self._note(lost)
        for rendition in take.renditions:
            if (rendition, first) in spooled:
                await self.on_disk(partial(take.spooled.remove, rendition, first))
        self._gathering.forget(first)
        for msn in range(first, first + FRAGMENT_SEGMENTS):
            take.spooled.refusals.pop(msn, None)

    async def _put(self, rendition: str, first: int) -> set[Position]:
        """Put a fragment, whatever there is of it; what is missing."""
        take, tools = self._take, self._tools
        parts = await self._spooled(rendition, first)
        wanted = positions(take.grid, first, take.source.stop)
        missing = wanted - parts.keys()
        if missing:
            parts |= await self._gathering.find(rendition, missing)
        if parts:
            fragment = Fragment(take.key, rendition, first, take.grid)
            put = partial(put_fragment, tools.objects, fragment, parts)
            outcome, stored = await tools.uploads.in_thread(put)
            tools.metrics.archive_uploads.labels(outcome).inc()
            if outcome == "conflict":
                self._logger.warning("another fragment is stored, and stays", rendition=rendition, msn=first)
            missing = wanted - stored
        self._stored.add((rendition, first))
        return missing

    async def _spooled(self, rendition: str, first: int) -> dict[Position, bytes]:
        """What the spool has of a fragment; nothing where its disk has failed for a while."""
        take, tools = self._take, self._tools
        deadline = tools.clock() + PATIENCE
        backoff = Backoff(first=0.5, longest=5.0)
        while True:
            try:
                return await tools.files.run(partial(take.spooled.read, rendition, first))
            except DiskUnavailable as error:
                self._logger.warning("the spool cannot be read", reason=error.message)
            if tools.clock() >= deadline:
                return {}
            await asyncio.sleep(backoff.next())

    async def _note(self, lost: set[Position]) -> None:
        take = self._take
        refusals = take.spooled.refusals
        reasons = {each: refusals.get(each.msn) or take.source.why_lost(each.msn) for each in lost}
        spans = self._losses.add(reasons, take.source.samples)
        samples = sum(stop - start for (start, stop), _ in spans)
        self._tools.metrics.archive_lost.inc(samples / SAMPLE_RATE)
        self._logger.error(
            "some of a take cannot be archived", samples=samples, reasons=sorted({why for _, why in spans})
        )
        await self.on_disk(partial(take.spooled.note_lost, spans))
