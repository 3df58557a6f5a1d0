"""How far a worker is with a take: where it has to begin, and whether origins have the newest part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, PREROLL_FRAMES, SAMPLE_RATE, Grid, first_sample
from workers.transcoder import first_to_encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts.position import Position
    from contracts.take_state import TakeState
    from workers.cluster.listing import Held
    from workers.redis_bus.mirror import Mirror

# More than the part that grows, and the one before it on a machine that is busy for a moment.
_BEHIND: Final = 3 * SAMPLE_RATE // 2
# Some 4 s of sound are encoded in a few hundredths of a second, and origins in good health differ by less.
_BACK: Final = 2


def first_needed(held: Held | None, states: Sequence[TakeState | None]) -> int:
    """The sample from which a take is read: 4 frames before the segment that the origin ahead waits for.

    For origins that are a little behind it begins up to `_BACK` segments earlier. What others lack, all of it
    where they have no media, they get from their sisters: nothing is encoded again for them, because that
    would hold up everybody. Older samples than the bus holds are not to be had.
    """
    oldest = 0 if held is None else held.first
    with_media = [
        state
        for state in states
        if state is not None and any(rendition.first is not None for rendition in state.renditions.values())
    ]
    alive = [state for state in with_media if state.end is None]
    ahead = max((_waits_for(state) for state in alive), default=0)
    msn = max(first_to_encode(oldest, with_media or states), ahead - _BACK)
    return max(oldest, first_sample(msn) - PREROLL_FRAMES * FRAME, 0)


def _waits_for(state: TakeState) -> int:
    """The segment that an origin with media waits for."""
    return min(rendition.next.msn for rendition in state.renditions.values() if rendition.first is not None)


def at_live_edge(mirror: Mirror, reached: Position) -> bool:
    """Whether all of the take is here, and an origin has it but for the newest part and the one that grows.

    `reached` is the first position that no origin has.
    """
    grid = Grid(mirror.header.settings.parts)
    growing = grid.position_of_sample(max(0, mirror.top - LOOKAHEAD_FRAMES * FRAME))
    return mirror.at_edge and grid.after(reached) >= growing


def far_behind(mirror: Mirror, reached: Position) -> bool:
    """Whether listeners would notice if nobody else put the take."""
    grid = Grid(mirror.header.settings.parts)
    return mirror.top - grid.start_sample(reached) > _BEHIND
