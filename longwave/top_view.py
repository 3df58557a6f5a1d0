"""What `longwave top` shows, made of what a server says: 80 columns are enough, more show more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from longwave.publish_view import clock_text, printable
from pipeline.grid import SAMPLE_RATE

_WIDE: Final = 130
"""Columns from which on takes have their ids, and nodes their addresses."""
_NODE, _WIDE_NODE = 16, 40
"""Of a node's id, in the list of nodes."""
_TAKES_NODE, _WIDE_TAKES_NODE = 12, 24
_TAKES_OTHERS, _WIDE_TAKES_OTHERS = 57, 106
"""Columns of the list of takes that are not the room's."""
_NODE_COLUMNS: Final = ("node", "roles", "load>", "memory>", "owns>", "makes>", "p99>", "listen>", "up>")
_ROLES: Final = ("ingest", "worker", "origin")
# Busy cores of those there are.
_BUSY, _FULL = 0.7, 0.9
# A part is due after this; listeners who hold back three of them hear a stall a while later.
_LATE_MS, _TOO_LATE_MS = 100, 500
_LAGS: Final = 1.0
_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """What `server` said `age` seconds ago (`GET /cluster.json`), and why it says nothing new."""

    state: _Row
    server: str
    trouble: str | None = None
    age: float = 0.0


