"""Keeps a live sender's clock and ours in step, without touching one whose clock is right. Pure.

Two crystals differ by up to 200 parts in a million: in ten minutes a sender gains or loses 120 ms, and its
buffer runs full or empty. A sender's *lead* is what it has sent less the time that has passed; a network and
a busy machine can only make it smaller. So the highest lead of each few seconds draws the sender's clock, and
lies on a straight line. What is no straight line (a burst at the start, a stall, a longer way through the
network) is no drift. Nothing is corrected before the line has moved by 8 ms; from there on the sound is read
as much faster or slower as the line is steep, and a little more until the delay is what it was.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SAMPLE_RATE
from pipeline.pcm import Pcm
from pipeline.voice.resampler import REACH, Resampler

MOST: Final = 500e-6
"""The largest correction, as a share of the rate: more than twice of what crystals need, and not heard."""
MOVED: Final = SAMPLE_RATE * 8 // 1000
"""Samples that a lead must have moved by before anything is done about it."""
_WINDOW: Final = 4 * SAMPLE_RATE
"""A network is quick once in so many samples, and a sender of large chunks has sent several."""
_FEWEST: Final = 8
_LENGTHS: Final = tuple(length for n in range(3, 10) for length in (1 << n, 3 << (n - 1)))
"""Windows that a line is drawn through. In the longest, 51 minutes, 3 parts in a million are found; a drift
that sets in late is found in the short ones."""
_NO_CLOCK: Final = 1000e-6
"""What gains this much is no clock, but something sent a little faster than life."""
_CROOKED: Final = 0.25
"""Of a line's rise, what the leads may lie beside it. A single step lies a third beside its best line."""
_RECENT: Final = 64
"""Windows from which a drift that is known is measured again."""
_RETURN: Final = 30 * SAMPLE_RATE
"""Samples in which most of a wrong delay is made up for."""


class _Lead(NamedTuple):
    at: int
    samples: int


class _Line(NamedTuple):
    slope: float
    rise: float
    beside: float


class DriftEstimator:
    """How many samples of a sender's are one of ours: exactly 1 until a drift is beyond doubt."""

    def __init__(self) -> None:
        self._leads: deque[_Lead] = deque(maxlen=_LENGTHS[-1])
        self._highest: _Lead | None = None
        self._until = 0
        self._reference: int | None = None
        self._drift: float | None = None
        self._ratio = 1.0

    @property
    def ratio(self) -> float:
        """Samples to read for each one that is played, at most `MOST` from 1."""
        return self._ratio

    def restart(self) -> None:
        """The buffer was empty or was cut: the delay that comes now is the right one. A known drift stays."""
        self._leads.clear()
        self._highest = None
        self._reference = None
        self._ratio = 1.0 + (self._drift or 0.0)

    def heard(self, lead: int, made_up: int, now: int) -> None:
        """Samples arrived at `now`: the sender's lead with them, and what was read of it beyond our time."""
        if self._highest is None:
            self._until = now + _WINDOW
        elif now >= self._until:
            self._leads.append(self._highest)
            self._look(self._highest.samples - made_up)
            self._highest, self._until = None, now + _WINDOW
        if self._highest is None or lead >= self._highest.samples:
            self._highest = _Lead(now, lead)

    def _look(self, delay: int) -> None:
        if self._reference is None:
            self._reference = delay
        leads = np.array(self._leads, np.float64)
        if self._drift is None:
            self._drift = _drift_of(leads)
        elif len(leads) >= _FEWEST:
            self._drift = _bounded(_line(leads[-_RECENT:]).slope)
        if self._drift is not None:
            self._ratio = 1.0 + _bounded(self._drift + (delay - self._reference) / _RETURN)


class DriftCorrector:
    """Reads a live sender's s16 sound, shape (n, channels), at the rate at which it is made.

    Bit by bit the same as long as there is no drift, and 16 samples later once there is.
    """

    def __init__(self, channels: int) -> None:
        self._estimator = DriftEstimator()
        self._resampler = Resampler(channels)
        self._correcting = False
        self._excess = 0

    @property
    def idle(self) -> bool:
        """Nothing was ever corrected: what is read is what was sent."""
        return not self._correcting

    @property
    def made_up(self) -> int:
        """Samples read beyond those that were played: what the sender's lead has been shortened by."""
        return self._excess - self._resampler.held

    def heard(self, lead: int, now: int) -> None:
        """Samples arrived at `now`; `lead` is all that was sent, less the time since the first of it."""
        self._estimator.heard(lead, self.made_up, now)
        self._follow()

    def restart(self) -> None:
        """The buffer was empty or was cut."""
        self._estimator.restart()
        self._follow()

    def wanted(self, count: int) -> int:
        """Samples that `read` wants, to give `count`."""
        return self._resampler.needed(count) if self._correcting else count

    def read(self, pcm: Pcm, count: int) -> Pcm:
        """`pcm` of shape (wanted(count), channels) as (count, channels); less of it if it was the last."""
        if not self._correcting:
            return pcm
        sound = pcm.astype(np.float32)
        if len(sound) < self._resampler.needed(count):
            # As far as to the last sample, and not on from there to nothing, which would be a step.
            sound = np.pad(sound, ((0, REACH - 1), (0, 0)))
        self._resampler.push(sound)
        played = self._resampler.pull(min(count, self._resampler.available()))
        self._excess += len(sound) - len(played)
        return np.clip(np.rint(played), -32_768, 32_767).astype(np.int16)

    def _follow(self) -> None:
        # The resampler knows nothing of what was played before it begins, and so close to a whole sample it
        # hardly looks back: less than -60 dB of it are missing, for a third of a millisecond.
        self._resampler.ratio = self._estimator.ratio
        self._correcting = self._correcting or self._resampler.ratio != 1.0


def _drift_of(leads: NDArray[np.float64]) -> float | None:
    """The drift, if the leads of any last stretch of time tell of one beyond doubt."""
    for length in _LENGTHS:
        if length > len(leads):
            return None
        if abs(leads[-1, 1] - leads[-length, 1]) < MOVED / 2:
            continue
        line = _line(leads[-length:])
        straight = line.beside <= _CROOKED * abs(line.rise)
        if abs(line.rise) >= MOVED and straight and abs(line.slope) <= _NO_CLOCK:
            return _bounded(line.slope)
    return None


def _line(leads: NDArray[np.float64]) -> _Line:
    """The straight line of least squares: its slope, how far it rises in all, and what lies farthest off."""
    time, lead = (leads - leads.mean(axis=0)).T
    slope = float(time @ lead / (time @ time))
    return _Line(slope, slope * float(time[-1] - time[0]), float(np.abs(lead - slope * time).max()))


def _bounded(drift: float) -> float:
    return max(-MOST, min(MOST, drift))
