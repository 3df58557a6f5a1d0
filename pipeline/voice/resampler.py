"""A stream read a little faster or slower than it was made, so that two clocks keep step.

Each output is a windowed sinc over the 32 samples around its place in the input: 256 kernels between one
sample and the next, and straight lines between those. Places are integers, in 2⁻³² of a sample, so that
nothing adds up and the cut into pieces changes no bit.

Measured at a ratio of 1.0002, a tone's signal to noise is at least 100 dB up to 18 kHz, better than 16 bits
are; 54 dB at 20 kHz. Higher tones fall off, as 32 samples are too few for them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

REACH: Final = 16
"""Samples after an output's place that go into it: they must have been pushed before it can be pulled."""
FARTHEST: Final = 0.01
"""What `ratio` may differ from 1 by."""
_TAPS: Final = 2 * REACH
_HISTORY: Final = REACH - 1
_ONE_BITS: Final = 32
_ONE: Final = 1 << _ONE_BITS
_KERNEL_BITS: Final = 8
_KERNELS: Final = 1 << _KERNEL_BITS
_BETWEEN_BITS: Final = _ONE_BITS - _KERNEL_BITS
# Kaiser: the error of a band-limited tone falls with beta, the band that is right becomes narrower.
_BETA: Final = 10.0


class Resampler:
    """Sound of `channels`, float32 of shape (n, channels), pushed at one rate and pulled at another.

    `ratio` is input samples per output sample. While it is 1 and was never anything else, output is input,
    bit by bit and at once; otherwise it comes `REACH` samples later, which `available` allows for. Before the
    first sample there is silence.
    """

    def __init__(self, channels: int) -> None:
        self._sound = np.zeros((channels, _HISTORY), np.float32)  # planes
        self._step = _ONE
        self._phase = 0

    @property
    def ratio(self) -> float:
        """Input samples per output sample; above 1 the stream is read faster than it was made.

        It may change at any time: the sound bends there and does not break. Raises ValueError when set to
        what is farther than `FARTHEST` from 1.
        """
        return self._step / _ONE

    @ratio.setter
    def ratio(self, ratio: float) -> None:
        step = round(ratio * _ONE)
        if abs(step - _ONE) > round(FARTHEST * _ONE):
            raise ValueError(f"a ratio of {ratio}: no two clocks are more than {FARTHEST} apart")
        self._step = step

    @property
    def held(self) -> int:
        """Input samples that were pushed and not used up: how far the reader is behind."""
        return self._sound.shape[1] - _HISTORY

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Add input, shape (n, channels)."""
        self._sound = np.concatenate((self._sound, pcm.T), axis=1)

    def available(self) -> int:
        """Output samples that can be pulled now."""
        if self._exact:
            return self.held
        left = ((self.held - REACH) << _ONE_BITS) - self._phase
        return max(0, -(-left // self._step))

    def needed(self, count: int) -> int:
        """Samples that must be pushed before `count` can be pulled."""
        last = self._phase + (count - 1) * self._step
        whole = count if self._exact else (last >> _ONE_BITS) + 1 + REACH
        return max(0, whole - self.held)

    def pull(self, count: int) -> NDArray[np.float32]:
        """The next `count` output samples, shape (count, channels). Raises ValueError beyond `available`."""
        if count > self.available():
            raise ValueError(f"{count} samples are wanted and {self.available()} are here")
        end = self._phase + count * self._step
        if self._exact or not count:
            sound = self._sound[:, _HISTORY : _HISTORY + count]
        else:
            sound = self._between(count)
        self._sound = self._sound[:, end >> _ONE_BITS :]
        self._phase = end & (_ONE - 1)
        return sound.T.copy()

    @property
    def _exact(self) -> bool:
        """Every output lies on an input."""
        return self._step == _ONE and not self._phase

    def _between(self, count: int) -> NDArray[np.float32]:
        places = self._phase + self._step * np.arange(count, dtype=np.int64)
        kernels = (places & (_ONE - 1)) >> _BETWEEN_BITS
        between = (places & ((1 << _BETWEEN_BITS) - 1)).astype(np.float32) * np.float32(2.0**-_BETWEEN_BITS)
        weights = _TABLE.take(kernels, axis=0)
        weights += between[:, None] * _SLOPE.take(kernels, axis=0)
        around = sliding_window_view(self._sound, _TAPS, axis=1)
        starts = places >> _ONE_BITS
        # Channel by channel: at once, einsum takes nine times as long.
        return np.stack([np.einsum("nt,nt->n", weights, plane[starts]) for plane in around])


def _kernels() -> NDArray[np.float32]:
    """The kernels of shape (257, 32), one for each 256th of a sample, the next sample's included."""
    delay = np.arange(_KERNELS + 1)[:, None] / _KERNELS
    distance = np.arange(-_HISTORY, REACH + 1)[None, :] - delay
    window = np.i0(_BETA * np.sqrt(np.maximum(1 - (distance / REACH) ** 2, 0))) / np.i0(_BETA)
    kernels = np.sinc(distance) * window
    # A constant stays one, whatever the delay.
    return np.asarray(kernels / kernels.sum(axis=1, keepdims=True), np.float32)


_TABLE: Final = _kernels()
_SLOPE: Final = np.diff(_TABLE, axis=0)
