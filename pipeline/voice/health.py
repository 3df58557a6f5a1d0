"""Whether a sender sends anything of use: one whose packets are garbage for a second is hopeless."""

from __future__ import annotations

from collections import deque
from typing import Final

from pipeline.grid import SAMPLE_RATE

_LAST: Final = 50
_PATIENCE: Final = SAMPLE_RATE


class Health:
    """Verdicts over a sender's last 50 packets."""

    def __init__(self) -> None:
        self._bad: deque[bool] = deque(maxlen=_LAST)
        self._well: int | None = None

    def note(self, *, good: bool) -> None:
        """A packet was of use, or not."""
        self._bad.append(not good)

    def hopeless(self, now: int) -> bool:
        """Most of the last 50 packets were garbage, and have been for a second of local time."""
        if self._well is None or 2 * sum(self._bad) <= _LAST:
            self._well = now
        return now - self._well >= _PATIENCE
