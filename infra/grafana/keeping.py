"""Rows of the dashboard: what is kept, and the machine."""

from __future__ import annotations

from typing import Final

from infra.grafana.model import Panel
from infra.grafana.queries import lately, now

STORAGE: Final = (
    Panel(
        "Spool",
        "percentunit",
        {"{{instance}}": now("instance:longwave_spool:ratio")},
        "What is encoded and not in the storage yet, of the disk that it may take.",
        alarm=0.5,
    ),
    Panel(
        "Archive lag",
        "s",
        {"{{instance}}": now("longwave_archive_lag_seconds")},
        "Of the take furthest behind. Fragments are 30 s long, so up to a minute is nothing.",
        alarm=300,
    ),
    Panel(
        "Fragments and tries that failed",
        "short",
        {
            "{{outcome}}": lately("longwave_archive_uploads_total", "outcome"),
            "failed": lately("longwave_archive_failures_total", "job"),
            "spool refused": lately("longwave_spool_refusals_total", "job"),
        },
        "In the last 5 minutes.",
    ),
    Panel(
        "Replays",
        "short",
        {
            "{{outcome}}": lately("longwave_replays_total", "outcome"),
            "failed: {{reason}}": lately("longwave_replay_failures_total", "reason"),
        },
        "Made of takes in the last 5 minutes, and answers with their sound that failed.",
    ),
    Panel(
        "Sound lost to replays",
        "s",
        {"{{instance}}": lately("longwave_archive_lost_seconds_total")},
        "In the last 5 minutes.",
        alarm=0.001,
    ),
    Panel(
        "Window not on disk",
        "bytes",
        {"{{instance}}": now("longwave_journal_lag_bytes")},
        "Written in a moment; lost in a crash.",
        width=4,
    ),
    Panel(
        "Records not kept",
        "short",
        {
            "windows of {{instance}}": lately("longwave_journal_dropped_total"),
            "numbers of {{instance}}": lately("longwave_reservation_late_total"),
        },
        "In the last 5 minutes: what a crash would cost gaps.",
        width=4,
    ),
)
MACHINE: Final = (
    Panel(
        "CPU",
        "percentunit",
        {"{{instance}}": now("instance:longwave_cpu:ratio_rate5m")},
        "Of the cores that each process may keep busy.",
        alarm=0.7,
    ),
    Panel(
        "Memory",
        "percentunit",
        {"{{instance}}": now("instance:longwave_memory:ratio")},
        "Of what each process may take: its container's limit, or the machine's memory.",
        alarm=0.8,
    ),
    Panel(
        "Memory of windows",
        "bytes",
        {
            "windows of {{instance}}": now("longwave_window_bytes"),
            "all of {{instance}}": "process_resident_memory_bytes and on (instance) " + now("longwave_cores"),
        },
        "What origins hold of takes, and all that each process holds.",
    ),
)
