"""Recursive filters over a stream in pieces: any cutting gives the same samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

from pipeline.grid import SAMPLE_RATE


class StreamFilter:
    """A filter with numerator `b` and denominator `a` over `channels` channels; what it remembers is kept."""

    def __init__(self, b: NDArray[np.float64], a: NDArray[np.float64], channels: int) -> None:
        self._b, self._a = b, a
        self._state = np.zeros((max(len(a), len(b)) - 1, channels))

    def process(self, pcm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Filter (n, channels) samples that follow those before. float64 inside: poles are near 1."""
        out, self._state = lfilter(self._b, self._a, pcm.astype(np.float64), axis=0, zi=self._state)
        return np.asarray(out, dtype=np.float32)


class RumbleFilter(StreamFilter):
    """Takes out DC, rumble, and the thump of a microphone that is touched: what is under any voice.

    A second-order Butterworth high-pass at 80 Hz: -0.3 dB at the lowest male fundamental worth keeping
    (110 Hz is 1 dB down), 24 dB at 20 Hz, and DC gone within some 20 ms.
    """

    CUTOFF_HZ = 80.0

    def __init__(self, channels: int) -> None:
        b, a = butter(2, self.CUTOFF_HZ, btype="highpass", fs=SAMPLE_RATE)
        super().__init__(b, a, channels)
