"""What lies between ingests and workers that run apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class BusMetrics:
    """Each Redis by its name, and the rooms that are claimed there."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.bus_up = Gauge("longwave_bus_up", "1 while this Redis answers", ["bus"], registry=registry)
        self.bus_round_trips = Counter(
            "longwave_bus_round_trips",
            "Round trips to Redis: append, read, blocking (a read that waits), coordinate",
            ["bus", "kind"],
            registry=registry,
        )
        self.bus_bytes = Counter(
            "longwave_bus_bytes",
            "Bytes of sound handed to Redis (out) and got (in)",
            ["bus", "way"],
            registry=registry,
        )
        self.bus_lag = Gauge(
            "longwave_bus_lag_seconds",
            "Of the take furthest behind: what this Redis has not got yet",
            ["bus"],
            registry=registry,
        )
        self.bus_refused = Counter(
            "longwave_bus_refused",
            "Appends that Redis refused: behind (it had lost something), generation (another owner)",
            ["bus", "reason"],
            registry=registry,
        )
        self.rooms_deposed = Counter(
            "longwave_rooms_deposed", "Rooms that another ingest took from this one", registry=registry
        )
