"""Rows of the dashboard: speakers, the bus between, and encoders."""

from __future__ import annotations

from typing import Final

from infra.grafana.model import Panel
from infra.grafana.queries import lately, now, quantile, rate

ENCODING: Final = (
    Panel(
        "Encoder: time for a second of sound",
        "percentunit",
        {"{{instance}}": now("instance:longwave_encoder_real_time_factor:ratio_rate5m")},
        "The real-time factor of one take. From 100 % on it falls behind.",
        alarm=1,
    ),
    Panel(
        "Encoders: share of the cores",
        "percentunit",
        {"{{instance}}": now("instance:longwave_encoder_cores:ratio_rate5m")},
        "Of all takes together.",
        alarm=1,
    ),
    Panel(
        "Takes encoded, taken over, in quarantine",
        "short",
        {
            "carried by {{instance}}": now("longwave_takes_carried"),
            "quarantined at {{instance}}": now("longwave_takes_quarantined"),
            "taken over by {{instance}}": lately("longwave_takes_taken_over_total"),
        },
        "Takes are carried by workers among others; a server alone has no such count.",
    ),
    Panel(
        "Parts",
        "cps",
        {"{{instance}}": rate("longwave_parts_encoded_total")},
        "Encoded a second: with 5 to a segment, 2.5 for each rendition of each take.",
    ),
    Panel(
        "Sound lost",
        "short",
        {
            "gaps": lately("longwave_gaps_total", "job"),
            "failures": lately("longwave_take_failures_total", "job"),
            "errors of ours": lately("longwave_unexpected_errors_total", "job"),
        },
        "In the last 5 minutes. Failures are tried again; gaps are segments that nobody will hear.",
    ),
    Panel(
        "Puts at origins",
        "cps",
        {"{{kind}}, {{outcome}}": rate("longwave_publishes_total", "kind, outcome")},
        "What workers hand over. `same` came twice, which does no harm.",
        width=12,
    ),
    Panel(
        "Other bytes",
        "short",
        {
            "refused by origins": lately("longwave_byte_conflicts_total", "job"),
            "met by workers": lately("longwave_publish_conflicts_total", "job"),
            "tried again": lately("longwave_publish_retries_total", "job"),
        },
        "In the last 5 minutes. Two encoders that differ are on one take.",
        width=12,
    ),
)
INGEST: Final = (
    Panel("Speakers", "short", {"{{instance}}": now("longwave_speakers")}, "Connected senders.", width=6),
    Panel(
        "WHIP sessions that ended",
        "short",
        {"{{outcome}}": lately("longwave_whip_sessions_total", "outcome")},
        "In the last 5 minutes. `handshake`: a browser reached the HTTP port and not the UDP ports.",
        width=6,
    ),
    Panel(
        "Voices lost",
        "percentunit",
        {"{{instance}}": now("instance:longwave_voice_loss:ratio_rate5m")},
        "Packets that never came and that nothing made up for.",
        alarm=0.02,
        width=6,
    ),
    Panel(
        "Voices late",
        "s",
        {
            "p50": quantile(0.5, "longwave_speaker_delay_seconds"),
            "p95": quantile(0.95, "longwave_speaker_delay_seconds"),
        },
        "What voices wait for their jitter.",
        alarm=0.1,
        width=6,
    ),
    Panel(
        "Samples mixed",
        "cps",
        {"{{kind}}": rate("longwave_samples_total", "kind")},
        "48,000 a second for each live take.",
    ),
    Panel(
        "Samples that were late, made up or left out",
        "cps",
        {
            "PCM, late": rate("longwave_late_samples_total", "job"),
            "voices, {{fate}}": rate("longwave_voice_samples_total", "fate"),
        },
        "Of 48,000 a second from each speaker.",
    ),
    Panel(
        "Senders cut off",
        "short",
        {"{{reason}}": lately("longwave_speakers_dropped_total", "reason")},
        "In the last 5 minutes.",
    ),
)
BUS: Final = (
    Panel(
        "Bus reached",
        "bool_on_off",
        {"{{bus}} from {{instance}}": now("longwave_bus_up")},
        "Whether this process reaches this Redis.",
        width=6,
    ),
    Panel(
        "Bus lag",
        "s",
        {"{{bus}} behind {{instance}}": now("longwave_bus_lag_seconds")},
        "What a Redis has not got yet of the take furthest behind. After 60 s it is lost.",
        alarm=1,
        width=6,
    ),
    Panel(
        "Round trips",
        "cps",
        {"{{kind}} {{bus}}": rate("longwave_bus_round_trips_total", "kind, bus")},
        "To each Redis.",
        width=6,
    ),
    Panel(
        "Sound on the bus",
        "binBps",
        {"{{way}} {{bus}}": rate("longwave_bus_bytes_total", "way, bus")},
        "96 kB a second for a mono take.",
        width=6,
    ),
    Panel(
        "Refused by the bus",
        "short",
        {"{{reason}}": lately("longwave_bus_refused_total", "reason")},
        "In the last 5 minutes. `generation`: two ingests believed to own one room.",
        width=12,
    ),
    Panel(
        "Rooms taken away",
        "short",
        {"{{instance}}": lately("longwave_rooms_deposed_total")},
        "In the last 5 minutes, by an ingest that found this one gone.",
        width=12,
    ),
)
