"""The arithmetic of counting by requests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.counting import INTERVALS, Reloads, steady_mean


@pytest.mark.parametrize(
    ("counts", "mean"),
    [
        ([], 0),
        ([7], 7),
        ([4, 8], 6),
        # One of three, two of seven: the largest say no more than the next.
        ([10, 10, 1000], 10),
        ([10, 1000, 10, 10, 1000, 10, 10], 10),
        ([10, 10, 1000, 1000], 505),
        ([0, 0, 0, 400], 0),
    ],
)
def test_a_few_that_are_far_larger_than_the_others_do_not_count(counts: list[float], mean: float) -> None:
    assert steady_mean(counts) == mean


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_it_is_never_more_than_the_mean_and_never_less_than_the_smallest(counts: list[float]) -> None:
    assert min(counts) <= steady_mean(counts) * (1 + 1e-9) <= sum(counts) / len(counts) * (1 + 1e-6)


def test_who_reloads_steadily_is_one_however_seldom_it_is_looked() -> None:
    for step in (0.1, 0.25, 0.9, 2.0):
        reloads = Reloads(2.0)
        for number in range(int(20 / step)):
            reloads.observe(number * step, int(number * step * 15))
        now = (int(20 / step) - 1) * step
        assert reloads.size(now, int(now * 15)) == pytest.approx(30, rel=0.05)


def test_who_was_there_before_the_first_observation_is_not_counted() -> None:
    reloads = Reloads(2.0)
    assert reloads.size(0.0, 100) == 0
    reloads.observe(0.0, 1000)
    assert reloads.size(1.0, 1000) == 0


def test_who_comes_is_there_in_full_after_four_reloads_and_who_has_left_is_gone_after_as_many() -> None:
    reloads = Reloads(2.0)
    for tick in range(200):
        reloads.observe(tick * 0.25, min(tick, 100))
    assert reloads.size(50.0, 100) == 0
    reloads = Reloads(2.0)
    reloads.observe(0.0, 0)
    sizes = []
    for tick in range(1, 41):
        reloads.observe(tick * 0.25, tick)
        sizes.append(reloads.size(tick * 0.25, tick))
    assert sizes == sorted(sizes)
    assert (sizes[7], sizes[15], sizes[int(INTERVALS * 8) - 1], sizes[-1]) == (0, 4, 8, 8)
