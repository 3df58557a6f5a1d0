"""The numbers of an edge, as `longwave edge` shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from longwave.edge.lines import Access

KINDS: Final = ("multivariant", "playlist", "blocking_playlist")
OUTCOMES: Final = ("hit", "miss", "pass", "error")


class EdgeMetrics:
    """Registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "longwave_edge_requests",
            "Live playlists that the edge answered: from its cache (hit), after it asked an origin (miss, "
            "pass), with an error",
            ["kind", "outcome"],
            registry=registry,
        )
        for kind in KINDS:
            for outcome in OUTCOMES:
                self._requests.labels(kind, outcome)
        self.listeners = Gauge(
            "longwave_edge_listeners", "Listeners of live rooms through this edge", registry=registry
        )
        self.dropped = Counter(
            "longwave_edge_lines_dropped", "Access lines that were too many to be counted", registry=registry
        )
        self.totals = Totals()
        registry.register(self.totals)

    def answered(self, access: Access, times: int) -> None:
        """A playlist was answered so many times."""
        self._requests.labels(access.kind, access.outcome).inc(times)


class Totals(Collector):
    """What the edge's own program counts of all that it answers. Nothing, until it has been asked."""

    def __init__(self) -> None:
        self.clients: int | None = None
        self.origins: int | None = None
        self.failures: int | None = None

    def add_origins(self, requests: int, failures: int) -> None:
        """So many more requests to origins, some of which failed."""
        self.origins = (self.origins or 0) + requests
        self.failures = (self.failures or 0) + failures

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Both counters begin again where the program does, as Prometheus expects of counters."""
        rows = (
            ("longwave_edge_client_requests", "Requests of clients that the edge has answered", self.clients),
            ("longwave_edge_origin_requests", "Requests that the edge has sent to origins", self.origins),
            (
                "longwave_edge_origin_failures",
                "Those that failed; nginx: or were answered 5xx",
                self.failures,
            ),
        )
        for name, text, value in rows:
            if value is not None:
                yield CounterMetricFamily(name, text, value=value)
