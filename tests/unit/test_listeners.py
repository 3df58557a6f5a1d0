"""What edges and origins tell of listeners: read strictly, added up once."""

from __future__ import annotations

import pytest

from contracts.errors import BadRequest
from contracts.listeners import MAX_ROOMS, EdgeReport, Headcount, Tier, by_tier, check_edge

EDGE = EdgeReport(Tier.EDGE, {"hall": 30})


def test_what_is_told_is_what_is_read() -> None:
    said = Headcount({"hall": 3}, {"edge-1": EDGE}, {"hall": Tier.CDN})
    assert Headcount.from_json(said.to_json()) == said
    assert EDGE.to_json() == {"tier": "edge", "rooms": {"hall": 30}}


@pytest.mark.parametrize(
    "said",
    [
        None,
        [],
        {},
        {"tier": "edge"},
        {"tier": "origin", "rooms": {}},
        {"tier": "EDGE", "rooms": {}},
        {"tier": ["edge"], "rooms": {}},
        {"tier": "cdn", "rooms": []},
        {"tier": "cdn", "rooms": {"hall": -1}},
        {"tier": "cdn", "rooms": {"hall": 1.5}},
        {"tier": "cdn", "rooms": {"hall": True}},
        {"tier": "cdn", "rooms": {"hall": "7"}},
        {"tier": "cdn", "rooms": {"hall": 10**10}},
        {"tier": "cdn", "rooms": {"not a room": 1}},
        {"tier": "cdn", "rooms": {f"room-{number}": 1 for number in range(MAX_ROOMS + 1)}},
    ],
)
def test_a_report_that_is_none_is_refused(said: object) -> None:
    with pytest.raises(BadRequest):
        EdgeReport.from_json(said)


@pytest.mark.parametrize(
    "said",
    [
        None,
        {"hall": 3},
        {"here": {}, "edges": {}},
        {"here": {"hall": None}, "edges": {}, "tiers": {}},
        {"here": {}, "edges": {"edge 1": EDGE.to_json()}, "tiers": {}},
        {"here": {}, "edges": {"edge-1": {}}, "tiers": {}},
        {"here": {}, "edges": {}, "tiers": {"hall": "moon"}},
        {"here": {}, "edges": {}, "tiers": {"hall": ["cdn"]}},
        {"here": {}, "edges": {}, "tiers": {"../etc": "cdn"}},
    ],
)
def test_a_headcount_that_is_none_is_refused(said: object) -> None:
    with pytest.raises(BadRequest):
        Headcount.from_json(said)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 65, "a\n"])
def test_edges_have_names_that_may_stand_anywhere(name: str) -> None:
    with pytest.raises(BadRequest):
        check_edge(name)
    assert check_edge("Edge_1.fra-2") == "Edge_1.fra-2"


def test_an_edge_that_several_origins_heard_of_counts_once() -> None:
    one = Headcount({"hall": 3}, {"edge-1": EDGE, "edge-2": EdgeReport(Tier.EDGE, {"hall": 5})})
    two = Headcount({"hall": 4, "other": 9}, {"edge-1": EdgeReport(Tier.EDGE, {"hall": 28})})
    assert by_tier("hall", (one, two)) == {Tier.ORIGIN: 7, Tier.EDGE: 35}


def test_a_tier_of_which_somebody_tells_is_there_without_listeners_too() -> None:
    told = Headcount({}, {"cdn-1": EdgeReport(Tier.CDN, {"hall": 8})})
    assert by_tier("other", (told,)) == {Tier.ORIGIN: 0, Tier.CDN: 0}
    assert by_tier("other", ()) == {Tier.ORIGIN: 0}
