"""What an origin lacks from before a log began: other origins have it, and it is brought from there.

A worker that takes a take over begins where the origin that is ahead needs it. One that is further behind
would get gaps for all that lies between, although its sisters have the bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import LongwaveError
from workers.parts_log import PutPart, PutSegment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contracts.position import Position
    from contracts.take import TakeKey
    from pipeline.grid import Grid
    from workers.origin_client import OriginClient
    from workers.parts_log import PutGap, Step

logger = structlog.get_logger()

_TIMEOUT_SECONDS: Final = 1.0
_TRIES: Final = 3
"""An origin that fails so often is asked no more until the feed begins anew: gaps are better than to wait."""
_PAUSE_SECONDS: Final = 0.1


class SisterFill:
    """Brings segments of the take `key` for one origin from `sisters`, the others of the moment."""

    def __init__(self, key: TakeKey, grid: Grid, sisters: Callable[[], Sequence[OriginClient]]) -> None:
        self._key = key
        self._grid = grid
        self._sisters = sisters
        self._failed: Counter[OriginClient] = Counter()
        self._found: dict[str, tuple[int, tuple[bytes, ...]]] = {}

    def begin(self) -> None:
        """Ask everybody again: the feed begins anew."""
        self._failed.clear()

    async def instead_of(self, gap: PutGap, cursor: Position) -> Step:
        """What can be put at `cursor` instead of this gap; the gap, where no sister has it."""
        found = self._found.get(gap.rendition)
        if found is None or found[0] != gap.msn:
            found = self._found[gap.rendition] = gap.msn, await self._look(gap.rendition, gap.msn)
        parts = found[1]
        if cursor.part == 0 and len(parts) == self._grid.parts:
            return PutSegment(gap.rendition, gap.msn, gap.then, b"".join(parts))
        if cursor.part < len(parts):
            return PutPart(gap.rendition, cursor, self._grid.after(cursor), parts[cursor.part])
        return gap

    async def _look(self, rendition: str, msn: int) -> tuple[bytes, ...]:
        """The parts of a segment, of whoever has most of them."""
        best: tuple[bytes, ...] = ()
        for sister in self._sisters():
            parts = await self._ask(sister, rendition, msn)
            best = max(best, parts, key=len)
            if len(best) == self._grid.parts:
                break
        return best

    async def _ask(self, sister: OriginClient, rendition: str, msn: int) -> tuple[bytes, ...]:
        while self._failed[sister] < _TRIES:
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    return await sister.parts_of(self._key, rendition, msn)
            except (LongwaveError, TimeoutError) as error:
                self._failed[sister] += 1
                if self._failed[sister] == _TRIES:
                    room, take = self._key
                    logger.warning(
                        "an origin does not give what a sister lacks",
                        room=room,
                        take=take,
                        origin=sister.name,
                        reason=str(error),
                    )
            await asyncio.sleep(_PAUSE_SECONDS)
        return ()
