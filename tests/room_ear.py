"""An ear for a room of voices: who is heard in a mix, since when, how loud, and whether anything clicks.

Sound is mono at 48 kHz, shape (n,), float32 with full scale 1.0. Nothing here knows how a mix is made.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, resample_poly, sosfilt

from pipeline.mix.loudness import LoudnessMeter
from tests.audio import RATE

Sound = NDArray[np.float32]

CLICK: Final = 0.005
"""A third of a step lies above 9 kHz: of one of 0.05 that is 0.016. Voices have 0.002 there at most."""
_CLICKS_FROM_HZ: Final = 9_000
_APART: Final = RATE // 100
_NEAR: Final = RATE // 100
_STRETCHES: Final = tuple(step / 1000 for step in range(-5, 6))
_CHUNK: Final = 10 * RATE
_AROUND: Final = 64


class Found(NamedTuple):
    """Words that were looked for in a mix: their middle lies `lag` samples later in it than in the words.

    `likeness` is the correlation there, 0 to 1; `clearness` is how many times that of any other place.
    """

    lag: int
    likeness: float
    clearness: float


def find(words: Sound, mix: Sound) -> Found:
    """Where `words` are heard in `mix`, which is longer, at any level and by up to 0.5 % faster or slower."""
    # The first difference makes pitch and overtones about equally strong, as ears do.
    theirs = np.diff(mix).astype(np.float64)
    size = next_fast_len(len(theirs), real=True)
    spectrum = rfft(theirs, size)
    energy = np.concatenate(([0.0], np.cumsum(theirs**2)))
    return max(
        (_find(np.diff(_stretched(words, stretch)), size, spectrum, energy) for stretch in _STRETCHES),
        key=lambda found: found.likeness,
    )


def _find(
    ours: NDArray[np.float64], size: int, spectrum: NDArray[np.complex128], energy: NDArray[np.float64]
) -> Found:
    places = len(energy) - len(ours)
    product = np.abs(irfft(spectrum * np.conj(rfft(ours, size)), size)[:places])
    under = energy[len(ours) :] - energy[: -len(ours)]
    likeness = product / np.sqrt(np.maximum(under * np.sum(ours**2), 1e-12))
    lag = int(np.argmax(likeness))
    elsewhere = np.concatenate((likeness[: max(0, lag - _NEAR)], likeness[lag + _NEAR :]))
    return Found(lag, float(likeness[lag]), float(likeness[lag] / elsewhere.max(initial=1e-6)))


def _stretched(words: Sound, stretch: float) -> NDArray[np.float64]:
    """`words` read faster or slower around their middle: as many samples."""
    middle = len(words) / 2
    place = middle + (np.arange(len(words)) - middle) * (1 + stretch)
    return np.asarray(np.interp(place, np.arange(len(words)), words), np.float64)


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
