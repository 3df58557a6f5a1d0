"""What the tables of `longwave top` are made of: names, numbers and times in as little room as there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

from longwave.publish_view import printable

WIDE: Final = 130
"""Columns from which on takes have their ids, and nodes their addresses."""
Row = Mapping[str, Any]
"""A JSON object of what a server says."""


def table(*names: str, gap: int = 2) -> Table:
    """Columns beside one another, without lines; numbers (`>`) to the right."""
    made = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for name in names:
        justify: Any = "right" if name.endswith(">") else "left"
        made.add_column(name.removesuffix(">"), no_wrap=True, overflow="ellipsis", justify=justify)
    return made


def end_of(node: str, longest: int) -> str:
    """A node's id; where there is little room its end, which tells one from another."""
    text = printable(node)
    return text if len(text) <= longest else "…" + text[1 - longest :]


def start_of(room: str, longest: int) -> str:
    """A room's id, or its beginning."""
    text = printable(room)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def counted(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def number_or_dash(number: int) -> str:
    """Zero is a dash."""
    return str(number) if number else "-"


def short_number(number: int) -> str:
    """In four or five characters; zero is a dash."""
    if number < 10_000:
        return number_or_dash(number)
    return f"{number / 1000:.0f}k" if number < 999_500 else f"{number / 1e6:.1f}M"


def size(number: int) -> str:
    """Bytes."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"


def age(seconds: float) -> str:
    """The two largest units: `3d 4h`, `4h 05m`, `5m`, `12s`."""
    minutes, hours, days = (int(seconds) // unit for unit in (60, 3600, 86_400))
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m" if minutes else f"{int(seconds)}s"
