"""Measured bit rates of a rendition, for `BANDWIDTH` and `AVERAGE-BANDWIDTH` (rfc8216bis 4.1 and 4.4.6.2)."""

from __future__ import annotations

from contracts.position import Position
from contracts.take import Rendition
from pipeline.boxes import write_part
from pipeline.grid import FRAME, SAMPLE_RATE, Grid
from pipeline.playlist.model import TARGET_DURATION, Segment

_BITS = 8


class Bandwidth:
    """Peak and average segment bit rates, container included.

    The peak is that of "any contiguous set of segments whose total duration is between 0.5 and 1.5 times the
    target duration": 1 to 3 s, which is any single 2-second segment, and a take's short last segment alone
    (from 1 s on) or together with the one before it. It starts at 1.25 × nominal, since FFmpeg's encoder can
    run 20 % over its nominal rate, and is never lowered: players choose by it once.
    """

    def __init__(self, rendition: Rendition, grid: Grid) -> None:
        self._grid = grid
        overhead = _container_bits(grid)
        self._nominal = rendition.bit_rate + overhead
        self._peak = rendition.bit_rate * 5 // 4 + overhead
        self._size = 0
        self._frames = 0
        self._previous: tuple[int, int] | None = None

    @property
    def peak(self) -> int:
        """`BANDWIDTH`, bits a second."""
        return self._peak

    @property
    def average(self) -> int:
        """`AVERAGE-BANDWIDTH`, bits a second: of the listed media; nominal while there is none."""
        return min(self._peak, _rate(self._size, self._frames)) if self._frames else self._nominal

    def add(self, segment: Segment, size: int) -> None:
        """Count a segment of `size` bytes that has become whole."""
        if segment.gap:
            self._previous = None
            return
        frames = segment.frames(self._grid)
        self._size += size
        self._frames += frames
        self._raise_peak(size, frames)
        if self._previous is not None:
            self._raise_peak(size + self._previous[0], frames + self._previous[1])
        self._previous = size, frames

    def remove(self, segment: Segment, size: int) -> None:
        """Leave a segment out of the average that has left the window."""
        if not segment.gap:
            self._size -= size
            self._frames -= segment.frames(self._grid)

    def _raise_peak(self, size: int, frames: int) -> None:
        if TARGET_DURATION * SAMPLE_RATE <= 2 * FRAME * frames <= 3 * TARGET_DURATION * SAMPLE_RATE:
            self._peak = max(self._peak, _rate(size, frames))


def _rate(size: int, frames: int) -> int:
    """Bits a second, rounded up."""
    return -(-_BITS * SAMPLE_RATE * size // (FRAME * frames))


def _container_bits(grid: Grid) -> int:
    """Bits a second that boxes add: those of the first segment's parts, written with empty access units."""
    frames = [grid.part_frames(Position(0, part)) for part in range(grid.parts)]
    return _rate(sum(len(write_part([b""] * len(part), part.start, 0)) for part in frames), frames[-1].stop)
