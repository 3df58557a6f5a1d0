"""True peaks: how high the sound goes between its samples, as ITU-R BS.1770-5, annex 2, estimates it.

Four times oversampled by its interpolating filter of 48 taps. Against exact interpolation this filter reads
0 to 0.2 dB too much over most of the spectrum and 0.6 dB near its end: on the safe side.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

TAPS: Final = 12
"""Samples that an interpolated value depends on."""
REACH: Final = TAPS // 2
"""Samples to either side of an interpolated value that it depends on."""
# BS.1770-5, annex 2: phases 0 and 1, two rows each. It is symmetric: phases 3 and 2 are these backwards.
_TABLE: Final = np.array(
    [
        [0.001708984375, 0.010986328125, -0.0196533203125, 0.033203125, -0.0594482421875, 0.1373291015625],
        [0.97216796875, -0.102294921875, 0.047607421875, -0.026611328125, 0.014892578125, -0.00830078125],
        [-0.0291748046875, 0.029296875, -0.0517578125, 0.089111328125, -0.16650390625, 0.465087890625],
        [0.77978515625, -0.2003173828125, 0.1015625, -0.0582275390625, 0.0330810546875, -0.0189208984375],
    ],
    np.float32,
).reshape(2, TAPS)
_PHASES: Final = np.concatenate((_TABLE, _TABLE[::-1, ::-1]))
# One row a phase, in the order in which samples lie in memory.
_FILTER: Final = np.ascontiguousarray(_PHASES[:, ::-1])
OVERSHOOT: Final = float(np.abs(_PHASES).sum(axis=1).max())
"""No sound has a true peak further over its sample peak than this factor, 2.02."""


def sample_peak(pcm: NDArray[np.float32]) -> float:
    """The largest magnitude of any sample of (n, channels), n > 0; NaN where one is NaN."""
    return max(float(pcm.max()), -float(pcm.min()))


def between(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest magnitude of any channel in every space between samples.

    For (n, channels) samples the shape is (n - 11,): value *i* is that of the space before sample *i* + 6.
    """
    highest = _between(pcm[:, 0])
    for channel in range(1, pcm.shape[1]):
        np.maximum(highest, _between(pcm[:, channel]), out=highest)
    return highest


def _between(pcm: NDArray[np.float32]) -> NDArray[np.float32]:
    plane = np.ascontiguousarray(pcm)
    # Row i holds what the filter's tap i sees: the same memory twelve times, no copy of it.
    step = plane.itemsize
    taps = as_strided(plane, (TAPS, len(plane) - TAPS + 1), (step, step))
    values = _FILTER @ taps
    peaks: NDArray[np.float32] = np.maximum(values.max(axis=0), -values.min(axis=0))
    return peaks


def true_peak(pcm: NDArray[np.float32]) -> float:
    """The true peak of (n, channels) samples with silence around them; 1.0 is 0 dBTP."""
    around = np.zeros((TAPS, pcm.shape[1]), np.float32)
    return max(sample_peak(pcm), float(between(np.concatenate((around, pcm, around))).max()))
