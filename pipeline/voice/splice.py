"""A little of a voice cut out where nobody hears it: how lateness is made up for.

A voiced sound repeats itself with each period of its pitch, so one period more or less is not noticed when
the cut joins like to like; nor is a cut in a pause. Everywhere else the sound stays as it is: the next
stretch will do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

SHORTEST: Final = 120
"""Samples that a cut takes out at least: 2.5 ms, the period of a voice at 400 Hz."""
LONGEST: Final = 720
"""Samples that a cut takes out at most: 15 ms, the period of a voice at 67 Hz."""
_LONGEST_FADE: Final = 480
_UNLIKE: Final = 0.15
"""What may differ of what is joined: a share of its energy. That is a correlation of 0.85."""
_QUIET: Final = 10 ** (-50 / 10)
"""Mean square below which a stretch is a pause, whatever it holds."""
_ROUNDING: Final = 1e-6


def shorten(pcm: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """`pcm`, shape (n, channels), less one stretch of `SHORTEST` to `LONGEST` samples and at most `most`.

    It is `pcm` itself where a cut would be heard: where nothing repeats, or where the joint would hold a
    larger step than there is in `pcm`. The first and the last sample stay, so that it goes on to what lies
    around. Made for 20 to 60 ms at once (0.1 to 0.3 ms of work); less than 5 ms stays as it is.
    """
    longest = min(most, LONGEST, len(pcm) - SHORTEST)
    if longest < SHORTEST:
        return pcm
    quiet = float(np.mean(np.square(pcm))) < _QUIET
    lag = longest if quiet else _period(pcm.mean(axis=1), longest)
    fade = min(lag, len(pcm) - lag, _LONGEST_FADE)
    start, unlike = _best_joint(pcm, lag, fade)
    if not quiet and unlike > _UNLIKE:
        return pcm
    weight = _ramp(fade)
    joint = pcm[start : start + fade] * (1 - weight) + pcm[start + lag : start + lag + fade] * weight
    shorter = np.concatenate((pcm[:start], joint, pcm[start + lag + fade :]))
    return shorter if (_step(shorter) <= _step(pcm) + _ROUNDING).all() else pcm


def _period(mono: NDArray[np.float32], longest: int) -> int:
    """The lag of at most `longest` samples at which `mono` is most like itself (normalised correlation)."""
    count = len(mono)
    size = 1 << (count + longest).bit_length()
    spectrum = np.fft.rfft(mono, size)
    likeness = np.fft.irfft(spectrum * np.conj(spectrum), size)[SHORTEST : longest + 1]
    energy = np.concatenate(([0.0], np.cumsum(np.square(mono, dtype=np.float64))))
    lags = np.arange(SHORTEST, longest + 1)
    before, after = energy[count - lags], energy[count] - energy[lags]
    return SHORTEST + int(np.argmax(likeness / np.sqrt(np.maximum(before * after, 1e-20))))


def _best_joint(pcm: NDArray[np.float32], lag: int, fade: int) -> tuple[int, float]:
    """Where `fade` samples are most like those `lag` after them, and the share of energy they differ by."""
    square = np.square(pcm, dtype=np.float64).sum(axis=1)
    difference = np.square(pcm[lag:] - pcm[:-lag], dtype=np.float64).sum(axis=1)
    differs = _sums(difference, fade)
    energy = _sums(square[:-lag] + square[lag:], fade)
    unlike = differs / np.maximum(energy, 1e-20)
    start = int(np.argmin(unlike))
    return start, float(unlike[start])


def _sums(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The sum of every `count` neighbours."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return np.asarray(total[count:] - total[:-count])


def _ramp(count: int) -> NDArray[np.float32]:
    """From 0 to 1, both included, without a corner at either end; shape (count, 1)."""
    return np.asarray(0.5 - 0.5 * np.cos(np.linspace(0, np.pi, count)), np.float32)[:, None]


def _step(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest step from one sample to the next, for each channel."""
    return np.asarray(np.abs(np.diff(pcm, axis=0)).max(axis=0))
