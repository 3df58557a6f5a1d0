"""What origins still serve of a take: where an archive looks for what its node did not encode itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import LongwaveError, UnknownTake
from contracts.position import Position
from workers.archive.fragment_file import position_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from contracts.take import TakeKey
    from contracts.take_state import TakeState
    from pipeline.grid import Grid
    from workers.origin_client import OriginClient

log = structlog.get_logger()

_SERVED_BEFORE: Final = 8
"""Segments before the first that is listed which may still be served, and a few more."""
_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Found:
    """Parts that origins serve. Where `certain`, every origin has answered, and nobody has the others."""

    parts: dict[Position, bytes] = field(default_factory=dict)
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Standing:
    """How far origins have a take, and whether one of them says that it goes on."""

    next: Position
    goes_on: bool
    certain: bool


class Windows:
    """The windows of `origins`. What they answer is checked; an error is an origin out of reach."""

    def __init__(self, origins: Sequence[OriginClient]) -> None:
        self.origins = tuple(origins)

    async def find(self, key: TakeKey, grid: Grid, rendition: str, wanted: Collection[Position]) -> Found:
        """As many of the `wanted` parts as any origin serves."""
        found: dict[Position, bytes] = {}
        certain = True
        for origin in self.origins:
            rest = {position for position in wanted if position not in found}
            if not rest:
                break
            try:
                async with asyncio.timeout(_TIMEOUT):
                    found |= await _find(origin, key, grid, rendition, rest)
            except (LongwaveError, TimeoutError) as error:
                certain = False
                log.debug("an origin does not say what it serves", origin=origin.name, reason=str(error))
        return Found(found, certain)

    async def standing(self, key: TakeKey) -> Standing:
        """How far the take is."""
        states, certain = [], True
        for origin in self.origins:
            try:
                async with asyncio.timeout(_TIMEOUT):
                    states.append(await origin.state(key))
            except UnknownTake:
                continue
            except (LongwaveError, TimeoutError):
                certain = False
        reached = [there.next for state in states for there in state.renditions.values()]
        goes_on = any(state.end is None for state in states)
        return Standing(max(reached, default=Position(0, 0)), goes_on, certain)


async def _find(
    origin: OriginClient, key: TakeKey, grid: Grid, rendition: str, wanted: set[Position]
) -> dict[Position, bytes]:
    try:
        state = await origin.state(key)
    except UnknownTake:
        return {}
    found: dict[Position, bytes] = {}
    for msn in sorted({position.msn for position in wanted}):
        if _may_serve(state, rendition, msn):
            for part in await origin.parts_of(key, rendition, msn):
                position = position_of(part, grid)
                if position in wanted:
                    found[position] = part
    return found


def _may_serve(state: TakeState, rendition: str, msn: int) -> bool:
    there = state.renditions.get(rendition)
    if there is None or there.first is None:
        return False
    return there.first - _SERVED_BEFORE <= msn <= there.next.msn
