"""An ear for a room of voices: who is heard in a mix, since when, how loud, and whether anything clicks.

Sound is mono at 48 kHz, shape (n,), float32 with full scale 1.0. Nothing here knows how a mix is made.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from pipeline.mix.loudness import LoudnessMeter
from tests.audio import RATE

Sound = NDArray[np.float32]

CLICK: Final = 0.005
"""A third of a step lies above 9 kHz: of one of 0.05 that is 0.016. Voices have 0.002 there at most."""
_CLICKS_FROM_HZ: Final = 9_000
_APART: Final = RATE // 100
_NEAR: Final = RATE // 100
_CHUNK: Final = 10 * RATE
_AROUND: Final = 64


class Found(NamedTuple):
    """Words that were looked for in a mix: they begin `lag` samples after its beginning.

    `likeness` is the correlation there, 0 to 1; `clearness` is how many times that of any other place.
    """

    lag: int
    likeness: float
    clearness: float


def find(words: Sound, mix: Sound) -> Found:
    """Where `words` are heard in `mix`, which is longer. Their level does not matter."""
    # The first difference makes pitch and overtones about equally strong, as ears do.
    ours, theirs = np.diff(words).astype(np.float64), np.diff(mix).astype(np.float64)
    size = 1 << (len(theirs) - 1).bit_length()
    spectrum = np.fft.rfft(theirs, size) * np.conj(np.fft.rfft(ours, size))
    product = np.abs(np.fft.irfft(spectrum, size)[: len(theirs) - len(ours) + 1])
    energy = np.concatenate(([0.0], np.cumsum(theirs**2)))
    under = energy[len(ours) :] - energy[: -len(ours)]
    likeness = product / np.sqrt(np.maximum(under * np.sum(ours**2), 1e-12))
    lag = int(np.argmax(likeness))
    elsewhere = np.concatenate((likeness[: max(0, lag - _NEAR)], likeness[lag + _NEAR :]))
    return Found(lag, float(likeness[lag]), float(likeness[lag] / elsewhere.max(initial=1e-6)))


def sharpest(sound: Sound) -> Sound:
    """How much of every sample lies above 9 kHz, where voices have nothing and clicks have much."""
    high = butter(8, _CLICKS_FROM_HZ, btype="highpass", fs=RATE, output="sos")
    return np.asarray(np.abs(sosfilt(high, sound)), np.float32)


def clicks(sound: Sound) -> list[int]:
    """The samples at which something clicks."""
    found: list[int] = []
    for sample in np.flatnonzero(sharpest(sound) > CLICK).tolist():
        if not found or sample - found[-1] > _APART:
            found.append(sample)
    return found


def true_peak_db(sound: Sound) -> float:
    """The highest peak in dBTP, of the sound four times oversampled."""
    highest = 0.0
    for start in range(0, len(sound), _CHUNK):
        piece = sound[max(0, start - _AROUND) : start + _CHUNK + _AROUND]
        highest = max(highest, float(np.abs(resample_poly(piece, 4, 1)).max()))
    return 20 * float(np.log10(highest))


def loudness(pieces: list[Sound]) -> float:
    """Of all of `pieces` together, in LUFS (gated, ITU-R BS.1770)."""
    meter = LoudnessMeter(1)
    for piece in pieces:
        meter.push(piece[:, np.newaxis])
    assert meter.integrated is not None, "nothing is heard"
    return meter.integrated
