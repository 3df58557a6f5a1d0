"""Instants at which something is to be done, in one heap; time is an argument."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Final

Action = Callable[[float], None]
"""What is done; it is given the instant at which it was to be done."""

_SOON: Final = 0.0005
"""What is due within half a millisecond is done now: a timer of the loop would not be more exact."""


class Timers:
    """A heap of actions. `late` is told of each, by how many seconds it was kept too late."""

    def __init__(self, late: Callable[[float], None]) -> None:
        self._late = late
        self._heap: list[tuple[float, int, Action]] = []
        self._order = itertools.count()

    def at(self, when: float, action: Action) -> None:
        """Have `action` done at `when`; of two at one instant, the first given first."""
        heapq.heappush(self._heap, (when, next(self._order), action))

    def run(self, clock: Callable[[], float]) -> None:
        """Do all that is due, also what comes to be due meanwhile."""
        heap = self._heap
        while heap:
            now = clock()
            if heap[0][0] > now + _SOON:
                return
            when, _, action = heapq.heappop(heap)
            self._late(now - when)
            action(when)

    @property
    def next(self) -> float | None:
        """When the next is due."""
        return self._heap[0][0] if self._heap else None
