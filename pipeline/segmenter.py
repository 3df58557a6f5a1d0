"""PCM in, parts out: every segment of every rendition by an encoder of its own (see `aac`).

Around a boundary both segments are fed the same 6 frames: the new one's pre-roll and the old one's
look-ahead. An encoder takes 0.7 MB, those frames 24 kB: so they are held, and the new encoder is opened when
the old one is done. Nothing of the new segment could leave before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from contracts.position import Position
from pipeline.aac import SegmentEncoder, fed_frames
from pipeline.boxes import sequence_number, write_part
from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, PREROLL_FRAMES, Grid, first_sample
from pipeline.pcm import silence, to_planar

if TYPE_CHECKING:
    from contracts.take import TakeSettings
    from pipeline.pcm import Pcm, Planes


_SHARED_FRAMES = PREROLL_FRAMES + LOOKAHEAD_FRAMES


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
        self._next_frame = fed_frames(msn).start
        self._rest = silence(0, settings.channels)
        self._held = to_planar(self._rest)
        self._open = _OpenSegment(settings, msn)
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
        return parts

    def _encode(self, planes: Planes) -> list[EncodedPart]:
        held = self._held.shape[1] // FRAME
        start, stop = self._next_frame - held, self._next_frame + planes.shape[1] // FRAME
        self._next_frame = stop
        planes = np.concatenate((self._held, planes), axis=1)
        self._held = planes[:, -_SHARED_FRAMES * FRAME :].copy()
        parts: list[EncodedPart] = []
        while self._open.due < stop:
            parts += self._open.push(planes, start)
            if self._open.done:
                self._open = _OpenSegment(self._settings, self._open.msn + 1)
        return parts


class _OpenSegment:
    """A segment whose parts are still leaving: an encoder a rendition, and their units of the open part.

    The encoders are opened by the first push.
    """

    def __init__(self, settings: TakeSettings, msn: int) -> None:
        self.msn = msn
        self._settings = settings
        self._fed = fed_frames(msn)
        self._next = self._fed.start
        self._position = Position(msn, 0)
        self._grid = Grid(settings.parts)
        self._encoders: list[SegmentEncoder] = []
        self._units: list[list[bytes]] = [[] for _ in settings.renditions]

    @property
    def due(self) -> int:
        """It is to be pushed to as soon as there are frames from this one on."""
        return self._next if self._encoders else self._fed.start + _SHARED_FRAMES

    @property
    def done(self) -> bool:
        """All of its parts have left."""
        return self._next == self._fed.stop

    def push(self, planes: Planes, start: int) -> list[EncodedPart]:
        """Feed what it has not been fed yet of planes that begin with frame `start`."""
        if not self._encoders:
            channels = self._settings.channels
            rates = [rendition.bit_rate for rendition in self._settings.renditions]
            self._encoders = [SegmentEncoder(self.msn, channels, rate) for rate in rates]
        stop = min(self._fed.stop, start + planes.shape[1] // FRAME)
        mine = planes[:, (self._next - start) * FRAME : (stop - start) * FRAME]
        self._next = stop
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
        for rendition, units in zip(self._settings.renditions, self._units, strict=True):
            data = write_part(units[: len(frames)], frames.start, sequence)
            del units[: len(frames)]
            parts.append(EncodedPart(rendition.name, msn, part, data))
        return parts
