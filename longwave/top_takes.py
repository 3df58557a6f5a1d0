"""The takes in `longwave top`: who makes them, how they are, and where they are heard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from longwave.publish_view import clock_text, printable
from longwave.top_cells import WIDE, Row, counted, end_of, short_number, start_of, table
from pipeline.grid import SAMPLE_RATE

_NODE, _WIDE_NODE = 12, 24
"""Of a node's id."""
_NODE_BESIDE_TIERS: Final = 9
_TIERS: Final = ("origin", "edge", "cdn")
_LEAST_ROOM: Final = 8
_TAKE: Final = 23
_HEADS: Final = ("length>", "owner", "made by")


def takes_table(takes: Sequence[Row], width: int) -> Table:
    """A line a take. Listeners are told by tier as soon as a room is heard beyond the origins."""
    wide = width >= WIDE
    tiered = any(_tier(take) != "origin" or set(_listeners(take)) - {"origin"} for take in takes)
    node = _WIDE_NODE if wide else _NODE_BESIDE_TIERS if tiered else _NODE
    heads = [*_HEADS, *(("tier", *(f"{tier}>" for tier in _TIERS)) if tiered else ("listen>",)), "state"]
    rows = [_cells(take, node, tiered=tiered) for take in takes]
    gap = 2 if wide or not tiered else 1
    taken = sum(
        gap + max(len(head.removesuffix(">")), *(cells[at].cell_len for cells in rows))
        for at, head in enumerate(heads)
    )
    room = max(width - taken - (gap + _TAKE if wide else 0), _LEAST_ROOM)
    made = table("room", *heads, gap=gap)
    if wide:
        made.add_column("take", no_wrap=True, style="dim")
    for take, cells in zip(takes, rows, strict=True):
        last = [Text(printable(take["take"]))] if wide else []
        made.add_row(Text(start_of(take["room"], room)), *cells, *last)
    return made


def worry(take: Row) -> int:
    """How much is to be worried about a take."""
    return -_WORRIES.index(_state(take)[1])


def _cells(take: Row, node: int, *, tiered: bool) -> list[Text]:
    """All but the room's name, which gets what these leave."""
    state, style = _state(take)
    listeners = _listeners(take)
    if tiered:
        heard = [Text(_tier(take)), *(Text(short_number(listeners.get(tier, 0))) for tier in _TIERS)]
    else:
        heard = [Text(short_number(sum(listeners.values())))]
    return [
        Text(clock_text(take["samples"])),
        _nodes_named([take["owner"]] if take["owner"] else [], node),
        _nodes_named(take["carried_by"], node),
        *heard,
        Text(state, style=style),
    ]


def _tier(take: Row) -> str:
    # A server of before does not say it.
    return printable(take.get("tier", "origin"))


def _listeners(take: Row) -> dict[str, int]:
    return dict(take.get("listeners", {}))


def _nodes_named(nodes: Sequence[str], longest: int) -> Text:
    """The first of them, and how many more."""
    if not nodes:
        return Text("-", style="dim")
    return Text(end_of(nodes[0], longest) + (f" +{len(nodes) - 1}" if len(nodes) > 1 else ""))


def _state(take: Row) -> tuple[str, str]:
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
        return counted(take["failures"], "failure"), "yellow"
    return "live", "green"


_WORRIES: Final = ("bold red", "red", "yellow", "green", "dim")
