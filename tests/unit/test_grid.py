"""The grid: every frame lies in exactly one part, and nothing drifts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.position import Position
from pipeline import grid
from pipeline.grid import FRAME, SAMPLE_RATE, SEGMENT, Grid

msns = st.integers(0, 10**9)
parts = st.integers(1, 10)


def test_four_segments_hold_94_94_94_93_frames_and_last_eight_seconds() -> None:
    assert [grid.frame_count(n) for n in range(8)] == [94, 94, 94, 93] * 2
    assert grid.first_sample(4) == 8 * SAMPLE_RATE


@given(msns)
def test_segments_follow_one_another_without_holes(msn: int) -> None:
    assert grid.first_frame(msn + 1) == grid.first_frame(msn) + grid.frame_count(msn)
    assert SEGMENT * msn <= grid.first_sample(msn) < SEGMENT * msn + FRAME


@given(msns, st.integers(0, 93))
def test_a_frame_belongs_to_the_segment_in_whose_range_it_begins(msn: int, offset: int) -> None:
    frame = grid.first_frame(msn) + offset
    expected = msn if offset < grid.frame_count(msn) else msn + 1
    assert grid.msn_of_frame(frame) == expected
    assert grid.msn_of_sample(frame * FRAME + 1023) == expected


@given(msns, parts)
def test_parts_tile_their_segment(msn: int, count: int) -> None:
    g = Grid(count)
    frames = [f for j in range(count) for f in g.part_frames(Position(msn, j))]
    assert frames == list(range(grid.first_frame(msn), grid.first_frame(msn + 1)))


@given(st.integers(0, 10**11), parts)
def test_a_frame_finds_its_part_again(frame: int, count: int) -> None:
    g = Grid(count)
    assert frame in g.part_frames(g.position_of_frame(frame))


@given(msns, parts)
def test_no_part_is_longer_than_the_target_or_under_85_percent_of_it(msn: int, count: int) -> None:
    g = Grid(count)
    for j in range(count):
        samples = len(g.part_frames(Position(msn, j))) * FRAME
        assert 0.85 * g.part_target <= samples <= g.part_target


@pytest.mark.parametrize(("count", "samples"), [(5, 19 * 1024), (10, 10 * 1024), (1, 94 * 1024)])
def test_part_target_is_the_longest_part(count: int, samples: int) -> None:
    assert Grid(count).part_target == samples


def test_a_part_outside_the_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="parts 0 to 4"):
        Grid(5).part_frames(Position(0, 5))


@given(msns, parts)
def test_positions_follow_one_another(msn: int, count: int) -> None:
    g = Grid(count)
    position = Position(msn, 0)
    for _ in range(count):
        after = g.after(position)
        assert g.start_sample(after) == g.stop_sample(position)
        position = after
    assert position == Position(msn + 1, 0)


def test_the_end_lies_after_the_part_that_holds_the_last_sample() -> None:
    g = Grid(5)
    boundary = g.stop_sample(Position(3, 1))
    assert g.end_of(boundary) == Position(3, 2)
    assert g.end_of(boundary + 1) == Position(3, 3)
    assert g.end_of(0) == Position(0, 0)


@given(st.integers(0, 10**17), st.integers(0, 10**12))
def test_utc_and_samples_map_there_and_back_within_a_sample(epoch: int, sample: int) -> None:
    assert grid.sample_at(epoch, grid.utc_us(epoch, sample)) in {sample - 1, sample}


def test_a_year_of_samples_is_a_year_of_microseconds() -> None:
    year = 365 * 24 * 3600
    assert grid.utc_us(5, year * SAMPLE_RATE) == 5 + year * 1_000_000
