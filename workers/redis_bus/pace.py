"""How much one round trip carries: as much as there is, until a line shows that it is too narrow for that.

What takes longer than a call may is lost, and would be lost again. So after a failure less is asked for, and
then more with round trips that were full and came through: fast up to half of what failed, slowly beyond.
"""

from __future__ import annotations

from typing import Final

# What a failure throws back has to be made up for before the next one.
_PATIENCE: Final = 8


class Pace:
    """`amount` is what the next round trip may carry: between `least` and `most`, at first the most."""

    def __init__(self, least: int, most: int) -> None:
        self.amount = most
        self._least = least
        self._most = most
        self._careful_from = most
        self._worked = 0

    def failed(self, carried: int) -> None:
        """A round trip with so much of it did not come through; if that was little, not for the line."""
        if carried > self._least:
            self._careful_from = max(self._least, min(self.amount, carried) // 2)
        self.amount = max(self._least, min(self._careful_from, self.amount) // 2)
        self._worked = 0

    def worked(self, carried: int) -> None:
        """A round trip with so much of it did."""
        if carried < self.amount:
            return
        if self.amount < self._careful_from:
            self.amount = min(2 * self.amount, self._careful_from)
            return
        self._worked += 1
        if self._worked >= _PATIENCE:
            self._worked = 0
            self.amount = min(self._most, max(self.amount + 1, self.amount * 5 // 4))
