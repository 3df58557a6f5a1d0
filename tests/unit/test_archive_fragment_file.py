"""A fragment in the spool: which bytes of it are parts, and in which order they become an object."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.position import Position
from pipeline.grid import Grid
from tests import takes
from workers.archive.fragment_file import joined, position_of, positions, scan

GRID = Grid(5)
PARTS = {
    position: takes.part(GRID, *position)
    for position in takes.positions(GRID, Position(15, 0), Position(17, 0))
}


def test_parts_are_found_in_any_order_and_the_first_of_two_counts() -> None:
    twin = takes.part(GRID, 15, 1, b"other")
    order = [Position(16, 4), Position(15, 1), Position(16, 0)]
    data = b"".join(PARTS[position] for position in order) + twin
    found = scan(data, GRID, 15)
    assert list(found.places) == order
    assert {each: data[place.start : place.stop] for each, place in found.places.items()} == {
        each: PARTS[each] for each in order
    }
    assert found.size == len(data)


def test_an_object_is_its_parts_in_the_order_of_time() -> None:
    parts = {position: PARTS[position] for position in reversed(PARTS)}
    assert joined(parts) == b"".join(PARTS.values())


@given(cut=st.integers(0, len(b"".join(PARTS.values()))))
def test_wherever_a_file_is_cut_its_whole_parts_are_found_and_no_more(cut: int) -> None:
    data = b"".join(PARTS.values())
    stops = [len(b"".join(list(PARTS.values())[: count + 1])) for count in range(len(PARTS))]
    found = scan(data[:cut], GRID, 15)
    assert len(found.places) == sum(stop <= cut for stop in stops)
    assert found.size == max([0, *(stop for stop in stops if stop <= cut)])


@given(torn=st.binary(max_size=200))
def test_what_a_torn_write_left_behind_the_parts_is_no_part(torn: bytes) -> None:
    whole = PARTS[Position(15, 0)]
    assert scan(whole + torn, GRID, 15) == scan(whole, GRID, 15)


@pytest.mark.parametrize(
    "stranger",
    [
        takes.part(GRID, 30, 0),  # of another fragment
        takes.part(Grid(4), 15, 1),  # of another grid
        b"\0" * 64,  # a block that a machine without power did not write
    ],
    ids=["fragment", "grid", "zeros"],
)
def test_strangers_end_the_file(stranger: bytes) -> None:
    whole = PARTS[Position(15, 0)]
    assert scan(whole + stranger + PARTS[Position(15, 1)], GRID, 15).size == len(whole)


def test_a_part_says_where_it_belongs() -> None:
    assert position_of(takes.part(GRID, 123, 3), GRID) == Position(123, 3)
    assert position_of(takes.part(GRID, 123, 3), Grid(10)) is None
    assert position_of(b"moof", GRID) is None


def test_a_fragment_holds_fifteen_segments_or_what_there_is_before_the_end() -> None:
    every = positions(GRID, 15, None)
    assert every == set(takes.positions(GRID, Position(15, 0), Position(30, 0)))
    assert positions(GRID, 15, Position(16, 2)) == {each for each in every if each < (16, 2)}
    assert positions(GRID, 15, Position(15, 0)) == set()
