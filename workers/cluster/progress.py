"""How far a worker is with a take: where it has to begin, and whether origins have the newest part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, PREROLL_FRAMES, SAMPLE_RATE, Grid, first_sample
from workers.transcoder import first_to_encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contracts.position import Position
    from contracts.take import TakeState
    from workers.cluster.listing import Held
    from workers.redis_bus.mirror import Mirror

# More than the part that grows, and the one before it on a machine that is busy for a moment.
_BEHIND: Final = 3 * SAMPLE_RATE // 2


def first_needed(held: Held | None, states: Sequence[TakeState | None]) -> int:
    """The sample from which a take is read: 4 frames before the segment that origins in `states` wait for.

    Older samples than the bus holds are not to be had. An origin without media takes any segment, and gets
    older ones from its sisters: nothing is encoded again for it where another one has media.
    """
    oldest = 0 if held is None else held.first
    with_media = [
        state
        for state in states
        if state is not None and any(rendition.first is not None for rendition in state.renditions.values())
    ]
    msn = first_to_encode(oldest, with_media or states)
    return max(oldest, first_sample(msn) - PREROLL_FRAMES * FRAME, 0)


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
