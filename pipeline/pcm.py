"""PCM as arrays: s16 as it travels and lies on the bus, float32 planes as the encoder wants it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
"""Samples of shape (n, channels)."""
Planes = NDArray[np.float32]
"""Samples of shape (channels, n), C-contiguous, full scale ±1."""

_SCALE: Final = np.float32(1 / 32768)


def from_bytes(data: bytes | bytearray | memoryview, channels: int) -> Pcm:
    """s16le bytes, interleaved, as an array of shape (n, channels) on the same memory.

    Raises ValueError when `data` ends inside a sample.
    """
    return np.frombuffer(data, "<i2").reshape(-1, channels)


def to_bytes(pcm: Pcm) -> bytes:
    """The same samples as interleaved s16le."""
    return pcm.astype("<i2", copy=False).tobytes()


def silence(samples: int, channels: int) -> Pcm:
    """Zeros of shape (samples, channels)."""
    return np.zeros((samples, channels), np.int16)


def to_planar(pcm: Pcm) -> Planes:
    """Full scale ±1 in planes. Exact: 16 bits times a power of two fit a float32."""
    planes = np.empty(pcm.shape[::-1], np.float32)
    np.multiply(pcm.T, _SCALE, out=planes)
    return planes


def remix(pcm: Pcm, channels: int) -> Pcm:
    """Mono to stereo by doubling; stereo to mono by the mean, halves rounded to even (no bias)."""
    if pcm.shape[1] == channels:
        return pcm
    if channels == 2:
        return np.repeat(pcm, 2, axis=1)
    total: NDArray[np.int32] = pcm.sum(axis=1, keepdims=True, dtype=np.int32)
    mean: Pcm = ((total + (total >> 1 & 1)) >> 1).astype(np.int16)
    return mean
