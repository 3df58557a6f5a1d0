"""Long work in a thread, in steps: it tells how far it is, and lets others have their turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Progress = Callable[[int, int], None]
"""Told after each step: how many are done, of how many."""

_PAUSE: Final = 0.002
"""Seconds after a step in which other threads have Python to themselves: live audio goes first."""


class Steps:
    """Counts fragments as they are read."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._done = 0
        self._total = 0

    def expect(self, steps: int) -> None:
        """So many more are to be done."""
        self._total += steps

    def done(self) -> None:
        """One more is."""
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, max(self._done, self._total))
        time.sleep(_PAUSE)
