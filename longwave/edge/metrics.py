"""The numbers of an edge, as `longwave edge` shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
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


class Threads(NamedTuple):
    """The threads of a Varnish: a connection of HTTP/2 holds one for as long as it is open.

    `most` is how many it may have, where it told; `queued` are requests that wait for one. How often there
    was none to be had is `limited`, and how many requests and connections were `dropped` for it.
    """

    running: int
    most: int | None
    queued: int
    limited: int
    dropped: int


class Totals(Collector):
    """What the edge's own program counts of all that it answers. Nothing, until it has been asked."""

    def __init__(self) -> None:
        self.clients: int | None = None
        self.origins: int | None = None
        self.failures: int | None = None
        self.threads: Threads | None = None

    def add_origins(self, requests: int, failures: int) -> None:
        """So many more requests to origins, some of which failed."""
        self.origins = (self.origins or 0) + requests
        self.failures = (self.failures or 0) + failures

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Counters begin again where the program does, as Prometheus expects of them."""
        threads = self.threads
        counters = (
            ("longwave_edge_client_requests", "Requests of clients that the edge has answered", self.clients),
            ("longwave_edge_origin_requests", "Requests that the edge has sent to origins", self.origins),
            (
                "longwave_edge_origin_failures",
                "Those that failed; nginx: or were answered 5xx",
                self.failures,
            ),
            (
                "longwave_edge_threads_limited",
                "How often the edge needed a thread more than it may have",
                threads and threads.limited,
            ),
            (
                "longwave_edge_dropped",
                "Requests and connections dropped because too many waited for a thread",
                threads and threads.dropped,
            ),
        )
        gauges = (
            (
                "longwave_edge_threads",
                "Threads; a connection of HTTP/2 holds one",
                threads and threads.running,
            ),
            ("longwave_edge_threads_max", "Threads that the edge may have", threads and threads.most),
            ("longwave_edge_queued", "Requests that wait for a thread", threads and threads.queued),
        )
        for name, text, value in counters:
            if value is not None:
                yield CounterMetricFamily(name, text, value=value)
        for name, text, value in gauges:
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)
