"""What HTTP peers did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class HttpMetrics:
    """Requests and connections, of every role that has HTTP."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.http_requests = Counter(
            "longwave_http_requests", "Requests answered", ["kind", "status"], registry=registry
        )
        self.connections = Gauge(
            "longwave_connections", "TCP connections that are open to the HTTP server", registry=registry
        )
        self.unexpected_errors = Counter(
            "longwave_unexpected_errors",
            "Errors of ours, each logged with its traceback",
            ["where"],
            registry=registry,
        )
        self.unexpected_errors.labels("http")
