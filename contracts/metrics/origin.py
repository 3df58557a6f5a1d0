"""What an origin holds, and how soon listeners have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from contracts.metrics.buckets import LATENCY

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class OriginMetrics:
    """Windows, what workers put, those who wait, replays."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.takes = Gauge("longwave_takes", "Takes in the window", ["state"], registry=registry)
        self.window_bytes = Gauge("longwave_window_bytes", "Media held in memory", registry=registry)
        self.live_edge_age = Gauge(
            "longwave_live_edge_age_seconds",
            "Of the live take whose playlists stand still longest: since they grew; 0 where none is live",
            registry=registry,
        )
        self.blocked_listeners = Gauge(
            "longwave_blocked_listeners", "Requests that wait for media", registry=registry
        )
        self.listeners = Gauge(
            "longwave_listeners", "Listeners of live takes, as far as can be told", registry=registry
        )
        self.release = Histogram(
            "longwave_release_seconds",
            "From a part's put to the moment when the last listener who waited for it is answered",
            buckets=LATENCY,
            registry=registry,
        )
        self.publishes = Counter(
            "longwave_publishes", "What workers put", ["kind", "outcome"], registry=registry
        )
        self.byte_conflicts = Counter(
            "longwave_byte_conflicts", "Other bytes refused under a taken name", registry=registry
        )
        self.journal_lag = Gauge(
            "longwave_journal_lag_bytes", "Bytes of the window not yet on disk", registry=registry
        )
        self.journal_dropped = Counter(
            "longwave_journal_dropped", "Records that never reached the disk", registry=registry
        )
        self.replay_failures = Counter(
            "longwave_replay_failures",
            "Answers with a replay's media that were refused or cut, by what was wrong",
            ["reason"],
            registry=registry,
        )
        self.replay_failures.labels("damaged")
