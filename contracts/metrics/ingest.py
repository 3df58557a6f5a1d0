"""What speakers send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

from contracts.metrics.buckets import DELAY

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class IngestMetrics:
    """Senders, their samples, and the packets of those who speak over WHIP."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.speakers = Gauge("longwave_speakers", "Connected senders of audio", registry=registry)
        self.samples = Counter("longwave_samples", "Samples put on the bus", ["kind"], registry=registry)
        self.late_samples = Counter(
            "longwave_late_samples", "Samples of live senders dropped for being late", registry=registry
        )
        self.speakers_dropped = Counter(
            "longwave_speakers_dropped", "Senders cut off", ["reason"], registry=registry
        )
        self.whip_sessions = Counter(
            "longwave_whip_sessions",
            "WHIP sessions that are over, by how they ended",
            ["outcome"],
            registry=registry,
        )
        self.whip_sessions.labels("handshake")
        self.speaker_delay = Histogram(
            "longwave_speaker_delay_seconds",
            "From the arrival of a voice's packet to the bus, of each voice once a second",
            buckets=DELAY,
            registry=registry,
        )
        self.voice_packets = Counter(
            "longwave_voice_packets",
            "Packets of voices: all that arrived (packets), and what became of them",
            ["outcome"],
            registry=registry,
        )
        self.voice_samples = Counter(
            "longwave_voice_samples",
            "Samples of voices that were made up (concealed) or left out (cut, skipped)",
            ["fate"],
            registry=registry,
        )
        self.reservation_late = Counter(
            "longwave_reservation_late",
            "Segments begun before their number was safe on disk",
            registry=registry,
        )
