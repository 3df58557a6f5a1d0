"""The waveform of a take as this process measures it, and what of it is in the spool already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.grid import SEGMENT
from pipeline.replay.peaks import PIXEL, RECORD, PeakMeter, Peaks
from workers.archive.spool import PeakRecords

if TYPE_CHECKING:
    from pipeline.pcm import Pcm
    from pipeline.replay.peaks import Pixels

_AT_ONCE: Final = SEGMENT // PIXEL
"""Pixels."""


class PeakRecord:
    """Records from the first pixel on that was measured here. One thread at a time."""

    def __init__(self) -> None:
        self._meter = PeakMeter()
        self._first: int | None = None
        self._records = bytearray()
        self._saved = 0

    def push(self, start: int, pcm: Pcm) -> None:
        """Measure samples of shape (n, channels) from sample `start` on; those before 0 are none."""
        if start < 0:
            start, pcm = 0, pcm[-start:]
        if len(pcm):
            self._add(self._meter.push(start, pcm))

    def finish(self) -> None:
        """The take ends after what was pushed last."""
        self._add(self._meter.finish())

    def unsaved(self) -> PeakRecords | None:
        """What is not known to be in the spool, once that is a segment's: the rest can be measured again."""
        if self._first is None or len(self._records) - self._saved < RECORD * _AT_ONCE:
            return None
        return PeakRecords(RECORD * self._first + self._saved, bytes(self._records[self._saved :]))

    def saved(self, records: PeakRecords) -> None:
        """These are in the spool."""
        self._saved = max(self._saved, records.offset + len(records.data) - RECORD * (self._first or 0))

    def peaks(self, stored: bytes) -> Peaks:
        """All that was measured, here and by the processes before, whose file is `stored`."""
        offset = RECORD * (self._first or 0)
        whole = bytearray(stored.ljust(offset + len(self._records), b"\0"))
        whole[offset : offset + len(self._records)] = self._records
        return Peaks.unpack(bytes(whole))

    def _add(self, pixels: Pixels) -> None:
        if not len(pixels.values):
            return
        if self._first is None:
            self._first = pixels.first
        # A segment that is encoded again is measured again; absent pixels between are zeros.
        start = RECORD * (pixels.first - self._first)
        if start < 0:
            return
        records = pixels.pack()
        self._records.extend(bytes(max(0, start - len(self._records))))
        self._records[start : start + len(records)] = records
        self._saved = min(self._saved, start)
