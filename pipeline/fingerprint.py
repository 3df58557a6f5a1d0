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
from pipeline.grid import FRAME, PREROLL_FRAMES, first_sample
from pipeline.segmenter import Segmenter

if TYPE_CHECKING:
    from pipeline.pcm import Pcm

_PARTS: Final = 5
_PROBE_SAMPLES: Final = first_sample(1) + 20 * FRAME
_RENDITIONS: Final = (Rendition("32k"), Rendition("96k"))


@cache
def encoder_fingerprint() -> str:
    """SHA-256 (hex) of the probe encoded in mono and stereo. Takes 0.1 s, once a process."""
    digest = sha256()
    for channels in (1, 2):
        segmenter = Segmenter(TakeSettings(channels, _PARTS, _RENDITIONS), msn=0)
        pcm = probe(_PROBE_SAMPLES + PREROLL_FRAMES * FRAME, channels)
        for part in [*segmenter.push(pcm), *segmenter.finish()]:
            digest.update(part.data)
    return digest.hexdigest()


def probe(samples: int, channels: int) -> Pcm:
    """Noise, a sweep, a square wave and silence, by integer arithmetic alone; shape (samples, channels)."""
    n = np.arange(samples, dtype=np.uint64)
    planes = []
    for channel in range(channels):
        noise = _hash(n + np.uint64(channel << 32)).astype(np.int64) % 8192 - 4096
        # A triangle whose phase is a square of time: from 0 to some 9 kHz within the two seconds.
        phase = (n * n // np.uint64(16 + channel)) % np.uint64(32768)
        sweep = np.abs(phase.astype(np.int64) - 16384) - 8192
        square = np.where(n // np.uint64(53) % np.uint64(2) == 1, 12000, -12000)
        # A quarter of a second each, in turn, so that the coder changes its windows and sees silence.
        turn = (n // np.uint64(12000)) % np.uint64(4)
        planes.append(np.choose(turn.astype(np.int64), [noise, sweep, square, np.zeros_like(noise)]))
    return np.stack(planes, axis=1).astype(np.int16)


def _hash(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # SplitMix64's finaliser: multiplications wrap around, as unsigned integers do everywhere.
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return (values ^ values >> np.uint64(31)) >> np.uint64(33)
