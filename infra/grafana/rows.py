"""What the dashboard shows, from listeners to the machine. `$here` is the process, or all of them."""

from __future__ import annotations

from typing import Final

from infra.grafana.model import Panel

_HERE: Final = 'instance=~"$instance"'


def _rate(metric: str, by: str = "instance", where: str = "") -> str:
    matchers = ", ".join(filter(None, (_HERE, where)))
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))"


def _now(metric: str) -> str:
    return f"{metric}{{{_HERE}}}"


def _quantile(q: float, metric: str) -> str:
    return f"histogram_quantile({q}, {_rate(f'{metric}_bucket', 'le')})"


def _lately(metric: str, by: str = "instance") -> str:
    """How often, in the last 5 minutes."""
    return f"sum by ({by}) (increase({metric}{{{_HERE}}}[5m]))"


_LISTENERS: Final = (
    Panel(
        "Listeners by tier",
        "short",
        {"{{tier}}": "tier:longwave_listeners:sum"},
        "Counted by origins from requests that block, told by edges every 2 s. All processes.",
        stacked=True,
    ),
    Panel(
        "Live edge",
        "s",
        {"{{instance}}": _now("longwave_live_edge_age_seconds")},
        "Of the live take that stands still longest: since its playlists grew. A part's length is well.",
        alarm=6,
        width=4,
        kind="stat",
    ),
    Panel(
        "Live takes",
        "short",
        {"{{instance}}": f'longwave_takes{{{_HERE}, state="live"}}'},
        "Takes that each origin has and that have not ended.",
        width=4,
        kind="stat",
    ),
    Panel(
        "Edges that report",
        "short",
        {"{{tier}} at {{instance}}": _now("longwave_edges")},
        "Edges that told an origin in the last 10 s how many listen to them.",
    ),
)
_EDGES: Final = (
    Panel(
        "Requests at origins",
        "reqps",
        {"{{kind}}": _rate("longwave_http_requests_total", "kind")},
        "By row of the cache table.",
        stacked=True,
    ),
    Panel(
        "Refusals at origins",
        "reqps",
        {"{{status}}": _rate("longwave_http_requests_total", "status", 'status!~"2..|304"')},
        "Answers that are not what was asked for.",
    ),
    Panel(
        "Playlists at edges",
        "reqps",
        {"{{outcome}}": _rate("longwave_edge_requests_total", "outcome")},
        "`hit` came from memory, `miss` from an origin, for everybody who asked meanwhile.",
        stacked=True,
    ),
    Panel(
        "Collapse",
        "short",
        {"{{instance}}": _now("instance:longwave_edge_collapse:ratio_rate5m")},
        "Requests of listeners for each request of the edge to an origin.",
    ),
    Panel(
        "Connections",
        "short",
        {"{{instance}}": _now("longwave_connections")},
        "Open TCP connections of each process with HTTP.",
        alarm=8000,
    ),
    Panel(
        "Tokens of private rooms",
        "cps",
        {"{{outcome}}": _rate("longwave_listen_tokens_total", "outcome")},
        "Issued, and why others were refused.",
    ),
)
_LATENCY: Final = (
    Panel(
        "Parts at an origin",
        "s",
        {
            "p50": _quantile(0.5, "longwave_part_latency_seconds"),
            "p95": _quantile(0.95, "longwave_part_latency_seconds"),
            "p99": _quantile(0.99, "longwave_part_latency_seconds"),
        },
        "From a part's last sample to its release; 43 ms of it are the codec's.",
        alarm=0.18,
    ),
    Panel(
        "Waiting listeners answered",
        "s",
        {
            "p95": _quantile(0.95, "longwave_release_seconds"),
            "p99": _quantile(0.99, "longwave_release_seconds"),
        },
        "From a part's put to the last listener who waited for it.",
        alarm=0.18,
    ),
    Panel(
        "Listeners who wait",
        "short",
        {"{{instance}}": _now("longwave_blocked_listeners")},
        "Requests that are held until there is media; edges count as one listener.",
    ),
)
_ENCODING: Final = (
    Panel(
        "Encoder: time for a second of sound",
        "percentunit",
        {"{{instance}}": _now("instance:longwave_encoder_real_time_factor:ratio_rate5m")},
        "The real-time factor of one take. From 100 % on it falls behind.",
        alarm=1,
    ),
    Panel(
        "Encoders: share of the cores",
        "percentunit",
        {"{{instance}}": _now("instance:longwave_encoder_cores:ratio_rate5m")},
        "Of all takes together.",
        alarm=1,
    ),
    Panel(
        "Takes encoded, taken over, in quarantine",
        "short",
        {
            "carried by {{instance}}": _now("longwave_takes_carried"),
            "quarantined at {{instance}}": _now("longwave_takes_quarantined"),
            "taken over by {{instance}}": _lately("longwave_takes_taken_over_total"),
        },
        "Takes are carried by workers among others; a server alone has no such count.",
    ),
    Panel(
        "Parts",
        "cps",
        {"{{instance}}": _rate("longwave_parts_encoded_total")},
        "Encoded a second: with 5 to a segment, 2.5 for each rendition of each take.",
    ),
    Panel(
        "Sound lost",
        "short",
        {
            "gaps": _lately("longwave_gaps_total", "job"),
            "failures": _lately("longwave_take_failures_total", "job"),
            "errors of ours": _lately("longwave_unexpected_errors_total", "job"),
        },
        "In the last 5 minutes. Failures are tried again; gaps are segments that nobody will hear.",
    ),
    Panel(
        "Other bytes",
        "short",
        {
            "refused by origins": _lately("longwave_byte_conflicts_total", "job"),
            "met by workers": _lately("longwave_publish_conflicts_total", "job"),
            "tried again": _lately("longwave_publish_retries_total", "job"),
        },
        "In the last 5 minutes. Two encoders that differ are on one take.",
    ),
)
_INGEST: Final = (
    Panel("Speakers", "short", {"{{instance}}": _now("longwave_speakers")}, "Connected senders.", width=6),
    Panel(
        "WHIP sessions that ended",
        "short",
        {"{{outcome}}": _lately("longwave_whip_sessions_total", "outcome")},
        "In the last 5 minutes. `handshake`: a browser reached the HTTP port and not the UDP ports.",
        width=6,
    ),
    Panel(
        "Voices lost",
        "percentunit",
        {"{{instance}}": _now("instance:longwave_voice_loss:ratio_rate5m")},
        "Packets that never came and that nothing made up for.",
        alarm=0.02,
        width=6,
    ),
    Panel(
        "Voices late",
        "s",
        {
            "p50": _quantile(0.5, "longwave_speaker_delay_seconds"),
            "p95": _quantile(0.95, "longwave_speaker_delay_seconds"),
        },
        "What voices wait for their jitter.",
        alarm=0.1,
        width=6,
    ),
    Panel(
        "Samples mixed",
        "cps",
        {"{{kind}}": _rate("longwave_samples_total", "kind")},
        "48,000 a second for each live take.",
    ),
    Panel(
        "Samples that were late, made up or left out",
        "cps",
        {
            "PCM, late": _rate("longwave_late_samples_total", "job"),
            "voices, {{fate}}": _rate("longwave_voice_samples_total", "fate"),
        },
        "Of 48,000 a second from each speaker.",
    ),
    Panel(
        "Senders cut off",
        "short",
        {"{{reason}}": _lately("longwave_speakers_dropped_total", "reason")},
        "In the last 5 minutes.",
    ),
)
_BUS: Final = (
    Panel(
        "Bus reached",
        "bool_on_off",
        {"{{bus}} from {{instance}}": _now("longwave_bus_up")},
        "Whether this process reaches this Redis.",
        width=6,
    ),
    Panel(
        "Bus lag",
        "s",
        {"{{bus}} behind {{instance}}": _now("longwave_bus_lag_seconds")},
        "What a Redis has not got yet of the take furthest behind. After 60 s it is lost.",
        alarm=1,
        width=6,
    ),
    Panel(
        "Round trips",
        "cps",
        {"{{kind}} {{bus}}": _rate("longwave_bus_round_trips_total", "kind, bus")},
        "To each Redis.",
        width=6,
    ),
    Panel(
        "Sound on the bus",
        "binBps",
        {"{{way}} {{bus}}": _rate("longwave_bus_bytes_total", "way, bus")},
        "96 kB a second for a mono take.",
        width=6,
    ),
    Panel(
        "Refused by the bus",
        "short",
        {"{{reason}}": _lately("longwave_bus_refused_total", "reason")},
        "In the last 5 minutes. `generation`: two ingests believed to own one room.",
        width=12,
    ),
    Panel(
        "Rooms taken away",
        "short",
        {"{{instance}}": _lately("longwave_rooms_deposed_total")},
        "In the last 5 minutes, by an ingest that found this one gone.",
        width=12,
    ),
)
_STORAGE: Final = (
    Panel(
        "Spool",
        "percentunit",
        {"{{instance}}": _now("instance:longwave_spool:ratio")},
        "What is encoded and not in the storage yet, of the disk that it may take.",
        alarm=0.5,
    ),
    Panel(
        "Archive lag",
        "s",
        {"{{instance}}": _now("longwave_archive_lag_seconds")},
        "Of the take furthest behind. Fragments are 30 s long, so up to a minute is nothing.",
        alarm=300,
    ),
    Panel(
        "Fragments and tries that failed",
        "short",
        {
            "{{outcome}}": _lately("longwave_archive_uploads_total", "outcome"),
            "failed": _lately("longwave_archive_failures_total", "job"),
            "spool refused": _lately("longwave_spool_refusals_total", "job"),
        },
        "In the last 5 minutes.",
    ),
    Panel(
        "Replays",
        "short",
        {
            "{{outcome}}": _lately("longwave_replays_total", "outcome"),
            "failed: {{reason}}": _lately("longwave_replay_failures_total", "reason"),
        },
        "Made of takes in the last 5 minutes, and answers with their sound that failed.",
    ),
    Panel(
        "Sound lost to replays",
        "s",
        {"{{instance}}": _lately("longwave_archive_lost_seconds_total")},
        "In the last 5 minutes.",
        alarm=0.001,
    ),
    Panel(
        "Window not on disk",
        "bytes",
        {"{{instance}}": _now("longwave_journal_lag_bytes")},
        "Written in a moment; lost in a crash.",
        width=4,
    ),
    Panel(
        "Records not kept",
        "short",
        {
            "windows of {{instance}}": _lately("longwave_journal_dropped_total"),
            "numbers of {{instance}}": _lately("longwave_reservation_late_total"),
        },
        "In the last 5 minutes: what a crash would cost gaps.",
        width=4,
    ),
)
_MACHINE: Final = (
    Panel(
        "CPU",
        "percentunit",
        {"{{instance}}": _now("instance:longwave_cpu:ratio_rate5m")},
        "Of the cores that each process may keep busy.",
        alarm=0.7,
    ),
    Panel(
        "Memory",
        "percentunit",
        {"{{instance}}": _now("instance:longwave_memory:ratio")},
        "Of what each process may take: its container's limit, or the machine's memory.",
        alarm=0.8,
    ),
    Panel(
        "Memory of windows",
        "bytes",
        {
            "windows of {{instance}}": _now("longwave_window_bytes"),
            "all of {{instance}}": "process_resident_memory_bytes and on (instance) "
            + _now("longwave_cores"),
        },
        "What origins hold of takes, and all that each process holds.",
    ),
)
ROWS: Final = {
    "Listeners and tiers": _LISTENERS,
    "Origins and edges": _EDGES,
    "Latency": _LATENCY,
    "Encoding": _ENCODING,
    "Ingest": _INGEST,
    "Bus": _BUS,
    "Storage": _STORAGE,
    "Machine": _MACHINE,
}
