"""When a transcoder goes on, and where it begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.position import Position
from contracts.take_state import RenditionState, TakeState
from pipeline.grid import FRAME, Grid, first_sample
from workers.transcoder import Wake, first_to_encode, first_whole_segment, next_wake

LOOKAHEAD = 2 * FRAME


def state(*renditions: tuple[int | None, tuple[int, int]], end: int | None = None) -> TakeState:
    named = {
        f"{index + 1}k": RenditionState(first, Position(*at)) for index, (first, at) in enumerate(renditions)
    }
    return TakeState(named, end)


def test_an_encoder_goes_on_shortly_before_a_part_can_leave_and_then() -> None:
    grid = Grid(5)
    complete = 18 * FRAME + LOOKAHEAD
    early = complete - 3 * FRAME
    assert next_wake(grid, LOOKAHEAD, spread=3) == Wake(early, None)
    assert next_wake(grid, early, spread=3) == Wake(complete, Position(0, 0))
    assert next_wake(grid, complete - 1, spread=3) == Wake(complete, Position(0, 0))
    assert next_wake(grid, complete, spread=3) == Wake(37 * FRAME + LOOKAHEAD - 3 * FRAME, None)


@given(parts=st.integers(1, 10), needs=st.integers(-4 * FRAME, 10**10), spread=st.integers(1, 6))
def test_every_part_is_woken_for_as_soon_as_it_can_leave(parts: int, needs: int, spread: int) -> None:
    grid = Grid(parts)
    wake = next_wake(grid, needs, spread)
    assert wake.sample > needs
    completed = [
        position
        for frame in range(needs // FRAME - 3, wake.sample // FRAME + 1)
        if needs < grid.stop_sample(position := grid.position_of_frame(frame)) + LOOKAHEAD <= wake.sample
    ]
    assert set(completed) == ({wake.completes} if wake.completes else set())


@given(sample=st.integers(0, 10**10))
def test_the_first_whole_segment_is_whole_and_the_one_before_it_is_not(sample: int) -> None:
    msn = first_whole_segment(sample)
    assert first_sample(msn) >= sample
    assert msn == 0 or first_sample(msn - 1) < sample


@pytest.mark.parametrize(
    ("bus_first", "states", "msn"),
    [
        (0, [None], 0),  # a take begins
        (0, [], 0),  # no origin answers: everything that is there
        (96_000 * 10, [None], 10),
        (0, [state((3, (7, 2)))], 7),  # a successor
        (0, [state((3, (7, 2))), state((3, (5, 0)))], 5),  # the origin that is furthest behind decides
        (0, [state((3, (7, 2)), (3, (6, 4)))], 6),  # and so does a rendition
        (96_000 * 10, [state((3, (7, 2)))], 10),  # as far as the bus has it
        (96_000 * 2, [state((3, (7, 2))), None], 2),  # an empty origin takes all there is
        (0, [state((3, (7, 2))), state((3, (5, 0)), end=1)], 7),  # an ended one takes nothing
    ],
)
def test_encoding_begins_where_the_origin_furthest_behind_needs_it(
    bus_first: int, states: list[TakeState | None], msn: int
) -> None:
    assert first_to_encode(bus_first, states) == msn
