"""The settings of tiers: what holds together becomes a plan, and what does not says which one is wrong."""

from __future__ import annotations

import pytest

from contracts.errors import UsageError
from contracts.listeners import Tier
from longwave.settings import OriginSettings, load_settings
from longwave.tiers import tier_plan
from origin.tiers import TierPlan

PUBLIC = {"public_url": "https://live.example"}


def plan(**given: str) -> TierPlan:
    return tier_plan(load_settings(OriginSettings, given))


def test_without_edges_rooms_are_heard_where_they_are() -> None:
    assert plan() == TierPlan({Tier.ORIGIN: ("",)}, {}, "")
    assert plan(**PUBLIC, edge_from="7") == TierPlan({Tier.ORIGIN: ("",)}, {}, "https://live.example")


def test_each_tier_has_its_addresses_and_its_threshold() -> None:
    edges = "https://e1.example/,http://e2.example:8443/live/"
    assert plan(**PUBLIC, edge_url=edges, cdn_url="https://cdn.example") == TierPlan(
        {
            Tier.ORIGIN: ("https://live.example",),
            Tier.EDGE: ("https://e1.example", "http://e2.example:8443/live"),
            Tier.CDN: ("https://cdn.example",),
        },
        {Tier.EDGE: 100, Tier.CDN: 1000},
        "https://live.example",
    )
    alone = plan(**PUBLIC, cdn_url="https://cdn.example", cdn_from="50")
    assert (set(alone.bases), alone.starts) == ({Tier.ORIGIN, Tier.CDN}, {Tier.CDN: 50})


def test_they_come_from_the_environment_and_empty_ones_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGWAVE_PUBLIC_URL", "https://live.example")
    monkeypatch.setenv("LONGWAVE_EDGE_URL", "https://e1.example,https://e2.example")
    monkeypatch.setenv("LONGWAVE_CDN_URL", "")
    monkeypatch.setenv("LONGWAVE_EDGE_FROM", "20")
    assert plan().starts == {Tier.EDGE: 20}
    assert plan().bases[Tier.EDGE] == ("https://e1.example", "https://e2.example")
    monkeypatch.setenv("LONGWAVE_EDGE_URL", "")
    assert plan().starts == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"edge_url": "https://e.example"}, "LONGWAVE_PUBLIC_URL: .*small rooms are heard there"),
        ({"cdn_url": "https://c.example"}, "LONGWAVE_PUBLIC_URL"),
        ({**PUBLIC, "edge_url": "e.example"}, "--edge-url: "),
        ({**PUBLIC, "edge_url": "https://e.example/?a=b"}, "LONGWAVE_EDGE_URL: .*without a query"),
        ({**PUBLIC, "cdn_url": "https://me:pass@c.example"}, "LONGWAVE_CDN_URL"),
        ({**PUBLIC, "edge_from": "0"}, "--edge-from"),
        (
            {**PUBLIC, "edge_url": "https://e.example", "cdn_url": "https://c.example", "edge_from": "1000"},
            "LONGWAVE_EDGE_FROM: 1000 is not less than LONGWAVE_CDN_FROM, 1000",
        ),
    ],
)
def test_what_does_not_hold_together_is_said(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan(**given)
