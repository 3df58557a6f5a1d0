"""What makes no sense is told once, and of much of it only how much: garbage must fill no disk, no memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

_MOST: Final = 32


class Complaints:
    """Whether to log: of the first `most` things once each, of all others together ever more rarely."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._told: set[Hashable] = set()
        self.untold = 0
        """How often something was admitted to be wrong that is not told of by itself."""

    def admit(self, about: Hashable) -> bool:
        """Say that something is wrong with `about`; whether a line is to be logged."""
        if about in self._told:
            return False
        if len(self._told) < self._most:
            self._told.add(about)
            return True
        self.untold += 1
        # The 1st, 2nd, 4th, 8th, … time.
        return self.untold & (self.untold - 1) == 0
