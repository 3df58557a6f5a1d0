"""The take's clock: sample ↔ frame ↔ part ↔ segment ↔ UTC. Integers only, so nothing drifts.

A sample index counts 48 kHz samples from the take's epoch. Frame *k* covers samples [1024k, 1024k+1024).
Segment *n* holds the frames whose first sample lies in [96000n, 96000n+96000): 94, 94, 94, 93 of them, so
that four segments are exactly 8 s. Part *j* of a segment with F frames holds its frames
[⌊jF/parts⌋, ⌊(j+1)F/parts⌋): even pieces, none of them short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.position import Position

SAMPLE_RATE: Final = 48_000
FRAME: Final = 1_024
"""Samples of an AAC-LC access unit."""
SEGMENT: Final = 96_000
"""Samples between the nominal starts of two segments."""
BLOCK: Final = 960
"""Samples of a bus block (20 ms); a segment's nominal start is always a block's start."""
MAX_SEGMENT_FRAMES: Final = 94
PREROLL_FRAMES: Final = 4
"""Frames that a segment's encoder is fed first and whose output is thrown away."""
LOOKAHEAD_FRAMES: Final = 2
"""Frames that it is fed after the segment: access unit k leaves when frame k+2 goes in."""
_US: Final = 1_000_000


def first_frame(msn: int) -> int:
    """The first frame of segment `msn`."""
    return -(-msn * SEGMENT // FRAME)


def frame_count(msn: int) -> int:
    """How many frames segment `msn` holds: 94, 94, 94, 93, and again."""
    return first_frame(msn + 1) - first_frame(msn)


def first_sample(msn: int) -> int:
    """The first sample of segment `msn`: that of its first frame, up to 1023 samples after 96000·msn."""
    return FRAME * first_frame(msn)


def msn_of_frame(frame: int) -> int:
    """The segment that holds `frame`."""
    return frame * FRAME // SEGMENT


def msn_of_sample(sample: int) -> int:
    """The segment that holds `sample`."""
    return msn_of_frame(sample // FRAME)


def utc_us(epoch_us: int, sample: int) -> int:
    """The UTC instant of `sample` in microseconds, rounded down, for an epoch in microseconds."""
    return epoch_us + sample * _US // SAMPLE_RATE


def sample_at(epoch_us: int, instant_us: int) -> int:
    """The sample that sounds at `instant_us` (negative before the epoch)."""
    return (instant_us - epoch_us) * SAMPLE_RATE // _US


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of a take whose segments are cut into `parts` pieces (1 to 10)."""

    parts: int

    @property
    def part_target(self) -> int:
        """`PART-TARGET` in samples: the longest part there is, ⌈94/parts⌉ frames."""
        return -(-MAX_SEGMENT_FRAMES // self.parts) * FRAME

    def part_frames(self, position: Position) -> range:
        """The frames (absolute indexes) of the part at `position`."""
        msn, part = position
        if not 0 <= part < self.parts:
            raise ValueError(f"a segment has parts 0 to {self.parts - 1}, not {part}")
        start, count = first_frame(msn), frame_count(msn)
        return range(start + part * count // self.parts, start + (part + 1) * count // self.parts)

    def position_of_frame(self, frame: int) -> Position:
        """The part that holds `frame`."""
        msn = msn_of_frame(frame)
        offset, count = frame - first_frame(msn), frame_count(msn)
        # The largest j with ⌊j·count/parts⌋ ≤ offset.
        return Position(msn, ((offset + 1) * self.parts - 1) // count)

    def position_of_sample(self, sample: int) -> Position:
        """The part that holds `sample`."""
        return self.position_of_frame(sample // FRAME)

    def after(self, position: Position) -> Position:
        """The position that follows."""
        if position.part + 1 < self.parts:
            return Position(position.msn, position.part + 1)
        return Position(position.msn + 1, 0)

    def end_of(self, samples: int) -> Position:
        """The position after the last part of a take of `samples` samples; (0, 0) for an empty one."""
        if samples <= 0:
            return Position(0, 0)
        return self.after(self.position_of_sample(samples - 1))

    def start_sample(self, position: Position) -> int:
        """The first sample of the part at `position`."""
        return self.part_frames(position).start * FRAME

    def stop_sample(self, position: Position) -> int:
        """The sample after the part at `position`."""
        return self.part_frames(position).stop * FRAME
