"""What `longwave top` shows, made of what a server says: 80 columns are enough, more show more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from longwave.publish_view import printable
from longwave.top_cells import (
    WIDE,
    Row,
    age,
    counted,
    end_of,
    number_or_dash,
    size,
    start_of,
    table,
)
from longwave.top_takes import takes_table, worry

_NODE, _WIDE_NODE = 16, 40
"""Of a node's id, in the list of nodes."""
_NODE_COLUMNS: Final = ("node", "roles", "load>", "memory>", "owns>", "makes>", "p99>", "listen>", "up>")
_ROLES: Final = ("ingest", "worker", "origin")
# Busy cores of those there are.
_BUSY, _FULL = 0.7, 0.9
# A part is due after this; listeners who hold back three of them hear a stall a while later.
_LATE_MS, _TOO_LATE_MS = 100, 500
_LAGS: Final = 1.0
_EDGE: Final = 48
"""Of an edge's name."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What `server` said `age` seconds ago (`GET /cluster.json`), and why it says nothing new."""

    state: Row
    server: str
    trouble: str | None = None
    age: float = 0.0


def render(shown: Shown, width: int, height: int | None = None) -> RenderableType:
    """All of it for a terminal of `width` columns.

    What `height` lines do not hold is counted: of takes those that are well, of nodes those with least to do,
    of edges those with the fewest listeners.
    """
    nodes, takes, buses, edges = (shown.state.get(name, ()) for name in ("nodes", "takes", "buses", "edges"))
    nodes_for = len(nodes) if height is None else max(height // 2 - 4, 3)
    edges_for = len(edges) if height is None else max(height // 6, 1)
    parts: list[RenderableType] = [_headline(shown, nodes, takes), Text()]
    if len(nodes) > nodes_for:
        nodes = sorted(nodes, key=_busy, reverse=True)
    parts += [_nodes_table(nodes[:nodes_for], takes, width), *_more(len(nodes) - nodes_for), Text()]
    if buses:
        parts += [_buses_table(buses), Text()]
    if edges:
        largest = sorted(edges, key=lambda edge: -edge["listeners"])
        parts += [_edges_table(largest[:edges_for]), *_more(len(edges) - edges_for), Text()]
    used = 5 + min(len(nodes), nodes_for + 1) + (2 + len(buses) if buses else 0)
    used += 2 + min(len(edges), edges_for + 1) if edges else 0
    takes_for = len(takes) if height is None else max(height - used - 1, 1)
    if not takes:
        silent = bool(buses) and not any(bus["up"] for bus in buses)
        said = "no bus answers: what is live is not known" if silent else "no take is live"
        return Group(*parts, Text(said, style="dim"))
    worst_first = sorted(takes, key=worry, reverse=True)
    return Group(*parts, takes_table(worst_first[:takes_for], width), *_more(len(takes) - takes_for))


def _more(number: int) -> list[RenderableType]:
    return [Text(f"and {number} more", style="dim")] if number > 0 else []


def _headline(shown: Shown, nodes: Iterable[Row], takes: Iterable[Row]) -> Text:
    if shown.trouble is not None:
        said = f"{shown.trouble}; this is {shown.age:.0f} s old, asking again"
        return Text(said, style="bold red", no_wrap=True, overflow="ellipsis")
    everyone = [*nodes]
    live = sum(not take["ended"] for take in takes)
    counts = (
        counted(len(everyone), "node"),
        counted(live, "live take"),
        counted(sum(node["listeners"] for node in everyone), "listener"),
        f"{sum(node['load'] for node in everyone):.1f} cores busy",
    )
    text = Text(" · ".join(counts), style="bold", no_wrap=True, overflow="ellipsis")
    return text.append(f"   {shown.server}", style="dim not bold")


# ---- nodes -------------------------------------------------------------------------------------------------


def _nodes_table(nodes: Iterable[Row], takes: Iterable[Row], width: int) -> Table:
    wide = width >= WIDE
    made = table(*_NODE_COLUMNS, gap=2 if wide else 1)
    if wide:
        made.add_column("at", no_wrap=True, overflow="ellipsis")
    live = [take for take in takes if not take["ended"]]
    for node in nodes:
        row: list[RenderableType] = [
            Text(end_of(node["id"], _WIDE_NODE if wide else _NODE)),
            Text(_roles(node["roles"])),
            _load(node),
            Text(size(node["memory"])),
            Text(number_or_dash(sum(take["owner"] == node["id"] for take in live))),
            Text(number_or_dash(len(node["carrying"]))),
            _latency(node["latency_ms"]),
            Text(number_or_dash(node["listeners"])),
            _up(node),
        ]
        made.add_row(*row, *([Text(printable(node["url"]), style="dim")] if wide else []))
    return made


def _roles(roles: Iterable[str]) -> str:
    there = [role for role in _ROLES if role in {*roles}]
    return "all" if len(there) == len(_ROLES) else "+".join(there)


def _load(node: Row) -> Text:
    share = _busy(node)
    style = "red" if share > _FULL else "yellow" if share > _BUSY else ""
    return Text(f"{node['load']:.2f}/{node['capacity']}", style=style)


def _busy(node: Row) -> float:
    """The share of its cores that a node keeps busy."""
    return float(node["load"] / max(node["capacity"], 1))


def _latency(milliseconds: float | None) -> Text:
    if milliseconds is None:
        return Text("-", style="dim")
    style = "red" if milliseconds > _TOO_LATE_MS else "yellow" if milliseconds > _LATE_MS else ""
    return Text(f"{milliseconds:.0f} ms", style=style)


def _up(node: Row) -> Text:
    """For how long; of a node that takes up nothing, why."""
    # A server of before does not say it.
    if node.get("cut_off"):
        return Text("cut off", style="red")
    return Text("leaves", style="yellow") if node["draining"] else Text(age(node["uptime_s"]))


# ---- buses and edges ---------------------------------------------------------------------------------------


def _buses_table(buses: Iterable[Row]) -> Table:
    made = table("bus", "state")
    for bus in buses:
        if not bus["up"]:
            state = Text(f"down: {printable(bus['trouble'] or 'no answer')}", style="bold red")
        elif (bus["lag_s"] or 0) > _LAGS:
            state = Text(f"{bus['lag_s']:.1f} s behind", style="yellow")
        else:
            state = Text("up", style="green")
        made.add_row(Text(printable(bus["name"])), state)
    return made


def _edges_table(edges: Sequence[Row]) -> Table:
    made = table("edge", "tier", "rooms>", "listen>")
    for edge in edges:
        numbers = (Text(number_or_dash(edge[name])) for name in ("rooms", "listeners"))
        made.add_row(Text(start_of(edge["name"], _EDGE)), Text(printable(edge["tier"])), *numbers)
    return made
