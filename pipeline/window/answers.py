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
    """Nothing answers the request before `window.next > target` or the take's end; then ask again.

    The second answer is Ready, except in a window without media yet, whose first MSN nobody knows.
    """

    target: Position


@dataclass(frozen=True, slots=True)
class Invalid:
    """No playlist will ever answer the request (400)."""

    reason: str


Answer = Ready | Wait | Invalid
