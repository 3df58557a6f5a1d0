"""What edges tell of their listeners, while it is true. Times are in seconds of a monotonic clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from contracts.errors import OverLimit
from contracts.listeners import EdgeReport

FORGOTTEN_SECONDS: Final = 10.0
"""Edges tell every two seconds: one that has not for so long is gone, or cut off."""
MAX_EDGES: Final = 64


class _Told(NamedTuple):
    report: EdgeReport
    at: float


class Edges:
    """The last that each edge told. What is kept is bounded."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def hear(self, name: str, report: EdgeReport, now: float) -> None:
        """An edge tells; what it told before is not true any more. Raises OverLimit."""
        self._forget(now)
        if name not in self._told and len(self._told) >= MAX_EDGES:
            raise OverLimit(f"{MAX_EDGES} edges tell of their listeners already")
        self._told[name] = _Told(report, now)

    def reports(self, now: float) -> Mapping[str, EdgeReport]:
        """What is true at `now`, by the edges' names."""
        self._forget(now)
        return {name: told.report for name, told in self._told.items()}

    def _forget(self, now: float) -> None:
        for name in [name for name, told in self._told.items() if now - told.at >= FORGOTTEN_SECONDS]:
            del self._told[name]
