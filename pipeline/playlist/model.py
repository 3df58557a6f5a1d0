"""What a playlist says, as frozen values on the grid: no text, no seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from contracts.position import Position
from contracts.take import TakeEvent
from pipeline.grid import FRAME, SAMPLE_RATE, Grid, first_frame, first_sample, frame_count

TARGET_DURATION: Final = 2
"""Seconds; constant (rfc8216bis 6.2.1). A segment is 2.005 s or 1.984 s, which both round to it."""
HOLD_BACK: Final = 3 * TARGET_DURATION
"""Seconds; the least that 4.4.3.8 allows."""
CAN_SKIP_UNTIL: Final = 6 * TARGET_DURATION
"""Seconds; the least that 4.4.3.8 allows."""
SEGMENTS_WITH_PARTS: Final = 2
"""Whole segments whose parts are listed, besides the open one: all parts are within 3 target durations of the
end, after which 6.2.2 wants them removed."""


class Skip(Enum):
    """What a delta update leaves out; the values are those of `_HLS_skip` (6.2.5.1)."""

    NO = ""
    """Nothing: the full playlist."""
    YES = "YES"
    """Old segments."""
    V2 = "v2"
    """Old segments and old date ranges."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is whole: it will never change again.

    `parts` is how many parts it has: all that the grid gives it, fewer in a take's last segment, 0 in a gap.
    """

    msn: int
    parts: int

    @property
    def gap(self) -> bool:
        """Whether this segment never came (`EXT-X-GAP`)."""
        return self.parts == 0

    def frames(self, grid: Grid) -> int:
        """Its duration in frames. A gap is as long as the media that is absent (6.2.1)."""
        if self.gap or self.parts == grid.parts:
            return frame_count(self.msn)
        return grid.part_frames(Position(self.msn, self.parts - 1)).stop - first_frame(self.msn)

    def stop_sample(self, grid: Grid) -> int:
        """The sample after its last one."""
        return first_sample(self.msn) + FRAME * self.frames(grid)


@dataclass(frozen=True, slots=True)
class RenditionReport:
    """How far another rendition has come (4.4.5.4). `last_part` is None where it lists no part."""

    rendition: str
    last_msn: int
    last_part: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlaylist:
    """One rendition's media playlist.

    `segments` are the whole segments, oldest first, without a hole in their MSNs. `next` is the position that
    is hinted: the parts before it in its segment are there, and that segment is open. `events` are the date
    ranges to list, in the order of time; `added` are those of them that came, and `removed` the ones that
    left, within the last `CAN_SKIP_UNTIL` seconds.
    """

    epoch_us: int
    grid: Grid
    segments: Sequence[Segment]
    next: Position
    events: Sequence[TakeEvent] = ()
    added: Sequence[TakeEvent] = ()
    removed: Sequence[TakeEvent] = ()
    reports: Sequence[RenditionReport] = ()
    ended: bool = False

    @property
    def media_sequence(self) -> int:
        """The MSN of the first segment (of the open one if none is whole)."""
        return self.segments[0].msn if self.segments else self.next.msn

    def skippable(self) -> int:
        """How many segments a delta update skips: those beyond the skip boundary (6.2.5.1).

        The boundary is counted back from the end of the last whole segment ("the last Media Segment"), and
        a segment is skipped when its own end lies *beyond* it: wherever the text can be read in two ways,
        this skips less. An ended playlist is never a delta update.
        """
        if self.ended:
            return 0
        after = 0
        for kept, segment in enumerate(reversed(self.segments)):
            if FRAME * after > SAMPLE_RATE * CAN_SKIP_UNTIL:
                return len(self.segments) - kept
            after += segment.frames(self.grid)
        return 0


@dataclass(frozen=True, slots=True)
class Variant:
    """One rendition as the multivariant playlist offers it. Bit rates in bits a second (4.4.6.2)."""

    rendition: str
    bit_rate: int
    bandwidth: int
    average_bandwidth: int
