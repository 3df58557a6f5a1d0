"""Bit rates of media on the grid."""

from __future__ import annotations

from typing import Final

from pipeline.grid import FRAME, SAMPLE_RATE

_BITS: Final = 8


def bits_a_second(size: int, frames: int) -> int:
    """`size` bytes in so many frames, rounded up."""
    return -(-_BITS * SAMPLE_RATE * size // (FRAME * frames))
