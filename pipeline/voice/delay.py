"""How long packets are held before they are played: as long as most of them are late, and no longer.

A packet's *offset* is its arrival minus its place in the sender's time. The smallest offset of the last ten
seconds is the network at its quickest (`base`); how far others lie above it is the spread that has to be
waited for. Sample *s* of the sender's time is due at `s + base + target`.

One stall a network may have: it is played late and caught up with, and does not hold up everything after it.
So of the half-seconds of the window the two worst do not count.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from pipeline.grid import SAMPLE_RATE

HIGHEST: Final = 2 * SAMPLE_RATE // 5
"""No target is above 400 ms: what a network delays more than that is lost to a live take."""
_STRETCH: Final = SAMPLE_RATE // 2
_STRETCHES: Final = 20
_FORGIVEN: Final = 2
# 3 ms a second, which a resampler makes up for unheard; a step down would have to be cut out of the voice.
_FALL: Final = 72


class _Stretch(NamedTuple):
    """Half a second of arrivals: the smallest offset, and how far the largest lay above `base`."""

    number: int
    low: int
    spread: int


class DelayEstimator:
    """The delay of one stream of packets, in samples. `margin` is what the player itself needs beforehand.

    `target` is at least a packet and `margin`, so that a lost packet can be recovered from the next one.
    """

    def __init__(self, margin: int) -> None:
        self.base: int | None = None
        self.target = margin
        self._margin = margin
        self._stretches: deque[_Stretch] = deque()
        self._number: int | None = None
        self._low = self._high = self._longest = 0

    def due(self, start: int) -> int:
        """When the sample at `start` in the sender's time is to be played."""
        return start + (self.base or 0) + self.target

    def observe(self, start: int, samples: int, now: int) -> None:
        """A packet of `samples` that begins at `start` has arrived at `now`."""
        offset, number = now - start, now // _STRETCH
        if self._number is None:
            self.target = min(samples + self._margin, HIGHEST)
        if self._number == number:
            self._low, self._high = min(self._low, offset), max(self._high, offset)
            self._longest = max(self._longest, samples)
        else:
            self._close(number)
            self._number, self._low, self._high, self._longest = number, offset, offset, samples
        self.base = min(self._low, min((one.low for one in self._stretches), default=self._low))

    def _close(self, number: int) -> None:
        """The stretch before `number` is complete: weigh it with those of the last ten seconds."""
        if self._number is None or self.base is None:
            return
        self._stretches.append(_Stretch(self._number, self._low, self._high - self.base))
        while self._stretches and self._stretches[0].number < number - _STRETCHES:
            self._stretches.popleft()
        needed = max(self._longest, self._spread()) + self._margin
        fallen = self.target - _FALL * (number - self._number)
        self.target = min(max(needed, fallen), HIGHEST)

    def _spread(self) -> int:
        spreads = sorted((one.spread for one in self._stretches), reverse=True)
        # One half-second alone tells nothing of what is usual.
        return spreads[min(_FORGIVEN, len(spreads) - 1)] if len(spreads) > 1 else 0
