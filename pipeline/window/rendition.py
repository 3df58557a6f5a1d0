"""One rendition's window: a state machine that moves forward when media is put, and never back.

Segments become whole in the order of their MSNs, without a hole: what never came is a gap. `next` is the
position that is put next. Everything before it is settled: there, or gapped, or gone from the window.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from contracts.errors import BytesConflict, MalformedMedia, OutOfOrder, TakeEnded
from contracts.position import Position
from contracts.take import Rendition
from pipeline.boxes import read_part, sequence_number, split_parts
from pipeline.grid import Grid
from pipeline.playlist.model import SEGMENTS_WITH_PARTS, RenditionReport, Segment
from pipeline.window.answers import Answer, Put
from pipeline.window.bandwidth import Bandwidth
from pipeline.window.locate import coming, locate
from pipeline.window.store import MediaStore

SERVED_AFTER: Final = 3
"""Segments for which media is still served after its line has left the playlist. For parts, 6.2.2 wants three
target durations; for segments, their own duration plus that of the longest playlist that held them, counted
from when they appeared: one segment and an open one longer than the window."""
MIN_WINDOW_SEGMENTS: Final = 3
"""6.2.2: a live playlist is never shorter than three target durations."""


class RenditionWindow:
    """What is listed and served of one rendition of a take.

    `window_segments` (at least 3) is how many whole segments, gaps among them, are listed at most.
    """

    def __init__(self, rendition: Rendition, grid: Grid, window_segments: int) -> None:
        if window_segments < MIN_WINDOW_SEGMENTS:
            raise ValueError(f"a window has at least {MIN_WINDOW_SEGMENTS} segments, not {window_segments}")
        self.rendition = rendition
        self.bandwidth = Bandwidth(rendition, grid)
        self.version = 0
        """Grows whenever the text of this rendition's playlist may have changed."""
        self.next = Position(0, 0)
        """What is put next, and what the playlist hints; without media (0, 0), though any MSN will do."""
        self.ended = False
        self._grid = grid
        self._window_segments = window_segments
        self._listed: deque[Segment] = deque()
        self._gaps: dict[int, None] = {}  # a set that keeps its order
        self._store = MediaStore()
        self._started = False

    # ---- what is put ---------------------------------------------------------------------------------------

    def put_part(self, position: Position, data: bytes) -> Put:
        """Take one part. Raises OutOfOrder, BytesConflict, MalformedMedia or TakeEnded."""
        if not 0 <= position.part < self._grid.parts:
            raise MalformedMedia(f"a segment of this take has parts 0 to {self._grid.parts - 1}")
        if position < self.next:
            return self._repeated(position, data)
        self._admit(position)
        self._check(position, data)
        self._begin(position.msn)
        self._append(data)
        return Put.NEW

    def put_segment(self, msn: int, data: bytes) -> Put:
        """Take a whole segment: all its parts, or none. Raises as `put_part` does.

        Where it has fewer parts than the grid gives a segment it stays open: only the end makes such a one
        whole.
        """
        if msn < self.next.msn:
            return self._repeated_segment(msn, data)
        self._admit(self._going_on(msn))
        parts = split_parts(data)
        if len(parts) > self._grid.parts:
            raise MalformedMedia(f"segment {msn} has {self._grid.parts} parts, not {len(parts)}")
        for index, part in enumerate(parts):
            self._check(Position(msn, index), part)
        known = self._store.open_parts
        if any(ours != theirs for ours, theirs in zip(known, parts, strict=False)):
            raise BytesConflict(f"segment {msn} began with other bytes: keep what is there")
        self._begin(msn)
        new = parts[len(known) :]
        for part in new:
            self._append(part)
        return Put.NEW if new else Put.SAME

    def put_gap(self, msn: int) -> Put:
        """This segment will not come, or not to its end. Raises OutOfOrder or TakeEnded.

        A gap or a whole segment, whichever came first, stays. A gap closes an open segment: its parts leave
        the list at once, for a parent without media cannot keep them (rfc8216bis 3.2), and are served a while
        longer.
        """
        if msn < self.next.msn:
            return Put.SAME if msn in self._gaps else Put.IGNORED
        self._admit(self._going_on(msn))
        self._begin(msn)
        self._store.break_off(msn)
        self._gaps[msn] = None
        self._list(Segment(msn, parts=0))
        return Put.NEW

    def end(self) -> None:
        """Nothing more will come. What there is of the open segment is a whole, short segment."""
        if self.next.part:
            self._close()
        self.ended = True

    # ---- what is asked -------------------------------------------------------------------------------------

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The whole segments that are listed, oldest first."""
        return tuple(self._listed)

    @property
    def first(self) -> int | None:
        """The first MSN that is listed (that of the open segment if none is whole); None without media."""
        if self._listed:
            return self._listed[0].msn
        return self.next.msn if self._started else None

    @property
    def gaps(self) -> tuple[int, ...]:
        """The MSNs of the gaps that are listed."""
        return tuple(self._gaps)

    @property
    def answerable(self) -> bool:
        """Whether its playlist can be shown: one whole segment with media, or the end.

        hls.js fails (levelEmptyError) on a live playlist that has parts but no whole segment.
        """
        return self.ended or len(self._listed) > len(self._gaps)

    @property
    def size(self) -> int:
        """Bytes of media held."""
        return self._store.size

    @property
    def stop_sample(self) -> int:
        """The sample after everything that is settled; 0 without media."""
        if self.next.part == 0:
            return self._listed[-1].stop_sample(self._grid) if self._listed else 0
        return self._grid.stop_sample(Position(self.next.msn, self.next.part - 1))

    def locate(self, msn: int | None = None, part: int | None = None) -> Answer:
        """Whether the current playlist answers a request with these directives (rfc8216bis 6.2.5.2)."""
        return locate(self, self._grid, msn, part)

    def is_gap(self, msn: int) -> bool:
        """Whether this segment is listed as a gap."""
        return msn in self._gaps

    def coming(self, msn: int, part: int | None) -> Position | None:
        """What a request for this part (None: the whole segment) waits for; None: it is answered at once."""
        return coming(self, self._grid, msn, part)

    def segment_parts(self, msn: int) -> tuple[bytes, ...] | None:
        """A whole segment as its parts, for whoever can write them one after another."""
        return self._store.whole(msn)

    def segment_bytes(self, msn: int) -> bytes | None:
        """A whole segment; None if it is not there (any more), open, or a gap."""
        parts = self._store.whole(msn)
        return None if parts is None else b"".join(parts)

    def part_bytes(self, msn: int, part: int) -> bytes | None:
        """A part that is listed, or has been until three target durations ago."""
        if msn == self.next.msn:
            return self._store.open_parts[part] if 0 <= part < self.next.part else None
        if msn < self.next.msn - SEGMENTS_WITH_PARTS - SERVED_AFTER:
            return None
        return self._store.part(Position(msn, part))

    def parts_held(self, msn: int) -> tuple[bytes, ...]:
        """What is served of a segment, from its first part on: all, some (open, or broken off) or none."""
        whole = self._store.whole(msn)
        if whole is not None:
            return whole
        parts: list[bytes] = []
        while (part := self.part_bytes(msn, len(parts))) is not None:
            parts.append(part)
        return tuple(parts)

    def report(self) -> RenditionReport | None:
        """What other renditions report of this one (4.4.5.4): its last listed part; None without media."""
        msn, part = self.next
        name = self.rendition.name
        if part:
            return RenditionReport(name, msn, part - 1)
        for back in range(1, min(SEGMENTS_WITH_PARTS, len(self._listed)) + 1):
            segment = self._listed[-back]
            if not segment.gap:
                return RenditionReport(name, segment.msn, segment.parts - 1)
        return RenditionReport(name, msn - 1, None) if self._listed else None

    # ---- inside --------------------------------------------------------------------------------------------

    def _repeated(self, position: Position, data: bytes) -> Put:
        if position.msn < (self.first or 0) or position.msn in self._gaps:
            return Put.IGNORED
        known = (
            self._store.open_parts[position.part]
            if position.msn == self.next.msn
            else self._store.part(position)
        )
        if known is None:
            raise TakeEnded(f"the take ended before part {position.part} of segment {position.msn}")
        if known != data:
            raise BytesConflict(
                f"part {position.part} of segment {position.msn} has other bytes: keep what is there"
            )
        return Put.SAME

    def _repeated_segment(self, msn: int, data: bytes) -> Put:
        if msn < (self.first or 0) or msn in self._gaps:
            return Put.IGNORED
        if self.segment_bytes(msn) != data:
            raise BytesConflict(f"segment {msn} has other bytes: keep what is there")
        return Put.SAME

    def _going_on(self, msn: int) -> Position:
        """Where segment `msn` goes on: at its first part, unless it is open."""
        return self.next if msn == self.next.msn else Position(msn, 0)

    def _admit(self, position: Position) -> None:
        """Raise unless this is what comes next."""
        if self.ended:
            raise TakeEnded("the take has ended: nothing more is taken")
        expected = self.next if self._started else Position(position.msn, 0)
        if position != expected:
            raise OutOfOrder(f"part {expected.part} of segment {expected.msn} is expected first", expected)

    def _check(self, position: Position, data: bytes) -> None:
        """Raise MalformedMedia unless `data` is what the grid has at `position`."""
        box = read_part(data)
        frames = self._grid.part_frames(position)
        sequence = sequence_number(position, self._grid.parts)
        if (box.first_frame, box.frames, box.sequence) != (frames.start, len(frames), sequence):
            raise MalformedMedia(
                f"part {position.part} of segment {position.msn} has frames {frames.start} to "
                f"{frames.stop - 1} and sequence number {sequence}"
            )

    def _begin(self, msn: int) -> None:
        if not self._started:
            self._started = True
            self.next = Position(msn, 0)

    def _append(self, data: bytes) -> None:
        self._store.append(data)
        self.next = Position(self.next.msn, self.next.part + 1)
        if self.next.part == self._grid.parts:
            self._close()

    def _close(self) -> None:
        msn, parts = self.next
        self._store.close(msn)
        self._list(Segment(msn, parts))

    def _list(self, segment: Segment) -> None:
        """List a segment that has just become whole, and let go of what has moved out of the window."""
        self.next = Position(segment.msn + 1, 0)
        self.bandwidth.add(segment, self._size_of(segment))
        self._listed.append(segment)
        if len(self._listed) > self._window_segments:
            old = self._listed.popleft()
            self.bandwidth.remove(old, self._size_of(old))
            self._gaps.pop(old.msn, None)
        self._store.drop(segment.msn - self._window_segments - SERVED_AFTER)

    def _size_of(self, segment: Segment) -> int:
        return sum(map(len, self._store.whole(segment.msn) or ()))
