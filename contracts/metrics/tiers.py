"""Where listeners listen, and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class TierMetrics:
    """Tiers are `origin`, `edge` and `cdn`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tier_listeners = Gauge(
            "longwave_tier_listeners",
            "Listeners of live takes on each tier: counted here (origin), told by edges (edge, cdn)",
            ["tier"],
            registry=registry,
        )
        self.edges = Gauge(
            "longwave_edges", "Edges that lately told how many listen to them", ["tier"], registry=registry
        )
        self.listen_tokens = Counter(
            "longwave_listen_tokens",
            "Tokens of private rooms, by what became of them: issued, or why one was refused",
            ["outcome"],
            registry=registry,
        )
