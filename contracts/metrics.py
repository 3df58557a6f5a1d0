"""Every metric by name, in Prometheus' units. One `Metrics` a process, handed to whoever counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

# From a part's last sample on the bus to the release of its listeners: 42.7 ms of it are the codec's.
_LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.045, 0.05, 0.055, 0.06, 0.065, 0.08, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)

# A voice waits for its jitter: 20 ms on a quiet line, 400 ms on the worst that is kept up with.
_DELAY_BUCKETS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)


class Metrics:
    """The process' metrics, registered with `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        # What HTTP peers did.
        self.http_requests = Counter(
            "longwave_http_requests", "Requests answered", ["kind", "status"], registry=registry
        )
        self.unexpected_errors = Counter(
            "longwave_unexpected_errors",
            "Errors of ours, each logged with its traceback",
            ["where"],
            registry=registry,
        )
        # Origin.
        self.takes = Gauge("longwave_takes", "Takes in the window", ["state"], registry=registry)
        self.window_bytes = Gauge("longwave_window_bytes", "Media held in memory", registry=registry)
        self.blocked_listeners = Gauge(
            "longwave_blocked_listeners", "Requests that wait for media", registry=registry
        )
        self.listeners = Gauge(
            "longwave_listeners", "Listeners of live takes, as far as can be told", registry=registry
        )
        self.release = Histogram(
            "longwave_release_seconds",
            "From a part's put to the moment when the last listener who waited for it is answered",
            buckets=_LATENCY_BUCKETS,
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
        # Ingest.
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
        self.speaker_delay = Histogram(
            "longwave_speaker_delay_seconds",
            "From the arrival of a voice's packet to the bus, of each voice once a second",
            buckets=_DELAY_BUCKETS,
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
        # Encoding and publishing.
        self.parts_encoded = Counter("longwave_parts_encoded", "Parts encoded", registry=registry)
        self.gaps = Counter("longwave_gaps", "Segments declared lost", registry=registry)
        self.take_failures = Counter(
            "longwave_take_failures", "Encoding tasks that failed", registry=registry
        )
        self.part_latency = Histogram(
            "longwave_part_latency_seconds",
            "From a part's last sample on the bus to its release at the first origin",
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.replays = Counter(
            "longwave_replays",
            "What was done with takes that are over: finished, edited, deleted; damaged ones were given up",
            ["outcome"],
            registry=registry,
        )
        self.publish_retries = Counter(
            "longwave_publish_retries", "Publishes tried again", ["origin"], registry=registry
        )
        self.publish_conflicts = Counter(
            "longwave_publish_conflicts", "Origins that hold other bytes", ["origin"], registry=registry
        )
        # Archive.
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
        # Bus and cluster.
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
        self.rooms_deposed = Counter(
            "longwave_rooms_deposed", "Rooms that another ingest took from this one", registry=registry
        )
