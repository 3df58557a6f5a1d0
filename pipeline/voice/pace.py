"""Ways back to the target delay that nobody hears: reading faster or slower, and cutting where it is like."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SAMPLE_RATE
from pipeline.voice.splice import shorten

_FARTHEST: Final = 0.005
"""What the ratio differs from 1 by at most: a twelfth of a semitone."""
_TIME_CONSTANT: Final = 4 * SAMPLE_RATE
# A clock that is off by 200 ppm is followed at a distance of 0.8 ms, beyond this one that is let be.
_LET_BE: Final = 48
_SLOPE: Final = 0.001 / SAMPLE_RATE
"""Change of the ratio a sample: no ear hears a pitch move by a cent and a half in a second."""


class Pace:
    """The ratio that a voice is read at, so that its delay goes to the target and stays there."""

    def __init__(self) -> None:
        self._ratio = 1.0

    def ratio(self, late: int, samples: int) -> float:
        """Input samples per output sample for the next `samples`, for a voice that is `late` by so much."""
        beyond = late - max(-_LET_BE, min(_LET_BE, late))
        wanted = 1.0 + max(-_FARTHEST, min(_FARTHEST, beyond / _TIME_CONSTANT))
        step = _SLOPE * samples
        self._ratio += max(-step, min(step, wanted - self._ratio))
        return self._ratio


class CatchUp:
    """Cuts lateness out of what is said, between two marks."""

    ENOUGH: Final = 1_920
    """Samples that are enough to look for a cut in: two periods of the lowest voice lie in them."""
    _FROM: Final = 960
    _TO: Final = 240
    _QUIET: Final = 10 ** (-50 / 10)
    _PATIENCE: Final = SAMPLE_RATE // 2

    def __init__(self) -> None:
        self._on = False
        self._in_vain = 0

    def wanted(self, surplus: int) -> bool:
        """More than 20 ms of lateness set it off, and it goes on down to 5 ms."""
        self._on = surplus > (self._TO if self._on else self._FROM)
        return self._on

    def cut(self, pcm: NDArray[np.float32], surplus: int) -> NDArray[np.float32]:
        """`pcm`, (n, channels), shorter by at most `surplus`.

        One pitch period of what is said, half of a pause. Sound that repeats nothing for half a
        second is cut all the same, as there is nothing in it that a joint could break.
        """
        shorter = shorten(pcm, surplus)
        if float(np.mean(np.square(pcm))) < self._QUIET:
            shorter = _shortest(pcm, min(surplus, len(pcm) // 2))
        self._in_vain = self._in_vain + len(pcm) if len(shorter) == len(pcm) else 0
        if self._in_vain >= self._PATIENCE:
            self._in_vain = 0
            return _folded(pcm, min(surplus, len(pcm) // 2))
        return shorter


def _shortest(pcm: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """`pcm` cut again and again, by at most `most` in all."""
    shorter = shorten(pcm, most)
    while len(shorter) < len(pcm):
        pcm, most = shorter, most - len(pcm) + len(shorter)
        shorter = shorten(pcm, most)
    return pcm


def _folded(pcm: NDArray[np.float32], cut: int) -> NDArray[np.float32]:
    """`pcm` less `cut` samples, its beginning faded over into its end."""
    fade = len(pcm) - cut
    weight = np.linspace(0, 1, fade, dtype=np.float32)[:, None]
    return pcm[:fade] * (1 - weight) + pcm[cut:] * weight
