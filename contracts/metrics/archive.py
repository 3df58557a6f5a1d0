"""What is kept of takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class ArchiveMetrics:
    """The spool, the storage, and the replays that are made of takes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.spool_bytes = Gauge(
            "longwave_spool_bytes", "Media on this disk that is not in the storage yet", registry=registry
        )
        self.spool_limit_bytes = Gauge(
            "longwave_spool_limit_bytes", "What the spool may hold at most", registry=registry
        )
        self.spool_refusals = Counter(
            "longwave_spool_refusals",
            "Parts that the spool did not take in time; they wait in memory",
            ["reason"],
            registry=registry,
        )
        self.archive_uploads = Counter(
            "longwave_archive_uploads",
            "Fragments handed to the storage: stored, same (it was there), beside (some of it was there), "
            "conflict (other bytes were there)",
            ["outcome"],
            registry=registry,
        )
        self.archive_uploads.labels("conflict")
        self.archive_failures = Counter(
            "longwave_archive_failures", "Tries to reach the storage that failed", registry=registry
        )
        self.archive_lag = Gauge(
            "longwave_archive_lag_seconds",
            "Of the take furthest behind: what was encoded of it and is not in the storage yet",
            registry=registry,
        )
        self.archive_lost = Counter(
            "longwave_archive_lost_seconds", "Audio that will never be in the storage", registry=registry
        )
        self.replays = Counter(
            "longwave_replays",
            "What was done with takes that are over: finished, edited, deleted; damaged ones were given up",
            ["outcome"],
            registry=registry,
        )
        self.replays.labels("damaged")
