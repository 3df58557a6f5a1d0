"""The judge of rooms on tiers: which moments count, and what is said of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from tests.soak.tiers import COUNTED_SECONDS, MOVED_SECONDS, Moment, Watch, accuracy, table


def watched(*stretches: tuple[str, int, int], counted: int | None = None) -> Watch:
    """Moments a second apart: a tier, how many listen, for how many seconds."""

    def moments() -> Iterable[Moment]:
        at = 100.0
        for tier, true, seconds in stretches:
            for _ in range(seconds):
                yield Moment(at, tier, true, (0, true if counted is None else counted, 0))
                at += 1

    return Watch(cast("Any", None), "room", lambda _: 0, list(moments()))


def test_nobody_is_judged_while_somebody_comes_or_goes() -> None:
    watch = watched(("edge", 10, 20), ("edge", 11, 5), ("edge", 12, 20))
    assert [moment.true for moment in watch.at_rest()] == [10] * (20 - COUNTED_SECONDS) + [12] * (
        20 - COUNTED_SECONDS
    )


def test_nobody_is_judged_while_they_move() -> None:
    watch = watched(("origin", 50, 15), ("edge", 50, MOVED_SECONDS + 3))
    assert [moment.tier for moment in watch.at_rest()] == ["origin"] * (15 - COUNTED_SECONDS) + ["edge"] * 3


def test_a_room_that_goes_back_and_forth_is_seen_to() -> None:
    assert watched(("origin", 1, 2), ("edge", 1, 1), ("origin", 1, 3)).tiers() == ["origin", "edge", "origin"]


def test_errors_are_parts_of_what_is_true() -> None:
    watch = watched(("edge", 200, 15), counted=190)
    assert accuracy(watch.at_rest()) == "200 listeners at edge, 3 s: -5.0% on average, -5.0% at worst"
    assert table(watch.moments, 10).splitlines()[1:] == [
        "      0    edge    200       0     190       0   -5.0%",
        "     10    edge    200       0     190       0   -5.0%",
    ]
