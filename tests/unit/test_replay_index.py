import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import MalformedMedia
from contracts.position import Position
from pipeline.boxes import access_units, read_part, sequence_number, write_part
from pipeline.grid import FRAME, Grid, first_frame, first_sample
from pipeline.replay.coverage import missing
from pipeline.replay.fragment_index import FRAGMENT_SEGMENTS, FragmentIndex, index_fragment
from storage import names
from tests import takes

GRID = Grid(5)


def published(position: tuple[int, int], grid: Grid = GRID) -> bytes:
    """A part whose access units all differ, in size too."""
    frames = grid.part_frames(Position(*position))
    units = [f"unit {frame} ".encode() * (1 + frame % 7) for frame in frames]
    return write_part(units, frames.start, sequence_number(Position(*position), grid.parts))


def fragment(*positions: tuple[int, int], grid: Grid = GRID) -> bytes:
    return b"".join(published(position, grid) for position in positions)


def indexed(*positions: tuple[int, int], first: int = 0) -> FragmentIndex:
    return index_fragment(fragment(*positions), GRID, first)


def test_a_fragment_is_what_storage_says() -> None:
    assert FRAGMENT_SEGMENTS == names.FRAGMENT_SEGMENTS


@pytest.mark.parametrize("parts", [1, 5, 10])
def test_every_part_is_found_with_its_access_units(parts: int) -> None:
    grid = Grid(parts)
    positions = [(msn, part) for msn in range(30, 45) for part in range(parts)]
    data = fragment(*positions, grid=grid)
    index = index_fragment(data, grid, 30)
    assert (index.msn, index.size) == (30, len(data))
    assert [place.position for place in index.parts] == positions
    for place in index.parts:
        part = data[place.start : place.stop]
        box = read_part(part)
        assert (box.first_frame, box.frames) == (place.first_frame, place.frames)
        units = access_units(part)
        assert place.sizes.tolist() == [len(unit) for unit in units]
        assert data[place.payload] == b"".join(units)
    assert index.sizes.dtype == np.uint32
    assert index.sizes.tolist() == [size for place in index.parts for size in place.sizes.tolist()]


def test_an_index_does_not_keep_the_fragment() -> None:
    index = indexed((0, 0), (0, 1))
    assert index.sizes.base is None
    assert index.table.base is None


@given(st.sets(st.tuples(st.integers(15, 29), st.integers(0, 4)), min_size=1, max_size=12))
def test_any_parts_may_be_missing(positions: set[tuple[int, int]]) -> None:
    assert [place.position for place in indexed(*sorted(positions), first=15).parts] == sorted(positions)


@pytest.mark.parametrize(
    ("positions", "reason"),
    [
        ([], "at least one part"),
        ([(14, 4)], "segments 14 to 14 in the fragment of the 15 from 15 on"),
        ([(15, 0), (30, 0)], "segments 15 to 30"),
        ([(15, 0), (15, 0)], "part 15.0 after part 15.0"),
        ([(15, 2), (15, 1)], "part 15.1 after part 15.2"),
    ],
)
def test_parts_in_the_wrong_place_are_refused(positions: list[tuple[int, int]], reason: str) -> None:
    with pytest.raises(MalformedMedia, match=reason):
        indexed(*positions, first=15)


def test_another_grid_is_refused() -> None:
    with pytest.raises(MalformedMedia, match="part at byte 0: not on the grid"):
        index_fragment(fragment((0, 0)), Grid(4), 0)


def test_a_fragment_cut_off_anywhere_is_refused() -> None:
    data = fragment((0, 0), (0, 1))
    whole = len(published((0, 0)))
    for length in range(len(data)):
        if length == whole:
            continue  # the first part alone is a fragment too
        with pytest.raises(MalformedMedia):
            index_fragment(data[:length], GRID, 0)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_in_an_access_unit(at: int, change: int) -> None:
    data = bytearray(fragment((0, 0), (0, 1)))
    at %= len(data)
    data[at] ^= change
    payloads = [place.payload for place in indexed((0, 0), (0, 1)).parts]
    if any(payload.start <= at < payload.stop for payload in payloads):
        assert index_fragment(bytes(data), GRID, 0).size == len(data)
    else:
        with pytest.raises(MalformedMedia):
            index_fragment(bytes(data), GRID, 0)


def test_sizes_that_wrap_around_are_refused() -> None:
    part = bytearray(published((0, 0)))
    sizes = np.frombuffer(part, ">u4", 18, 96).copy()
    sizes[0] += 5  # one more here, one less there: the sum is what it was
    sizes[1] -= 5
    part[96:104] = sizes[:2].tobytes()
    assert index_fragment(bytes(part), GRID, 0).sizes[0] == sizes[0]
    sizes[0], sizes[1] = sizes[0] + sizes[1], 0
    part[96:104] = sizes[:2].tobytes()
    with pytest.raises(MalformedMedia, match="without bytes"):
        index_fragment(bytes(part), GRID, 0)


def test_bytes_after_the_last_part_are_refused() -> None:
    with pytest.raises(MalformedMedia, match="part at byte"):
        index_fragment(fragment((0, 0)) + b"\0" * 8, GRID, 0)


def test_times_beyond_all_time_are_refused() -> None:
    data = bytearray(takes.part(GRID, 0, 0))
    data[68:76] = b"\xff" * 8
    with pytest.raises(MalformedMedia):
        index_fragment(bytes(data), GRID, 0)


def test_nothing_is_missing_of_a_whole_take() -> None:
    whole = indexed(*((msn, part) for msn in range(3) for part in range(5)))
    assert missing([whole], first_sample(3)) == []
    assert missing([whole], first_sample(3) - 1) == []
    assert missing([whole], 1) == []
    assert missing([whole], 0) == []


def test_what_no_part_holds_is_missing_to_the_sample() -> None:
    index = indexed((0, 1), (0, 2), (0, 4), (1, 0))
    starts = [GRID.start_sample(Position(0, part)) for part in range(5)]
    end = 96_000 * 16
    assert missing([index], end) == [
        (0, starts[1]),
        (starts[3], starts[4]),
        (GRID.stop_sample(Position(1, 0)), end),
    ]
    assert missing([index], starts[3] + 7) == [(0, starts[1]), (starts[3], starts[3] + 7)]
    assert missing([index], 3) == [(0, 3)]
    assert missing([], 480) == [(0, 480)]


def test_fragments_in_any_order_and_twice() -> None:
    early, late = indexed((14, 4), first=0), indexed((15, 0), first=15)
    end = FRAME * (first_frame(15) + 18)
    assert missing([late, early, late], end) == [(0, GRID.start_sample(Position(14, 4)))]
