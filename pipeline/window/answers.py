"""What a window answers, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from contracts.position import Position


class Put(Enum):
    """What became of something put."""

    NEW = "new"
    """Taken (201)."""
    SAME = "same"
    """It was there already, with the same bytes (204)."""
    IGNORED = "ignored"
    """Not wanted: below the window, or settled otherwise before (204)."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The current playlist answers the request."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The playlist answers the request once `window.next > target`, or the take has ended.

    If the window is not `answerable` even then (before its first media nobody knows its MSN), ask again. If
    it is, do not: after a gap the same question may mean a later part to one who knows of the gap, while
    whoever waited has to be told of it.
    """

    target: Position


@dataclass(frozen=True, slots=True)
class Invalid:
    """No playlist will ever answer the request (400)."""

    reason: str


Answer = Ready | Wait | Invalid
