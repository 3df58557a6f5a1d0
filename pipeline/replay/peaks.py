"""The waveform of a take: lowest and highest sample of every tenth of a second, measured while it is live.

A pixel is either measured whole or absent, so that two that measure the same stretch never differ. What
nobody measured (a server that was down) is found by `Peaks.absent` and measured from what was archived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SAMPLE_RATE
from pipeline.pcm import Pcm

PIXEL: Final = 4_800
"""Samples of a pixel."""
RECORD: Final = 3
"""Bytes of a pixel's record: whether it was measured (1 or 0), lowest and highest as signed bytes."""
MOST_PIXELS: Final = 36_000
"""Pixels that a page is given at most: an hour of them, some 250 kB of text before it is compressed."""
_SHIFT: Final = 8
"""From 16 bits to 8: the upper byte, as audiowaveform has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """Measured pixels in a row: `values` (n, 2) int8, lowest and highest, of pixel `first` and on."""

    first: int
    values: NDArray[np.int8]

    def pack(self) -> bytes:
        """Their records, which lie at byte `RECORD * first` of a file of records."""
        records = np.ones((len(self.values), RECORD), np.int8)
        records[:, 1:] = self.values
        return records.tobytes()


class PeakMeter:
    """Measures a take as its PCM comes by: stretches of any length, in the order of time."""

    def __init__(self) -> None:
        self._next = 0
        self._open: NDArray[np.int8] | None = None

    def push(self, start: int, pcm: Pcm) -> Pixels:
        """Take samples of shape (n, channels) from sample `start` on; the pixels that are now complete.

        After a jump the next pixel is the first that lies in the new stretch whole.
        """
        if start != self._next:
            self._open = None
        self._next = start + len(pcm)
        if self._open is None:
            skipped = min(-start % PIXEL, len(pcm))
            start, pcm = start + skipped, pcm[skipped:]
        first = start // PIXEL
        if not len(pcm):
            return Pixels(first, np.empty((0, 2), np.int8))
        values = _measured(start, pcm)
        if self._open is not None:
            values[0] = min(values[0, 0], self._open[0]), max(values[0, 1], self._open[1])
        whole = self._next // PIXEL - first
        self._open = values[whole] if whole < len(values) else None
        return Pixels(first, values[:whole])

    def finish(self) -> Pixels:
        """The take ends here: its last pixel, if that is not complete."""
        first = self._next // PIXEL
        values = np.empty((0, 2), np.int8) if self._open is None else self._open.reshape(1, 2)
        self._open = None
        return Pixels(first, values)


def measure(start: int, chunks: Iterable[Pcm]) -> Iterator[Pixels]:
    """The pixels of PCM that comes in `chunks` of shape (n, channels) from sample `start` on, to its end.

    A pixel that begins before `start` is left out. The last one is given as if the take ended there.
    """
    meter = PeakMeter()
    for chunk in chunks:
        yield meter.push(start, chunk)
        start += len(chunk)
    yield meter.finish()


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """The pixels of a take from its first sample on, as records: shape (n, 3), int8 (see `RECORD`)."""

    records: NDArray[np.int8]

    @classmethod
    def unpack(cls, data: bytes) -> Peaks:
        """From a file of records; one that is cut off is not there. Holes in the file are absent pixels."""
        whole = len(data) // RECORD * RECORD
        return cls(np.frombuffer(data, np.int8, whole).reshape(-1, RECORD))

    def pack(self) -> bytes:
        """As a file of records."""
        return self.records.tobytes()

    def filled(self, measured: Iterable[Pixels]) -> Peaks:
        """With what was measured later: what is there already stays as it is."""
        records = self.records
        reached = len(records)
        for pixels in measured:
            stop = pixels.first + len(pixels.values)
            reached = max(reached, stop)
            if stop > len(records):
                longer = np.zeros((max(stop, 2 * len(records)), RECORD), np.int8)
                longer[: len(records)] = records
                records = longer
            elif records is self.records:
                records = records.copy()
            place = records[pixels.first : stop]
            new = place[:, 0] == 0
            place[new, 0] = 1
            place[new, 1:] = pixels.values[new]
        return Peaks(records[:reached])

    def absent(self, samples: int) -> list[range]:
        """The pixels of a take of `samples` that nobody measured, in order."""
        there = np.zeros(_pixels(samples) + 2, bool)
        held = self.records[: len(there) - 2, 0] != 0
        there[0] = there[-1] = True
        there[1 : 1 + len(held)] = held
        edges = np.flatnonzero(np.diff(there))
        return [range(start, stop) for start, stop in edges.reshape(-1, 2).tolist()]


NO_PEAKS: Final = Peaks(np.empty((0, RECORD), np.int8))
"""Nothing was measured."""


def peaks_json(peaks: Peaks, samples: int) -> dict[str, object]:
    """A take's `peaks.json`: audiowaveform's JSON format, version 2, at 8 bits, one channel for all.

    A pixel is 0.1 s, doubled until there are at most 36,000. An absent one is silence.
    """
    values = np.zeros((_pixels(samples), 2), np.int8)
    records = peaks.records[: len(values)]
    values[: len(records)] = np.where(records[:, :1], records[:, 1:], 0)
    pixel = PIXEL
    while len(values) > MOST_PIXELS:
        if len(values) % 2:
            values = np.concatenate((values, values[-1:]))
        values = np.stack(
            (values[:, 0].reshape(-1, 2).min(axis=1), values[:, 1].reshape(-1, 2).max(axis=1)), 1
        )
        pixel *= 2
    return {
        "version": 2,
        "channels": 1,
        "sample_rate": SAMPLE_RATE,
        "samples_per_pixel": pixel,
        "bits": 8,
        "length": len(values),
        "data": values.ravel().tolist(),
    }


def _measured(start: int, pcm: Pcm) -> NDArray[np.int8]:
    """Lowest and highest of each pixel that `pcm` has a sample of, (n, 2): the outer ones may be cut."""
    channels = pcm.shape[1]
    stop = start + len(pcm)
    cuts = [0, *(channels * (cut - start) for cut in range((start // PIXEL + 1) * PIXEL, stop, PIXEL))]
    flat = pcm.reshape(-1)
    both = np.stack((np.minimum.reduceat(flat, cuts), np.maximum.reduceat(flat, cuts)), axis=1)
    return (both >> _SHIFT).astype(np.int8)


def _pixels(samples: int) -> int:
    return -(-samples // PIXEL)