def render(shown: Shown, width: int, height: int | None = None) -> RenderableType:
    """All of it for a terminal of `width` columns.

    What `height` lines do not hold is counted: of takes those that are well, of nodes those with least to do.
    """
    nodes, takes, buses = (shown.state.get(name, ()) for name in ("nodes", "takes", "buses"))
    nodes_for = len(nodes) if height is None else max(height // 2 - 4, 3)
    parts: list[RenderableType] = [_headline(shown, nodes, takes), Text()]
    if len(nodes) > nodes_for:
        nodes = sorted(nodes, key=_busy, reverse=True)
    parts += [_nodes_table(nodes[:nodes_for], takes, width), *_more(len(nodes) - nodes_for), Text()]
    if buses:
        parts += [_buses_table(buses), Text()]
    used = 5 + min(len(nodes), nodes_for + 1) + (2 + len(buses) if buses else 0)
    takes_for = len(takes) if height is None else max(height - used - 1, 1)
    if not takes:
        silent = bool(buses) and not any(bus["up"] for bus in buses)
        said = "no bus answers: what is live is not known" if silent else "no take is live"
        return Group(*parts, Text(said, style="dim"))
    worst_first = sorted(takes, key=_worry, reverse=True)
    return Group(*parts, _takes_table(worst_first[:takes_for], width), *_more(len(takes) - takes_for))


def _more(number: int) -> list[RenderableType]:
    return [Text(f"and {number} more", style="dim")] if number > 0 else []


def _headline(shown: Shown, nodes: Iterable[_Row], takes: Iterable[_Row]) -> Text:
    if shown.trouble is not None:
        said = f"{shown.trouble}; this is {shown.age:.0f} s old, asking again"
        return Text(said, style="bold red", no_wrap=True, overflow="ellipsis")
    everyone = [*nodes]
    live = sum(not take["ended"] for take in takes)
    counts = (
        _count(len(everyone), "node"),
        _count(live, "live take"),
        _count(sum(node["listeners"] for node in everyone), "listener"),
        f"{sum(node['load'] for node in everyone):.1f} cores busy",
    )
    text = Text(" · ".join(counts), style="bold", no_wrap=True, overflow="ellipsis")
    return text.append(f"   {shown.server}", style="dim not bold")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


# ---- nodes -------------------------------------------------------------------------------------------------


def _nodes_table(nodes: Iterable[_Row], takes: Iterable[_Row], width: int) -> Table:
    wide = width >= _WIDE
    table = _table(*_NODE_COLUMNS, gap=2 if wide else 1)
    if wide:
        table.add_column("at", no_wrap=True, overflow="ellipsis")
    live = [take for take in takes if not take["ended"]]
    for node in nodes:
        row: list[RenderableType] = [
            Text(_end_of(node["id"], _WIDE_NODE if wide else _NODE)),
            Text(_roles(node["roles"])),
            _load(node),
            Text(_size(node["memory"])),
            Text(_number(sum(take["owner"] == node["id"] for take in live))),
            Text(_number(len(node["carrying"]))),
            _latency(node["latency_ms"]),
            Text(_number(node["listeners"])),
            Text("leaves", style="yellow") if node["draining"] else Text(_age(node["uptime_s"])),
        ]
        table.add_row(*row, *([Text(printable(node["url"]), style="dim")] if wide else []))
    return table


def _roles(roles: Iterable[str]) -> str:
    there = [role for role in _ROLES if role in {*roles}]
    return "all" if len(there) == len(_ROLES) else "+".join(there)


def _load(node: _Row) -> Text:
    share = _busy(node)
    style = "red" if share > _FULL else "yellow" if share > _BUSY else ""
    return Text(f"{node['load']:.2f}/{node['capacity']}", style=style)


def _busy(node: _Row) -> float:
    """The share of its cores that a node keeps busy."""
    return float(node["load"] / max(node["capacity"], 1))


def _latency(milliseconds: float | None) -> Text:
    if milliseconds is None:
        return Text("-", style="dim")
    style = "red" if milliseconds > _TOO_LATE_MS else "yellow" if milliseconds > _LATE_MS else ""
    return Text(f"{milliseconds:.0f} ms", style=style)


# ---- takes -------------------------------------------------------------------------------------------------


def _takes_table(takes: Iterable[_Row], width: int) -> Table:
    wide = width >= _WIDE
    longest = _WIDE_TAKES_NODE if wide else _TAKES_NODE
    room = max(width - (_WIDE_TAKES_OTHERS if wide else _TAKES_OTHERS), 8)
    table = _table("room", "length>", "owner", "made by", "state")
    if wide:
        table.add_column("take", no_wrap=True, style="dim")
    for take in takes:
        state, style = _state(take)
        row = [
            Text(_start_of(take["room"], room)),
            Text(clock_text(take["samples"])),
            _nodes_named([take["owner"]] if take["owner"] else [], longest),
            _nodes_named(take["carried_by"], longest),
            Text(state, style=style),
        ]
        table.add_row(*row, *([Text(printable(take["take"]))] if wide else []))
    return table


def _nodes_named(nodes: Sequence[str], longest: int) -> Text:
    """The first of them, and how many more."""
    if not nodes:
        return Text("-", style="dim")
    return Text(_end_of(nodes[0], longest) + (f" +{len(nodes) - 1}" if len(nodes) > 1 else ""))


def _state(take: _Row) -> tuple[str, str]:
    """What is to be said of a take, and its colour: the worst first."""
    if take["quarantined"]:
        return "quarantined", "bold red"
    if not take["carried_by"] and take["samples"] >= SAMPLE_RATE:
        return "made by nobody", "red"
    if take["ended"]:
        return "ending", "dim"
    if not take["owner"]:
        return "no owner", "yellow"
    if take["failures"]:
        return _count(take["failures"], "failure"), "yellow"
    return "live", "green"


_WORRIES: Final = ("bold red", "red", "yellow", "green", "dim")


def _worry(take: _Row) -> int:
    return -_WORRIES.index(_state(take)[1])


# ---- buses -------------------------------------------------------------------------------------------------


def _buses_table(buses: Iterable[_Row]) -> Table:
    table = _table("bus", "state")
    for bus in buses:
        if not bus["up"]:
            state = Text(f"down: {printable(bus['trouble'] or 'no answer')}", style="bold red")
        elif (bus["lag_s"] or 0) > _LAGS:
            state = Text(f"{bus['lag_s']:.1f} s behind", style="yellow")
        else:
            state = Text("up", style="green")
        table.add_row(Text(printable(bus["name"])), state)
    return table


# ---- cells -------------------------------------------------------------------------------------------------


def _table(*names: str, gap: int = 2) -> Table:
    """Columns beside one another, without lines; numbers (`>`) to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for name in names:
        justify: Any = "right" if name.endswith(">") else "left"
        table.add_column(name.removesuffix(">"), no_wrap=True, overflow="ellipsis", justify=justify)
    return table


def _end_of(node: str, longest: int) -> str:
    """A node's id; where there is little room its end, which tells one from another."""
    text = printable(node)
    return text if len(text) <= longest else "…" + text[1 - longest :]


def _start_of(room: str, longest: int) -> str:
    text = printable(room)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _number(number: int) -> str:
    return str(number) if number else "-"


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _age(seconds: float) -> str:
    """The two largest units: `3d 4h`, `4h 05m`, `5m`, `12s`."""
    minutes, hours, days = (int(seconds) // unit for unit in (60, 3600, 86_400))
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m" if minutes else f"{int(seconds)}s"
