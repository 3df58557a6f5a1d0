"""The archive of one take: from the encoder into the spool, from there into the storage, and to its end.

Two tasks follow the take. One gathers into the spool what is not there yet; the other puts what is gathered
into the storage and waits for that as long as it takes, which the first one never does.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from pipeline.grid import SAMPLE_RATE, SEGMENT, Grid
from workers.archive.deposit import Finished
from workers.archive.depositing import Depositing
from workers.archive.ending import Ending
from workers.archive.gathering import Gathering
from workers.archive.notes import ArchiveNotes
from workers.archive.peak_record import PeakRecord
from workers.archive.reading import Deleted
from workers.archive.sources import LeftSource, LiveSource, ReleasedSource
from workers.archive.tools import Subject, Tools

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts.take import TakeHeader
    from pipeline.pcm import Pcm
    from pipeline.segmenter import EncodedPart
    from workers.archive.sources import Source
    from workers.archive.spool_take import SpoolTake
    from workers.parts_log import TakeLog

log = structlog.get_logger()


class TakeArchive:
    """One take, live if there is a `take_log` of it. `run` is for a task, `keep` for one thread at a time.

    Of a take that was `released`, what this node encoded is stored, and the rest is left to others.
    """

    def __init__(
        self,
        tools: Tools,
        spooled: SpoolTake,
        header: TakeHeader,
        take_log: TakeLog | None = None,
        *,
        released: bool = False,
    ) -> None:
        source: Source
        if take_log is None:
            source = LeftSource(spooled, header, tools)
        else:
            source = ReleasedSource(take_log) if released else LiveSource(take_log)
        grid, names = Grid(header.settings.parts), tuple(each.name for each in header.settings.renditions)
        self.take_log = take_log
        self._tools = tools
        self._take = Subject(spooled.key, header, grid, names, spooled, source, released)
        self._peaks = PeakRecord()
        self._gathering = Gathering(tools, self._take)
        self._depositing = Depositing(tools, self._take, self._gathering)
        self._ending = Ending(tools, self._take, left=take_log is None)
        self._over = released
        self._logger = log.bind(room=spooled.key.room, take=spooled.key.take)

    # ---- the encoder's side ------------------------------------------------------------------------------

    def keep(self, parts: Sequence[EncodedPart], start: int, pcm: Pcm) -> None:
        """Keep what was encoded, and measure `pcm`, which begins with sample `start`.

        To be called before anybody else gets the parts. Waits for the disk, 50 ms at most; raises nothing.
        """
        if self._over:
            return
        try:
            self._peaks.push(start, pcm)
            new = [part for part in parts if part.msn >= self._depositing.reached]
            if not new:
                return
            records = self._peaks.unsaved()
            written = self._tools.spool.keep(self._take.spooled, self._take.header, new, records)
            if written and records is not None:
                self._peaks.saved(records)
        except Exception:
            self._tools.metrics.unexpected_errors.labels("archive").inc()
            self._logger.exception("what was encoded could not be kept")

    def release(self) -> TakeArchive:
        """What stores what this node has of the take, and leaves the rest to others; this one keeps no more.

        It is to be run in place of this one. Only for a take that is live.
        """
        self._over = True
        return TakeArchive(self._tools, self._take.spooled, self._take.header, self.take_log, released=True)

    @property
    def released(self) -> bool:
        """Somebody else archives the rest of it."""
        return self._take.released

    @property
    def lag(self) -> float:
        """Seconds that were encoded and are not in the storage; of a take that was left: in the spool."""
        if self.take_log is None:
            return self._take.spooled.segments * SEGMENT / SAMPLE_RATE
        return max(0, self.take_log.next.msn - self._depositing.reached) * SEGMENT / SAMPLE_RATE

    @property
    def ended(self) -> bool:
        """The take is over: it is to be stored to its end and finished."""
        return self._take.source.stop is not None

    # ---- its life ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Return when the take is finished, or was deleted, and nothing of it is in the spool."""
        try:
            await self._archive()
        except Deleted:
            self._logger.warning("a take was deleted: what the spool has of it is dropped")
        except Finished:
            await self._ending.say_what_is_late()
            await self._finish()
        else:
            await self._finish()
        self._over = True
        await self._depositing.on_disk(self._take.spooled.clear)

    async def save(self) -> None:
        """Offer to the spool what it refused before: the process is about to stop."""
        if self._take.spooled.behind:
            await self._gathering.spool_log()

    # ---- inside ------------------------------------------------------------------------------------------

    async def _archive(self) -> None:
        resumed = self.take_log is None or self.take_log.first > 0
        gathering = asyncio.create_task(self._gathering.run(resumed=resumed))
        depositing = asyncio.create_task(self._depositing.run())
        try:
            # Gathering never returns: where it is done, it failed.
            await asyncio.wait((gathering, depositing), return_when=asyncio.FIRST_COMPLETED)
            await (depositing if depositing.done() else gathering)
        finally:
            for task in (gathering, depositing):
                task.cancel()
            await asyncio.gather(gathering, depositing, return_exceptions=True)

    async def _finish(self) -> None:
        if self._take.released:
            return
        self._peaks.finish()
        notes = await self._tools.files.run(self._notes)
        await self._ending.finish(notes)

    def _notes(self) -> ArchiveNotes:
        return ArchiveNotes(self._depositing.lost(), self._peaks.peaks(self._take.spooled.peaks()))
