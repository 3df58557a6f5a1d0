"""How far a worker has a take, and from where on a take is needed."""

from __future__ import annotations

import pytest

from contracts.position import Position
from contracts.take_state import TakeState
from pipeline.grid import Grid, first_sample
from tests.crews import KEY, state
from tests.on_the_bus import HEADER
from workers.cluster.listing import Held
from workers.cluster.progress import at_live_edge, first_needed
from workers.redis_bus.mirror import Mirror


def test_a_worker_is_at_the_live_edge_when_all_is_here_and_encoded_but_the_newest_part() -> None:
    mirror = Mirror(KEY, HEADER, 0, now=0.0)
    mirror.append_silence(0, 96_000)
    newest = Grid(5).position_of_sample(96_000 - 2 * 1024)
    assert newest == Position(0, 4)
    assert not at_live_edge(mirror, newest), "nobody knows whether more is on the bus"
    mirror.brought("bus", all_of_it=True)
    assert at_live_edge(mirror, Position(0, 4))
    assert at_live_edge(mirror, Position(0, 3))
    assert not at_live_edge(mirror, Position(0, 2))


@pytest.mark.parametrize(
    ("held", "states", "first"),
    [
        (Held(0, 500_000), [], 0),
        (Held(0, 500_000), [None], 0),
        (Held(0, 500_000), [state(Position(2, 3))], first_sample(2) - 4096),
        (Held(0, 500_000), [state(Position(0, 3))], 0),
        # One that knows of the take and has no media takes any segment, as one does that does not know of it.
        (Held(0, 500_000), [state(None), state(Position(3, 0)), None], first_sample(3) - 4096),
        (Held(0, 500_000), [state(None)], 0),
        # The one that has the end needs nothing.
        (Held(0, 500_000), [state(Position(1, 0), end=99), state(Position(3, 0))], first_sample(3) - 4096),
        # What the bus has dropped is lost, and so is the beginning of what it holds in part.
        (Held(200_000, 500_000), [state(Position(1, 2))], first_sample(3) - 4096),
        (Held(287_000, 500_000), [state(Position(1, 2))], 287_000),
        (None, [state(Position(4, 0))], first_sample(4) - 4096),
        # What an origin lacks that is far behind is not encoded again: its sisters have it.
        (Held(0, 9_000_000), [state(Position(80, 2)), state(Position(55, 1))], first_sample(78) - 4096),
        (Held(0, 9_000_000), [state(Position(80, 2)), state(Position(79, 4))], first_sample(79) - 4096),
        (
            Held(0, 9_000_000),
            [state(Position(90, 0), end=99), state(Position(55, 1))],
            first_sample(55) - 4096,
        ),
    ],
)
def test_a_take_is_needed_from_four_frames_before_the_segment_that_the_origin_ahead_waits_for(
    held: Held | None, states: list[TakeState | None], first: int
) -> None:
    assert first_needed(held, states) == first
