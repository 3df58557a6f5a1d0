"""Rows of the dashboard: listeners, what serves them, and how soon."""

from __future__ import annotations

from typing import Final

from infra.grafana.model import Panel
from infra.grafana.queries import HERE, lately, now, quantile, rate

LISTENERS: Final = (
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
        {"{{instance}}": now("longwave_live_edge_age_seconds")},
        "Of the live take that stands still longest: since its playlists grew. A part's length is well.",
        alarm=6,
        width=4,
        kind="stat",
    ),
    Panel(
        "Live takes",
        "short",
        {"{{instance}}": f'longwave_takes{{{HERE}, state="live"}}'},
        "Takes that each origin has and that have not ended.",
        width=4,
        kind="stat",
    ),
    Panel(
        "Edges that report",
        "short",
        {"{{tier}} at {{instance}}": now("longwave_edges")},
        "Edges that told an origin in the last 10 s how many listen to them.",
    ),
)
EDGES: Final = (
    Panel(
        "Requests at origins",
        "reqps",
        {"{{kind}}": rate("longwave_http_requests_total", "kind")},
        "By row of the cache table.",
        stacked=True,
    ),
    Panel(
        "Refusals at origins",
        "reqps",
        {"{{status}}": rate("longwave_http_requests_total", "status", 'status!~"2..|304"')},
        "Answers that are not what was asked for.",
    ),
    Panel(
        "Playlists at edges",
        "reqps",
        {
            "{{outcome}}": rate("longwave_edge_requests_total", "outcome"),
            "too many to be counted": rate("longwave_edge_lines_dropped_total", "job"),
        },
        "`hit` came from memory, `miss` from an origin, for everybody who asked meanwhile.",
        stacked=True,
    ),
    Panel(
        "Listeners at edges",
        "short",
        {"{{instance}}": now("longwave_edge_listeners")},
        "As each edge counts and tells them: what origins have of it is above, under the tiers.",
    ),
    Panel(
        "Collapse",
        "short",
        {"{{instance}}": now("instance:longwave_edge_collapse:ratio_rate5m")},
        "Requests of listeners for each request of the edge to an origin.",
    ),
    Panel(
        "Threads of Varnish",
        "short",
        {
            "{{instance}}": now("longwave_edge_threads"),
            "{{instance}} may have": now("longwave_edge_threads_max"),
            "{{instance}}: wait for one": now("longwave_edge_queued"),
            "{{instance}}: none was left": lately("longwave_edge_threads_limited_total"),
            "{{instance}}: dropped": lately("longwave_edge_dropped_total"),
        },
        "Each connection of HTTP/2 holds one. From 70 % on an edge offers HTTP/1.1 alone.",
    ),
    Panel(
        "Connections",
        "short",
        {"{{instance}}": now("longwave_connections")},
        "Open TCP connections of each of Longwave's processes with HTTP; of Varnish and nginx none.",
        alarm=8000,
    ),
    Panel(
        "Tokens of private rooms",
        "cps",
        {"{{outcome}}": rate("longwave_listen_tokens_total", "outcome")},
        "Issued, and why others were refused.",
    ),
)
LATENCY: Final = (
    Panel(
        "Parts at an origin",
        "s",
        {
            "p50": quantile(0.5, "longwave_part_latency_seconds"),
            "p95": quantile(0.95, "longwave_part_latency_seconds"),
            "p99": quantile(0.99, "longwave_part_latency_seconds"),
        },
        "From a part's last sample to its release; 43 ms of it are the codec's.",
        alarm=0.18,
    ),
    Panel(
        "Waiting listeners answered",
        "s",
        {
            "p95": quantile(0.95, "longwave_release_seconds"),
            "p99": quantile(0.99, "longwave_release_seconds"),
        },
        "From a part's put to the last listener who waited for it.",
        alarm=0.18,
    ),
    Panel(
        "Listeners who wait",
        "short",
        {"{{instance}}": now("longwave_blocked_listeners")},
        "Requests that are held until there is media; edges count as one listener.",
    ),
)
