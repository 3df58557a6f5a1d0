"""The encoder fingerprint: what this machine's encoder makes of a built-in probe.

FFmpeg's SIMD paths round differently, and so may other versions of it. Workers with equal fingerprints make
equal bytes.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from contracts.take import Rendition, TakeSettings
from pipeline.grid import FRAME, PREROLL_FRAMES, SAMPLE_RATE
from pipeline.segmenter import Segmenter

if TYPE_CHECKING:
    from pipeline.pcm import Pcm

_SAMPLES: Final = 9 * SAMPLE_RATE // 2 + PREROLL_FRAMES * FRAME
_NOISE_FROM: Final = 4 * SAMPLE_RATE
# Where two machines round differently by one part in ten million, only a coefficient next to a quantiser's
# threshold shows it. Large quantised values have the most thresholds: loud, clean tones at the highest rate.
# With them some parts of every second differ between SSE, AVX and AVX2; with noise, or at 64k, none did.
# The low rate is there for the tools that only it uses (noise substitution).
_RENDITIONS: Final = (Rendition("32k"), Rendition("256k"))


@cache
def encoder_fingerprint() -> str:
    """SHA-256 (hex) of the probe encoded in mono and stereo. Takes 0.2 s, once a process."""
    digest = sha256()
    for channels in (1, 2):
        segmenter = Segmenter(TakeSettings(channels, parts=1, renditions=_RENDITIONS), msn=0)
        for part in segmenter.push(probe(_SAMPLES, channels)) + segmenter.finish():
            digest.update(part.data)
    return digest.hexdigest()


def probe(samples: int, channels: int) -> Pcm:
    """Four seconds of a loud, clean, sung tone, then noise; shape (samples, channels).

    Integer arithmetic alone, so that it is the same on every machine.
    """
    n = np.arange(samples, dtype=np.int64)
    # Syllables: full loudness at 0, 0.2, 0.4 s, …, none half way between them.
    loudness = abs(n % 9_600 - 4_800)
    sides = []
    for side in range(channels):
        # In 1/65536 of a period: 150 Hz, and 187 Hz on the other side.
        phase = n * (3_277 + 808 * side) // 16
        tone = sum(_triangle(phase * harmonic) // (harmonic + 1) for harmonic in range(1, 12))
        noise = _hash(n + (side << 32)) % 8_192 - 4_096
        sides.append(np.where(n < _NOISE_FROM, tone * loudness // 6_400, noise))
    return np.stack(sides, axis=1).astype(np.int16)


def _triangle(phase: NDArray[np.int64]) -> NDArray[np.int64]:
    return abs(phase % 65_536 - 32_768) - 16_384


def _hash(values: NDArray[np.int64]) -> NDArray[np.int64]:
    # SplitMix64's finaliser. Unsigned multiplication wraps around, on every machine alike.
    mixed = values.astype(np.uint64)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(33)).astype(np.int64)
