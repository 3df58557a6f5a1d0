"""The log of a take: what an origin at some place of it needs next."""

from __future__ import annotations

import pytest

from contracts.position import Position
from contracts.take import TakeEvent
from pipeline.grid import Grid
from tests import takes
from tests.publishing import KEY, encoded
from workers.parts_log import PutGap, PutPart, PutSegment, TakeLog

GRID = Grid(5)
SEGMENT = 96_000


def log_of(first: int = 0, *renditions: str, window: int = 450) -> TakeLog:
    header = takes.header(*renditions)
    return TakeLog(KEY, header, first, {name.name: b"init" for name in header.settings.renditions}, window)


def steps(log: TakeLog, cursor: Position | None, rendition: str = "64k") -> list[str]:
    """Everything that an origin is given from `cursor` on."""
    names = []
    while (step := log.step(rendition, cursor)) is not None:
        names.append(step.what)
        cursor = step.then
    return names


def test_an_origin_at_the_live_edge_is_given_parts() -> None:
    log = log_of()
    log.append(encoded((0, 0), (0, 2)))
    assert log.step("64k", Position(0, 1)) == PutPart(
        "64k", Position(0, 1), Position(0, 2), encoded((0, 1), (0, 2))[0].data
    )
    assert log.step("64k", Position(0, 2)) is None


def test_the_last_part_of_a_segment_goes_as_a_part_also_where_it_is_the_only_one() -> None:
    log = TakeLog(KEY, takes.header(parts=1), 0, {"64k": b""})
    log.append(encoded((0, 0), (1, 0), parts=1))
    assert steps(log, Position(0, 0)) == ["64k/0.0.m4s"]


def test_an_empty_origin_is_given_whole_segments_oldest_first_and_then_parts() -> None:
    log = log_of(3)
    log.append(encoded((3, 0), (5, 2)))
    assert steps(log, None) == ["64k/3.m4s", "64k/4.m4s", "64k/5.0.m4s", "64k/5.1.m4s"]
    step = log.step("64k", None)
    assert isinstance(step, PutSegment)
    assert step.data == b"".join(part.data for part in encoded((3, 0), (4, 0)))


def test_an_origin_in_the_middle_of_a_segment_is_given_the_rest_of_it() -> None:
    log = log_of()
    log.append(encoded((0, 0), (2, 1)))
    assert steps(log, Position(0, 3)) == ["64k/0.3.m4s", "64k/0.4.m4s", "64k/1.m4s", "64k/2.0.m4s"]


def test_what_an_origin_lacks_from_before_the_log_is_a_gap() -> None:
    log = log_of(3)
    log.append(encoded((3, 0), (3, 1)))
    assert steps(log, Position(1, 2)) == ["64k/1.gap", "64k/2.gap", "64k/3.0.m4s"]


def test_an_origin_ahead_of_the_log_waits_until_the_log_is_there() -> None:
    log = log_of()
    log.append(encoded((0, 0), (1, 0)))
    assert log.step("64k", Position(1, 3)) is None
    log.append(encoded((1, 0), (1, 4)))
    assert steps(log, Position(1, 3)) == ["64k/1.3.m4s"]


def test_a_segment_given_up_is_its_parts_and_a_gap_and_the_log_goes_on_after_it() -> None:
    log = log_of()
    log.append(encoded((0, 0), (1, 2)))
    assert log.lose_until(3) == 2
    assert log.next == Position(3, 0)
    log.append(encoded((3, 0), (3, 1)))
    assert steps(log, Position(1, 1)) == ["64k/1.1.m4s", "64k/1.gap", "64k/2.gap", "64k/3.0.m4s"]


def test_an_empty_origin_does_not_begin_with_a_gap() -> None:
    log = log_of()
    log.lose_until(2)
    assert log.step("64k", None) is None
    log.append(encoded((2, 0), (2, 1)))
    assert steps(log, None) == ["64k/2.0.m4s"]


