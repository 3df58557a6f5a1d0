"""How much a round trip carries over a line of unknown width."""

from __future__ import annotations

import pytest

from workers.redis_bus.pace import Pace


def test_a_line_that_takes_everything_is_never_asked_for_less() -> None:
    pace = Pace(10, 1000)
    for _ in range(3):
        assert pace.amount == 1000
        pace.worked(1000)


def test_what_failed_is_not_tried_again_at_once() -> None:
    pace = Pace(10, 1000)
    pace.failed(400)
    assert pace.amount == 100
    pace.failed(100)
    pace.failed(25)
    assert pace.amount == 10, "there is a least"


@pytest.mark.parametrize("width", [1, 3, 10, 100, 999])
def test_a_narrow_line_is_used_well(width: int) -> None:
    """A round trip that carries more than `width` fails: it costs as much time as one that is full."""
    pace, carried, trips = Pace(1, 1000), 0, 0
    while trips < 1000:
        trips += 1
        if pace.amount > width:
            pace.failed(pace.amount)
        else:
            carried += pace.amount
            pace.worked(pace.amount)
    assert carried >= 0.4 * width * trips


def test_a_round_trip_that_was_not_full_says_nothing_of_the_line() -> None:
    pace = Pace(10, 1000)
    pace.failed(40)
    for _ in range(5):
        pace.worked(9)
    assert pace.amount == 10


def test_after_an_outage_the_most_is_soon_reached_again() -> None:
    pace, trips = Pace(1 << 14, 4 << 20), 0
    for _ in range(300):
        pace.failed(0)
    while pace.amount < 4 << 20:
        pace.worked(pace.amount)
        trips += 1
    assert trips < 30
