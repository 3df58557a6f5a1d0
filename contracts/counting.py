"""How many ask, from how often they ask: arithmetic that origins and edges share. Pure: time is an argument.

A crowd asks all the time. Who asks a great deal at once, and is not there a moment later, is no crowd: the
largest third of what was counted says no more than the next one does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

INTERVALS: Final = 4
"""Reloads of each player that are looked at."""
_SET_BACK: Final = 3


def steady_mean(counts: Iterable[float]) -> float:
    """The mean of `counts`, of which the largest third is set back to the next one; 0 of none."""
    ordered = sorted(counts, reverse=True)
    if not ordered:
        return 0.0
    most = ordered[len(ordered) // _SET_BACK]
    return sum(min(count, most) for count in ordered) / len(ordered)


class Reloads:
    """How many reload something once in `every` seconds, from how often it was reloaded in all.

    They are there in full after `INTERVALS` times that. What is asked for within one such time and not again
    adds next to nothing; who asks twice as often for longer is two. What came between two observations came
    evenly. Times are in seconds, of any clock that is monotonic.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._samples: deque[tuple[float, int]] = deque()

    def observe(self, now: float, total: int) -> None:
        """So many reloads since the beginning, which is the first observation."""
        samples = self._samples
        samples.append((now, total))
        # The first one is where the oldest interval is counted from.
        while len(samples) > 1 and samples[1][0] <= now - INTERVALS * self._every:
            samples.popleft()

    def size(self, now: float, total: int) -> float:
        """How many there are at `now`, when there were `total` reloads."""
        samples = [*self._samples, (now, total)]
        marks = [_at(samples, now - self._every * number) for number in range(INTERVALS + 1)]
        return steady_mean(marks[number] - marks[number + 1] for number in range(INTERVALS))


def _at(samples: Sequence[tuple[float, int]], instant: float) -> float:
    """The total at an instant, on the straight line between the samples around it."""
    index = bisect_right(samples, instant, key=lambda sample: sample[0])
    if index == 0:
        return samples[0][1]
    (before, least) = samples[index - 1]
    if index == len(samples):
        return least
    after, most = samples[index]
    return least + (most - least) * (instant - before) / (after - before)