def test_parts_encoded_again_change_nothing() -> None:
    log = log_of(0, "32k", "64k")
    both = ("32k", "64k")
    log.append(encoded((0, 0), (0, 3), both))
    version = log.version
    log.append(encoded((0, 0), (0, 3), both))
    assert log.version == version
    log.append(encoded((0, 0), (0, 4), both))
    assert log.next == Position(0, 4)
    assert steps(log, Position(0, 0), "32k") == [f"32k/0.{part}.m4s" for part in range(4)]


def test_a_position_counts_once_all_renditions_are_there() -> None:
    log = log_of(0, "32k", "64k")
    low, high = encoded((0, 0), (0, 1), ("32k", "64k"))
    log.append([low])
    assert log.next == Position(0, 0)
    log.append([high])
    assert log.next == Position(0, 1)


def test_a_hole_between_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot follow"):
        log_of().append(encoded((0, 1), (0, 2)))


def test_the_log_holds_one_window() -> None:
    log = log_of(window=3)
    log.append(encoded((0, 0), (5, 1)))
    assert log.first == 3
    assert steps(log, Position(2, 4)) == ["64k/2.gap", "64k/3.m4s", "64k/4.m4s", "64k/5.0.m4s"]


def test_events_that_still_last_stay_with_the_window() -> None:
    log = log_of(window=2)
    old = TakeEvent(10, 0, "chapter", title="over")
    lasting = TakeEvent(20, 0, "chapter", title="lasts")
    talk = TakeEvent(30, 0, "speakers", speakers=("ada",))
    new = TakeEvent(9 * SEGMENT, 0, "chapter", title="new")
    log.add_events([old, lasting, talk, new])
    log.append(encoded((0, 0), (9, 1)))
    assert [event for _, event in log.events_after(0)] == [lasting, talk, new]
    assert [event for _, event in log.events_after(3)] == [new]
    assert log.events_after(4) == []


def test_a_take_ends_after_its_samples_where_its_media_was_encoded() -> None:
    log = log_of()
    log.append(encoded((0, 0), (0, 2)))
    assert log.closing([Position(0, 2)]) is None
    log.finish(30_000)
    assert log.closing([Position(0, 2)]) == 30_000


@pytest.mark.parametrize(
    ("length", "reached", "samples"),
    [
        (20 * SEGMENT + 95_000, Position(21, 0), 20 * SEGMENT + 95_000),  # all of it is there
        (21 * SEGMENT + 90_000, Position(21, 0), GRID.start_sample(Position(21, 0))),  # some is missing
        (20 * SEGMENT, Position(21, 0), GRID.start_sample(Position(21, 0))),  # more is there
    ],
)
def test_a_take_that_ended_while_nobody_encoded_ends_where_the_origin_has_media(
    length: int, reached: Position, samples: int
) -> None:
    log = log_of(21)
    log.finish(length)
    assert log.holds_nothing
    assert log.step("64k", reached) is None
    assert log.closing([reached]) == samples
    assert log.closing([None]) == 0


def test_a_segment_that_was_open_when_nobody_encoded_any_more_is_a_gap() -> None:
    log = log_of(21)
    log.finish(20 * SEGMENT + 50_000)
    assert log.step("64k", Position(20, 3)) == PutGap("64k", 20, Position(21, 0))
    assert log.step("64k", None) is None


def test_the_instant_of_a_part_is_told_once_and_only_of_that_part() -> None:
    log = log_of()
    log.heard(Position(0, 0), 1.0)
    log.heard(Position(0, 2), 3.0)
    assert log.released(Position(0, 1)) is None
    assert log.released(Position(0, 2)) == 3.0
    assert log.released(Position(0, 2)) is None


def test_gaps_and_parts_say_where_they_lie() -> None:
    assert PutGap("64k", 7, Position(8, 0)).what == "64k/7.gap"
    assert PutPart("64k", Position(7, 2), Position(7, 3), b"").msn == 7


def test_giving_up_a_thousand_years_takes_no_longer_than_giving_up_a_window() -> None:
    log = log_of(window=5)
    log.append(encoded((0, 0), (0, 2)))
    assert log.lose_until(2**40) == 2**40
    assert log.next == Position(2**40, 0)
    assert steps(log, Position(2**40 - 2, 0)) == [f"64k/{2**40 - back}.gap" for back in (2, 1)]
