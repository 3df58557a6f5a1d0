"""The end of a take whose fragments are all stored: it is finished, and what came too late is told."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import LongwaveError, ObjectDamaged
from pipeline.grid import SAMPLE_RATE
from storage.names import take_prefix
from workers.archive.commit import StoryMissing, union
from workers.archive.reading import read_commit
from workers.backoff import Backoff

if TYPE_CHECKING:
    from workers.archive.notes import ArchiveNotes
    from workers.archive.tools import Subject, Tools

log = structlog.get_logger()

STORY_SECONDS: Final = 30 * 60.0
"""For which a story is waited for while nothing new is stored of a take, and nobody here keeps it."""


class Ending:
    """One take. Of one that was `left` by an earlier process, the story may be lost with its disk."""

    def __init__(self, tools: Tools, take: Subject, *, left: bool) -> None:
        self._tools = tools
        self._take = take
        self._left = left
        self._untold: tuple[float, float] | None = None
        self._logger = log.bind(room=take.key.room, take=take.key.take)

    async def finish(self, notes: ArchiveNotes) -> None:
        """Return when the take is finished, or cannot be."""
        backoff = Backoff(first=0.25, longest=15.0)
        without_story = False
        while True:
            finish = partial(self._tools.finish, self._take.key, notes, without_story=without_story)
            try:
                await self._tools.finishing.run(finish)
            except StoryMissing as error:
                self._logger.info("a take cannot be finished yet", reason=error.message)
                without_story = self._left and await self._nobody_will_tell()
            except ObjectDamaged as error:
                # Whatever is read again is the same. All of the take is stored, and its mark stands there.
                self._logger.error("a take cannot be finished", reason=error.message)  # noqa: TRY400 - in one line
                return
            except LongwaveError as error:
                self._logger.info("a take cannot be finished yet", reason=error.message)
            else:
                return
            await asyncio.sleep(backoff.next())

    async def say_what_is_late(self) -> None:
        """Somebody has finished the take: what the spool has and that lacks is lost."""
        read = partial(self._tools.files.run, self._late)
        try:
            late = await self._tools.uploads.run(read)
        except ObjectDamaged:
            return  # whoever finishes it says so
        if late:
            self._tools.metrics.archive_lost.inc(late / SAMPLE_RATE)
            self._logger.error("a take was finished by somebody without what is in the spool", samples=late)

    # ---- inside ------------------------------------------------------------------------------------------

    async def _nobody_will_tell(self) -> bool:
        """Whether all those who could tell the story have had their time."""
        if self._tools.kept_here(self._take.key):
            self._untold = None
            return False
        try:
            touched = await self._tools.finishing.run(self._touched)
        except LongwaveError:
            self._untold = None
            return False
        now = self._tools.clock()
        if self._untold is None or self._untold[0] != touched:
            self._untold = touched, now
        return now - self._untold[1] >= STORY_SECONDS

    def _touched(self) -> float:
        """When anything of the take was last written, in the storage's time."""
        prefix = take_prefix(self._take.key)
        return max((info.modified for info in self._tools.objects.list(prefix)), default=0.0)

    def _late(self) -> int:
        """How many samples of the spool are in gaps. Raises ObjectDamaged, StorageUnavailable."""
        take = self._take
        commit = read_commit(self._tools.objects, take.key)
        if commit is None:
            return 0  # deleted meanwhile
        spooled = union(
            (take.grid.start_sample(position), take.grid.stop_sample(position))
            for rendition, first in take.spooled.fragments()
            for position in take.spooled.positions(rendition, first)
        )
        gaps = [gap.span for gap in commit.gaps]
        return sum(max(0, min(b, d) - max(a, c)) for a, b in spooled for c, d in gaps)
