"""A file's PCM, cut into pieces that can be encoded apart: a segment depends on its own samples only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from contracts.errors import UsageError
from pipeline.aac import fed_frames
from pipeline.grid import FRAME, msn_of_sample
from pipeline.pcm import silence
from pipeline.segmenter import Segmenter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from contracts.take import TakeSettings
    from pipeline.pcm import Pcm

PIECE_SEGMENTS: Final = 8
"""Segments a piece: 16 s. Fewer waste the neighbours' pre-roll, more keep cores waiting at the end."""


@dataclass(frozen=True, slots=True)
class Piece:
    """PCM (n, channels) of segments `msns`, pre-roll and look-ahead included; `last` if sound ends in it."""

    msns: range
    pcm: Pcm
    last: bool


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """A segment of one rendition: the concatenation of its `parts` parts (the last has fewer)."""

    rendition: str
    msn: int
    parts: int
    data: bytes


def cut(chunks: Iterable[Pcm], channels: int, segments: range | None) -> Iterator[Piece]:
    """Pieces of a file whose PCM comes in `chunks` of shape (n, channels), from sample 0 on.

    `segments` wants only these MSNs; no more is read than they take. Never more than a piece and a chunk
    is held. Raises UsageError when the file has not all of `segments`.
    """
    msns = _piece(segments.start if segments else 0, segments)
    held = _Held(channels, msns.start)
    total = 0
    for chunk in chunks:
        held.append(chunk, total)
        total += len(chunk)
        while msns and held.stop >= fed_frames(msns[-1]).stop * FRAME:
            yield Piece(msns, held.read(fed_frames(msns[-1]).stop * FRAME), last=False)
            msns = _piece(msns.stop, segments)
            held.drop(fed_frames(msns.start).start * FRAME)
        if not msns:
            return
    count = msn_of_sample(total - 1) + 1 if total else 0
    if segments and segments.stop > count:
        raise UsageError(
            f"segments {segments.start}:{segments.stop}: the input ends with segment {count - 1}"
        )
    if msns.start < count:
        stop = segments.stop if segments else count
        yield Piece(range(msns.start, stop), held.read(held.stop), last=True)


def encode(piece: Piece, settings: TakeSettings) -> list[EncodedSegment]:
    """The piece's segments in every rendition. Safe in a thread: nothing is shared."""
    segmenter = Segmenter(settings, piece.msns.start)
    parts = segmenter.push(piece.pcm)
    if piece.last:
        parts += segmenter.finish()

    segments: dict[tuple[str, int], list[bytes]] = {}
    for part in parts:
        if part.msn in piece.msns:  # sound may end in the look-ahead of the last one wanted
            segments.setdefault((part.rendition, part.msn), []).append(part.data)
    return [EncodedSegment(*name, len(data), b"".join(data)) for name, data in segments.items()]


class _Held:
    """The samples up to `stop` that are still wanted: what segment `msn` is fed, and on."""

    def __init__(self, channels: int, msn: int) -> None:
        self._start = fed_frames(msn).start * FRAME
        # Before sample 0 there are zeros.
        self._chunks = [silence(max(0, -self._start), channels)]
        self.stop = max(0, self._start)

    def append(self, chunk: Pcm, at: int) -> None:
        """Take a chunk that begins at sample `at`, without what lies before `start`."""
        self._chunks.append(chunk[max(0, self._start - at) :])
        self.stop = max(self.stop, at + len(chunk))

    def read(self, stop: int) -> Pcm:
        """The samples from `start` up to `stop`."""
        self._chunks = [np.concatenate(self._chunks)]
        return self._chunks[0][: stop - self._start]

    def drop(self, start: int) -> None:
        """Forget what lies before `start`."""
        # A copy: the rest of the array would live as long as a view of it.
        self._chunks = [np.concatenate(self._chunks)[start - self._start :].copy()]
        self._start = start


def _piece(msn: int, segments: range | None) -> range:
    stop = msn + PIECE_SEGMENTS
    return range(msn, min(stop, segments.stop) if segments else stop)
