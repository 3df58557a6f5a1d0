"""What workers encode and publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from contracts.metrics.buckets import LATENCY

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class EncodingMetrics:
    """Encoders, publishers, and the takes that a worker carries."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.parts_encoded = Counter("longwave_parts_encoded", "Parts encoded", registry=registry)
        self.encoded_seconds = Counter(
            "longwave_encoded_seconds",
            "Sound that encoders took in, in all its renditions at once",
            registry=registry,
        )
        self.encoding_seconds = Counter(
            "longwave_encoding_seconds",
            "Time that encoders took for it; over the sound taken in, that is their real-time factor",
            registry=registry,
        )
        self.gaps = Counter("longwave_gaps", "Segments declared lost", registry=registry)
        self.take_failures = Counter(
            "longwave_take_failures", "Encoding tasks that failed", registry=registry
        )
        self.part_latency = Histogram(
            "longwave_part_latency_seconds",
            "From a part's last sample on the bus to its release at the first origin",
            buckets=LATENCY,
            registry=registry,
        )
        self.publish_retries = Counter(
            "longwave_publish_retries", "Publishes tried again", ["origin"], registry=registry
        )
        self.publish_conflicts = Counter(
            "longwave_publish_conflicts", "Origins that hold other bytes", ["origin"], registry=registry
        )
        self.takes_carried = Gauge(
            "longwave_takes_carried", "Takes that this worker encodes", registry=registry
        )
        self.takes_taken_over = Counter(
            "longwave_takes_taken_over", "Takes that this worker took up in their middle", registry=registry
        )
        self.takes_quarantined = Gauge(
            "longwave_takes_quarantined",
            "Takes here that get gaps, because encoding them failed again and again",
            registry=registry,
        )
