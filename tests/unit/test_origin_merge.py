"""A window as records, and one window out of two: pure, without HTTP."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.position import Position
from contracts.take import TakeEvent
from origin.contents import contents, header_of, put_record
from origin.journal_format import RecordKind
from origin.merge import merge, wanted_from
from pipeline.grid import Grid
from pipeline.take_window import TakeWindow
from tests import takes

GRID = Grid(5)
WINDOW = 450


def window(
    start: tuple[int, int], stop: tuple[int, int], *renditions: str, segments: int = WINDOW
) -> TakeWindow:
    take = takes.window(*renditions, segments=segments)
    takes.play(take, start, stop)
    return take


def rebuilt(take: TakeWindow, start: int = 0, segments: int = WINDOW) -> TakeWindow:
    header, *records = contents(take, start)
    assert header.kind is RecordKind.HEADER
    again = TakeWindow(header_of(header), segments)
    for record in records:
        put_record(again, record)
    return again


def served(take: TakeWindow, rendition: str = "64k") -> dict[int, tuple[bytes, ...]]:
    line = take.renditions[rendition]
    return {msn: parts for msn in range(line.next.msn + 1) if (parts := line.parts_held(msn))}


def assert_equal(one: TakeWindow, other: TakeWindow) -> None:
    """Equal for workers and for listeners."""
    assert one.state() == other.state()
    for name in one.renditions:
        assert one.media_playlist(name) == other.media_playlist(name)
        assert one.init_bytes(name) == other.init_bytes(name)
        assert served(one, name) == served(other, name)
    assert one.events == other.events


# ---------------------------------------------------------------- as records


def test_a_window_comes_back_from_its_records() -> None:
    take = window((3, 0), (6, 2), "64k", "32k")
    for name in take.renditions:
        take.put_gap(name, 6)  # broken off: its two parts are served a while longer
    takes.play(take, (7, 0), (9, 3))
    take.put_event(TakeEvent(4 * 96_000, 0, "chapter", title="Four"))
    take.put_event(TakeEvent(99 * 96_000, 0, "speakers", speakers=("Ada",)))  # not listed yet
    assert_equal(rebuilt(take), take)
    assert len(served(rebuilt(take))[6]) == 2


def test_an_ended_window_comes_back_with_its_short_last_segment() -> None:
    take = window((0, 0), (3, 2))
    take.end(GRID.start_sample(Position(3, 2)))
    assert_equal(rebuilt(take), take)


def test_records_begin_where_they_are_wanted_and_stay_as_they_are() -> None:
    take = window((0, 0), (6, 2))
    records = contents(take, 4)
    takes.play(take, (6, 2), (8, 0))
    parts = [(record.number, record.part) for record in records if record.kind is RecordKind.PART]
    assert parts == list(takes.positions(GRID, Position(4, 0), Position(6, 2)))


def test_what_is_served_though_not_listed_any_more_comes_too_up_to_a_hole() -> None:
    take = window((0, 0), (1, 0), segments=5)
    take.put_gap("64k", 1)
    takes.play(take, (2, 0), (8, 0))
    assert take.renditions["64k"].first == 3
    again = rebuilt(take, segments=5)
    assert again.media_playlist("64k") == take.media_playlist("64k")
    # 2 has left the playlist. 1, before it, is nothing now, and 0 cannot come before it.
    assert sorted(served(take)) == [0, *range(2, 8)]
    assert sorted(served(again)) == [*range(2, 8)]


# ---------------------------------------------------------------- what is worth asking for


@pytest.mark.parametrize(
    ("ours", "theirs", "start"),
    [
        (((0, 0), (9, 2)), ((0, 0), (9, 2)), None),
        (((0, 0), (9, 2)), ((3, 0), (8, 0)), None),
        (((0, 0), (9, 2)), ((0, 0), (9, 3)), 9),
        (((0, 0), (9, 0)), ((5, 0), (12, 0)), 9),
        (((5, 0), (9, 0)), ((0, 0), (9, 0)), 0),
        (((0, 0), (5, 0)), ((7, 0), (9, 0)), 0),
    ],
    ids=["the same", "less", "one part", "what follows", "what is before", "after a hole"],
)
def test_a_sister_is_asked_for_what_is_missing(
    ours: tuple[tuple[int, int], tuple[int, int]],
    theirs: tuple[tuple[int, int], tuple[int, int]],
    start: int | None,
) -> None:
    assert wanted_from(window(*ours).state(), window(*theirs).state(), WINDOW) == start


def test_a_sister_is_asked_for_a_take_that_is_not_here_for_media_in_a_gap_and_for_the_end() -> None:
    theirs = window((0, 0), (4, 0))
    assert wanted_from(None, theirs.state(), WINDOW) == 0
    ours = window((0, 0), (1, 0))
    ours.put_gap("64k", 1)
    takes.play(ours, (2, 0), (4, 0))
    assert wanted_from(ours.state(), theirs.state(), WINDOW) == 0
    assert wanted_from(ours.state(), ours.state(), WINDOW) is None
    theirs.end(4 * 96_000)
    assert wanted_from(window((0, 0), (4, 0)).state(), theirs.state(), WINDOW) == 4


def test_a_sister_who_is_a_segment_behind_has_nothing_before_a_full_window() -> None:
    assert wanted_from(window((6, 0), (16, 0)).state(), window((5, 0), (15, 0)).state(), 10) is None


# ---------------------------------------------------------------- two in one


def test_what_is_before_within_and_after_comes_from_the_sister() -> None:
    ours = window((5, 0), (6, 0))
    ours.put_gap("64k", 6)
    takes.play(ours, (7, 0), (8, 1))
    theirs = window((2, 0), (10, 3))
    merged = merge(ours, theirs, WINDOW)
    assert merged.conflicts == []
    assert_equal(merged.window, theirs)


def test_our_bytes_stay_and_the_sisters_follow_part_by_part() -> None:
    ours = takes.window()
    for position in takes.positions(GRID, Position(5, 0), Position(6, 2)):
        ours.put_part("64k", *position, takes.part(GRID, *position, b"ours"))
    merged = merge(ours, window((4, 0), (7, 1)), WINDOW)
    assert merged.conflicts == [("64k", 5), ("64k", 6)]
    there = served(merged.window)
    assert there[5] == served(ours)[5]
    assert there[6] == (*served(ours)[6], *(takes.part(GRID, 6, part) for part in (2, 3, 4)))
    assert merged.window.state().renditions["64k"].next == Position(7, 1)


def test_what_lies_before_a_hole_that_nobody_closes_is_let_go() -> None:
    merged = merge(window((0, 0), (4, 0)), window((6, 0), (9, 0)), WINDOW)
    assert_equal(merged.window, window((6, 0), (9, 0)))
    # The other way round, a sister who has only old segments changes nothing.
    merged = merge(window((6, 0), (9, 0)), window((0, 0), (4, 0)), WINDOW)
    assert_equal(merged.window, window((6, 0), (9, 0)))


def test_a_segment_that_nobody_finished_before_the_next_began_is_broken_off() -> None:
    merged = merge(window((3, 0), (4, 2)), window((5, 0), (6, 0)), WINDOW).window
    assert merged.state().renditions["64k"].gaps == (4,)
    assert len(served(merged)[4]) == 2


def test_a_gap_of_both_stays_one() -> None:
    both = window((0, 0), (2, 2))
    both.put_gap("64k", 2)
    takes.play(both, (3, 0), (4, 0))
    assert_equal(merge(both, rebuilt(both), WINDOW).window, both)


def test_the_end_comes_from_whoever_has_it_and_ours_counts() -> None:
    ours, theirs = window((0, 0), (3, 1)), window((0, 0), (3, 2))
    theirs.end(GRID.start_sample(Position(3, 2)))
    assert_equal(merge(ours, theirs, WINDOW).window, theirs)
    ended = window((0, 0), (3, 1))
    ended.end(GRID.start_sample(Position(3, 1)))
    assert_equal(merge(ended, window((0, 0), (5, 0)), WINDOW).window, ended)


def test_events_of_both_are_told_and_ours_where_they_differ() -> None:
    ours, theirs = window((0, 0), (4, 0)), window((0, 0), (4, 0))
    ours.put_event(TakeEvent(96_000, 0, "chapter", title="Ours"))
    theirs.put_event(TakeEvent(96_000, 0, "chapter", title="Theirs"))
    theirs.put_event(TakeEvent(2 * 96_000, 0, "chapter", title="Two"))
    assert [event.title for event in merge(ours, theirs, WINDOW).window.events] == ["Ours", "Two"]


positions = st.tuples(st.integers(0, 6), st.integers(0, 4))


@given(positions, positions, positions, positions, st.sets(st.integers(0, 6)), st.sets(st.integers(0, 6)))
def test_nothing_that_is_here_after_the_last_hole_is_lost(
    first: tuple[int, int],
    stop: tuple[int, int],
    their_first: tuple[int, int],
    their_stop: tuple[int, int],
    gaps: set[int],
    their_gaps: set[int],
) -> None:
    ours, theirs = holey(first[0], stop, gaps), holey(their_first[0], their_stop, their_gaps)
    merged = merge(ours, theirs, WINDOW).window
    first_kept = merged.renditions["64k"].first
    for one in (ours, theirs):
        for msn, parts in served(one).items():
            if first_kept is not None and msn >= first_kept:
                assert merged.renditions["64k"].parts_held(msn)[: len(parts)] == parts
    reached = max(ours.renditions["64k"].next, theirs.renditions["64k"].next)
    assert merged.renditions["64k"].next == reached
    wanted = wanted_from(merged.state(), theirs.state(), WINDOW)
    assert wanted is None or first_kept is None or theirs.renditions["64k"].next.msn < first_kept


def holey(first: int, stop: tuple[int, int], gaps: set[int]) -> TakeWindow:
    take = takes.window()
    for position in takes.positions(GRID, Position(first, 0), Position(*stop)):
        if position.msn not in gaps:
            take.put_part("64k", *position, takes.part(GRID, *position))
        elif position.part == 0:
            take.put_gap("64k", position.msn)
    return take
