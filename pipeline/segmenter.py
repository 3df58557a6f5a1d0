"""PCM in, parts out: every segment of every rendition by an encoder of its own (see `aac`).

Around a boundary two encoders a rendition are fed for 6 frames: the old segment's look-ahead and the new
one's pre-roll. So no history is kept: a segment's encoder is opened 4 frames before its first frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contracts.position import Position
from pipeline.aac import SegmentEncoder, fed_frames
from pipeline.boxes import sequence_number, write_part
from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, Grid, first_sample
from pipeline.pcm import silence, to_planar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.take import TakeSettings
    from pipeline.pcm import Pcm, Planes


@dataclass(frozen=True, slots=True)
class EncodedPart:
    """One part of one rendition: `data` is its `moof` + `mdat`."""

    rendition: str
    msn: int
    part: int
    data: bytes


class Segmenter:
    """Encodes a take from the first part of segment `msn` on.

    What it returns depends on the samples only, never on how they were cut into pushes.
    """

    def __init__(self, settings: TakeSettings, msn: int) -> None:
        self._settings = settings
        self._grid = Grid(settings.parts)
        self._first_sample = first_sample(msn)
        self._next_msn = msn
        self._next_frame = fed_frames(msn).start
        self._rest = silence(0, settings.channels)
        self._open: list[_OpenSegment] = []
        self._finished = False

    @property
    def needs(self) -> int:
        """The sample that the next push starts with; negative ones are zeros that the caller pushes."""
        return self._next_frame * FRAME + len(self._rest)

    def push(self, pcm: Pcm) -> list[EncodedPart]:
        """Take samples of shape (n, channels), any n; the parts that are now complete.

        Parts come in order: all renditions of a part, then the next part. A part is complete 2048 samples
        after its last one.
        """
        if pcm.ndim != 2 or pcm.shape[1] != self._settings.channels:
            raise ValueError(f"PCM of shape {pcm.shape}, wanted (n, {self._settings.channels})")
        if self._finished:
            raise ValueError("this segmenter has finished")
        if len(self._rest):
            pcm = np.concatenate((self._rest, pcm))
        whole = len(pcm) // FRAME * FRAME
        # A copy: the caller may reuse its buffer.
        self._rest = pcm[whole:].copy()
        return self._encode(to_planar(pcm[:whole])) if whole else []

    def finish(self) -> list[EncodedPart]:
        """Zeros after the end: completes the part that holds the last sample pushed, and begins no other."""
        parts: list[EncodedPart] = []
        if self.needs > self._first_sample:
            last = self._grid.position_of_sample(self.needs - 1)
            stop = self._grid.stop_sample(last) + LOOKAHEAD_FRAMES * FRAME
            parts = self.push(silence(stop - self.needs, self._settings.channels))
        self._finished = True
        self._open.clear()
        return parts

    def _encode(self, planes: Planes) -> list[EncodedPart]:
        start, stop = self._next_frame, self._next_frame + planes.shape[1] // FRAME
        self._next_frame = stop
        parts: list[EncodedPart] = []
        still_open: list[_OpenSegment] = []
        # An older segment's last access unit leaves before the next one's first: this is their order in time.
        for segment in self._segments_fed_before(stop):
            parts += segment.push(planes, start)
            if segment.fed.stop > stop:
                still_open.append(segment)
        self._open = still_open
        return parts

    def _segments_fed_before(self, frame: int) -> Iterator[_OpenSegment]:
        """The open segments, then those to open: one at a time, since an encoder takes 0.6 MB."""
        yield from self._open
        while fed_frames(self._next_msn).start < frame:
            yield _OpenSegment(self._settings, self._next_msn)
            self._next_msn += 1


class _OpenSegment:
    """A segment whose parts are still leaving: an encoder a rendition, and their units of the open part."""

    def __init__(self, settings: TakeSettings, msn: int) -> None:
        self.fed = fed_frames(msn)
        self._position = Position(msn, 0)
        self._grid = Grid(settings.parts)
        self._names = [rendition.name for rendition in settings.renditions]
        self._encoders = [
            SegmentEncoder(msn, settings.channels, rendition.bit_rate) for rendition in settings.renditions
        ]
        self._units: list[list[bytes]] = [[] for _ in self._encoders]

    def push(self, planes: Planes, start: int) -> list[EncodedPart]:
        """Feed what concerns this segment of planes that begin with frame `start`."""
        mine = planes[:, max(self.fed.start - start, 0) * FRAME : max(self.fed.stop - start, 0) * FRAME]
        for encoder, units in zip(self._encoders, self._units, strict=True):
            units.extend(encoder.push(mine))
        parts: list[EncodedPart] = []
        while self._position.part < self._grid.parts and self._units[0]:
            frames = self._grid.part_frames(self._position)
            if len(self._units[0]) < len(frames):
                break
            parts.extend(self._cut(frames))
            self._position = Position(self._position.msn, self._position.part + 1)
        return parts

    def _cut(self, frames: range) -> list[EncodedPart]:
        msn, part = self._position
        sequence = sequence_number(self._position, self._grid.parts)
        parts = []
        for name, units in zip(self._names, self._units, strict=True):
            data = write_part(units[: len(frames)], frames.start, sequence)
            del units[: len(frames)]
            parts.append(EncodedPart(name, msn, part, data))
        return parts
