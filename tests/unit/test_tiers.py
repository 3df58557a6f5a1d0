"""A room's tier: up at once, down late, whatever is heard of its listeners and by whom."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

import pytest

from contracts.listeners import Tier
from origin.tiers import CALM_SECONDS, SETTLE_SECONDS, SILENT_SECONDS, RoomTier, TierPlan

ORIGIN, EDGE, CDN = Tier
STARTS = {EDGE: 100, CDN: 1000}
TOLD = {ORIGIN: 0, EDGE: 0, CDN: 0}


def after(state: RoomTier, begin: float, seconds: float, counts: Mapping[Tier, int]) -> float:
    """Let `counts` hold for so long, looked at every second; the time at the end."""
    for second in range(int(seconds)):
        state.update(begin + second, counts)
    return begin + int(seconds)


def at(tier: Tier) -> RoomTier:
    state = RoomTier(STARTS)
    state.lift(tier)
    return state


@pytest.mark.parametrize(
    ("listeners", "tier"), [(0, ORIGIN), (99, ORIGIN), (100, EDGE), (999, EDGE), (1000, CDN), (10**6, CDN)]
)
def test_a_room_goes_up_at_once(listeners: int, tier: Tier) -> None:
    state = RoomTier(STARTS)
    assert state.tier is ORIGIN
    state.update(0.0, {ORIGIN: listeners})
    assert state.tier is tier


@pytest.mark.parametrize(
    ("starts", "listeners", "tier"),
    [({}, 10**6, ORIGIN), ({CDN: 50}, 49, ORIGIN), ({CDN: 50}, 50, CDN), ({EDGE: 50}, 10**6, EDGE)],
)
def test_only_tiers_that_there_are_are_gone_to(
    starts: Mapping[Tier, int], listeners: int, tier: Tier
) -> None:
    state = RoomTier(starts)
    state.update(0.0, {ORIGIN: listeners})
    assert state.tier is tier


def test_a_room_goes_down_when_less_than_half_have_listened_for_a_minute() -> None:
    state = at(EDGE)
    now = after(state, 0, 600, TOLD | {EDGE: 50})
    assert state.tier is EDGE
    now = after(state, now, CALM_SECONDS, TOLD | {EDGE: 49})
    assert state.tier is EDGE
    state.update(now, TOLD | {EDGE: 49})
    assert state.tier is ORIGIN


@pytest.mark.parametrize("came", [50, 100, 999])
def test_a_minute_that_was_interrupted_begins_anew(came: int) -> None:
    state = at(EDGE)
    now = after(state, 0, CALM_SECONDS - 1, TOLD)
    state.update(now, TOLD | {EDGE: came})
    now = after(state, now + 1, CALM_SECONDS, TOLD)
    assert state.tier is EDGE
    state.update(now, TOLD)
    assert state.tier is ORIGIN


@pytest.mark.parametrize(("left", "tier"), [(499, EDGE), (50, EDGE), (49, ORIGIN)])
def test_a_room_goes_down_as_far_as_it_has_shrunk(left: int, tier: Tier) -> None:
    state = at(CDN)
    after(state, 0, CALM_SECONDS + 1, TOLD | {CDN: left})
    assert state.tier is tier


def test_a_tier_of_whose_listeners_nobody_tells_is_not_left() -> None:
    state = RoomTier(STARTS)
    state.update(0.0, {ORIGIN: 1000})
    now = after(state, 1, 10 * CALM_SECONDS, {ORIGIN: 0})
    assert state.tier is CDN
    # Its reports come and go: only what was heard for a minute counts.
    now = after(state, now, CALM_SECONDS - 1, TOLD)
    now = after(state, now, 1, {ORIGIN: 0, EDGE: 0})
    now = after(state, now, CALM_SECONDS, TOLD)
    assert state.tier is CDN
    state.update(now, TOLD)
    # Of the edges somebody told all the time.
    assert state.tier is ORIGIN


def test_an_edge_that_falls_silent_keeps_its_rooms_where_they_are_for_a_while() -> None:
    state = at(EDGE)
    state.update(0.0, TOLD | {EDGE: 210}, {"e1": 10, "e2": 200})
    few = TOLD | {EDGE: 10}
    for second in range(1, int(SILENT_SECONDS + CALM_SECONDS)):
        state.update(float(second), few, {"e1": 10})
        assert state.tier is EDGE
    state.update(SILENT_SECONDS + CALM_SECONDS, few, {"e1": 10})
    assert state.tier is ORIGIN


@pytest.mark.parametrize("listeners", [0, 20])
def test_an_edge_that_tells_again_holds_no_room_back(listeners: int) -> None:
    state = at(EDGE)
    state.update(0.0, TOLD | {EDGE: 210}, {"e1": 10, "e2": 200})
    for second in range(1, 120):
        state.update(float(second), TOLD | {EDGE: 10}, {"e1": 10})
    told = {"e1": 10, "e2": listeners}
    for second in range(120, 120 + int(CALM_SECONDS)):
        state.update(float(second), TOLD | {EDGE: 10 + listeners}, told)
        assert state.tier is EDGE
    state.update(120 + CALM_SECONDS, TOLD | {EDGE: 10 + listeners}, told)
    assert state.tier is ORIGIN


def test_an_edge_that_had_nobody_of_a_room_may_go() -> None:
    state = at(EDGE)
    state.update(0.0, TOLD | {EDGE: 10}, {"e1": 10, "e2": 0})
    for second in range(1, int(CALM_SECONDS) + 1):
        state.update(float(second), TOLD | {EDGE: 10}, {"e1": 10})
    assert state.tier is ORIGIN


def test_a_room_that_swings_around_a_threshold_stays_above_it() -> None:
    state = RoomTier(STARTS)
    seen = []
    for second in range(1200):
        state.update(float(second), TOLD | {ORIGIN: 100 if second % 50 == 0 else 60})
        seen.append(state.tier)
    assert set(seen) == {EDGE}


@pytest.mark.parametrize("lag", [3, 8])
@pytest.mark.parametrize("listeners", [110, 400, 600, 990])
def test_a_crowd_that_moves_and_is_counted_twice_meanwhile_is_not_twice_the_crowd(
    lag: int, listeners: int
) -> None:
    """Each moves when asking again, within 10 s and a jitter of half of that; and is missed `lag` s later."""
    chosen = random.Random(listeners)
    moves = sorted(chosen.uniform(0, 15) for _ in range(listeners))
    state = RoomTier(STARTS)
    highest = 0
    for second in range(120):
        counts = TOLD | {
            ORIGIN: sum(moved + lag > second for moved in moves),
            EDGE: sum(moved <= second for moved in moves),
        }
        highest = max(highest, sum(counts.values()))
        state.update(float(second), counts)
        assert state.tier is EDGE
    assert highest > 1.1 * listeners


def test_a_sum_that_holds_is_believed() -> None:
    state = at(EDGE)
    now = after(state, 0, SETTLE_SECONDS, TOLD | {ORIGIN: 400, EDGE: 700})
    assert state.tier is EDGE
    state.update(now, TOLD | {ORIGIN: 400, EDGE: 700})
    assert state.tier is CDN


def ways(tiers: Iterable[Tier]) -> list[Tier]:
    found: list[Tier] = []
    for tier in tiers:
        if not found or found[-1] is not tier:
            found.append(tier)
    return found


def test_a_room_that_grows_and_shrinks_takes_each_step_once() -> None:
    state = RoomTier(STARTS)
    seen = []
    for second in range(900):
        size = min(10 + 20 * second, 2000) if second < 300 else max(10, 2000 - 20 * (second - 300))
        state.update(float(second), TOLD | {state.tier: size})
        seen.append(state.tier)
    assert ways(seen) == [ORIGIN, EDGE, CDN, EDGE, ORIGIN]


def test_a_plan_knows_the_nearest_tier_that_there_is() -> None:
    plan = TierPlan({ORIGIN: ("https://a",), CDN: ("https://c/x",)}, {CDN: 10}, "https://a")
    assert [plan.nearest(tier) for tier in Tier] == [ORIGIN, ORIGIN, CDN]
    assert plan.servers == ("https://a", "https://c/x")
    assert (TierPlan().nearest(CDN), TierPlan().servers) == (ORIGIN, ())


def test_what_was_counted_before_a_pause_is_not_held_against_what_comes_after_it() -> None:
    state = at(EDGE)
    now = after(state, 0.0, CALM_SECONDS - 1, TOLD)
    state.rest()
    now = after(state, now + 300, CALM_SECONDS - 1, TOLD)
    assert state.tier is EDGE
    after(state, now, 3, TOLD)
    assert state.tier is ORIGIN
