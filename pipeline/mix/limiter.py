"""The limiter: nothing that leaves it has a true peak over its ceiling, and nothing that is under it changes.

It knows the block that goes out and the one that follows. From both it computes how much every sample may
be amplified; takes, for every sample, the least of that over what lies ahead; lets it come back slowly; and
averages the outcome with a window that fits into the look ahead. So the gain is down before a peak is
there, by a smooth curve, and never above what was allowed.

The next block may come out different from what was announced: a source broke off, and was faded out.
What is then still too high is met by one straight ramp inside the block.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter1d

from pipeline.grid import BLOCK, SAMPLE_RATE
from pipeline.mix.true_peak import OVERSHOOT, REACH, TAPS, between, sample_peak

CEILING: Final = 10 ** (-1 / 20)
"""-1 dBTP: EBU R128 and every podcast platform leave as much to the codec."""
_MARGIN: Final = 10 ** (-0.1 / 20)
"""A gain that moves is not quite the gain of what lies between samples."""
_LONGEST_LOOK: Final = SAMPLE_RATE // 200
"""5 ms of look ahead are enough for an attack that is not heard."""
_RELEASE: Final = 0.060 * SAMPLE_RATE
"""The time constant of the way back, 60 ms: two thirds of it, in decibels, after some 100 ms."""
_REST: Final = 1e-5
"""A reduction of less than a third of a 16-bit step is none."""


class Limiter:
    """Limits blocks of `block` samples (48 at least) of `channels` channels to true peaks of `ceiling`.

    Full scale is 1.0.
    """

    def __init__(self, channels: int, block: int = BLOCK, ceiling: float = CEILING) -> None:
        self._allowed = ceiling * _MARGIN
        self._harmless = self._allowed / OVERSHOOT
        self._look = min(block, _LONGEST_LOOK) - REACH
        window = np.hanning(self._look - TAPS + 2)[1:-1]
        self._window = window / window.sum()
        self._fall = math.exp(-1 / _RELEASE) ** np.arange(1, block + 1)
        self._silence = np.zeros((block, channels), np.float32)
        self._tail = self._silence[: TAPS - 1]
        self._seen: tuple[NDArray[np.float32], float] = (self._silence, 0.0)
        # How much less than 1 the gain was to be, before averaging; the newest last.
        self._reduction = np.zeros(len(self._window))
        self._last_gain = 1.0
        self.at_rest = True
        """The gain is 1, exactly."""

    def process(
        self, pcm: NDArray[np.float32], following: NDArray[np.float32] | None, *, free: bool = False
    ) -> NDArray[np.float32]:
        """The block `pcm`, limited; the very array where the gain is 1.

        `following` is the block after it as far as it is known, None where nothing in it is to be limited.
        `free`: `pcm` itself is not to be limited, only made ready for what follows.
        """
        ahead = self._silence if following is None else following
        loud = max(0.0 if free else self._peak(pcm), self._peak(ahead)) > self._harmless
        if self.at_rest and not loud:
            self._tail = pcm[1 - TAPS :]
            return pcm
        allowed = self._allowed_gain(pcm, ahead, free=free) if loud else np.ones(len(pcm) + self._look)
        self._tail = pcm[1 - TAPS :]
        if self.at_rest and allowed.min() >= 1.0:
            return pcm
        return pcm * self._gain(allowed).astype(np.float32)[:, None]

    def foretell(self, following: NDArray[np.float32]) -> NDArray[np.float32]:
        """`following` as `process` will most probably give it back."""
        if self.at_rest and self._peak(following) <= self._allowed:
            return following
        lower = following * np.float32(self._last_gain)
        return np.clip(lower, -self._allowed, self._allowed, out=lower)

    def reset(self) -> None:
        """Back to rest, in a silence."""
        self.at_rest = True
        self._last_gain = 1.0
        self._reduction[:] = 0.0

    def _peak(self, pcm: NDArray[np.float32]) -> float:
        """Every block is asked for twice: as the one that follows, then as the one that goes out."""
        if self._seen[0] is not pcm:
            self._seen = (pcm, sample_peak(pcm))
        return self._seen[1]

    def _allowed_gain(
        self, pcm: NDArray[np.float32], ahead: NDArray[np.float32], *, free: bool
    ) -> NDArray[np.float64]:
        """The highest gain for each sample of `pcm` and of the look ahead, 1 at most."""
        count, known = len(pcm), len(pcm) + self._look
        sound = np.concatenate((self._tail, pcm, ahead[: self._look + REACH]))
        spaces = between(sound)
        # spaces[i] lies before sample i + REACH of `sound`; sample 0 of `pcm` is the one with index 11 there.
        first = TAPS - 1 - REACH
        before, after = spaces[first : first + known], spaces[first + 1 : first + 1 + known]
        highest = np.abs(sound[TAPS - 1 : TAPS - 1 + known]).max(axis=1)
        highest = np.maximum(highest, np.maximum(before, after))
        if free:
            highest[:count] = 0.0
        gain: NDArray[np.float64] = self._allowed / np.maximum(highest.astype(np.float64), self._allowed)
        return gain

    def _gain(self, allowed: NDArray[np.float64]) -> NDArray[np.float64]:
        """The gain for each sample of the block; `allowed` reaches `look` samples further."""
        count = len(self._fall)
        size = self._look + 1
        least = minimum_filter1d(allowed, size, origin=-(size // 2), mode="nearest")[:count]
        # reduction[n] = max(1 - least[n], reduction[n - 1] * fall), as a running maximum of quotients.
        wanted = np.maximum.accumulate(np.concatenate((self._reduction[-1:], (1.0 - least) / self._fall)))
        reduction = np.concatenate((self._reduction, wanted[1:] * self._fall))
        gain = 1.0 - np.convolve(reduction[1:], self._window, "valid")
        self._reduction = reduction[-len(self._window) :]
        over = np.flatnonzero(gain > allowed[:count] + _REST)
        if len(over):
            gain = self._ramped(gain, over, allowed[over])
        self._last_gain = float(gain[-1])
        self.at_rest = bool(self._reduction.max() < _REST)
        if self.at_rest:
            self.reset()
        return gain

    def _ramped(
        self, gain: NDArray[np.float64], over: NDArray[np.intp], allowed: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`gain`, brought down to `allowed` at the samples `over` by a straight line from the last gain."""
        steepest = max(0.0, float(((self._last_gain - allowed) / (over + 1)).max()))
        line = np.maximum(allowed.min(), self._last_gain - steepest * np.arange(1, len(gain) + 1))
        lower: NDArray[np.float64] = np.minimum(gain, line)
        # What comes after goes on from where this ends.
        self._reduction = 1.0 - (1.0 - self._reduction) * (lower[-1] / gain[-1])
        return lower
