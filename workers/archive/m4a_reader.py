"""Reads the tables of an m4a as a player does: where each sample of each track lies (ISO/IEC 14496-12, 8).

It shares no code with what writes them, so that a check by it means something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import MalformedMedia
from pipeline.boxes.box import HEADER_SIZE, Span, find, unpack, walk

Read = Callable[[int, int], bytes]
"""The bytes from one place up to another."""
_HEADER: Final = Struct(">I4s")
_U32: Final = Struct(">I")
_COUNT: Final = Struct(">II")
"""Version and flags, then how many entries follow."""
_MOST: Final = 1 << 30
"""Bytes of a header beyond which nothing is read: a take of a year has less."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One track: `kind` is `soun` or `text`, `duration` in ticks of its `timescale`.

    `edits` are (duration at the movie's timescale, first media time). `offsets` and `sizes` (int64) say where
    in the file each sample lies.
    """

    kind: bytes
    timescale: int
    duration: int
    edits: tuple[tuple[int, int], ...]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """A file's header: `duration` in ticks of `timescale`; `media` is where the media begins and ends."""

    timescale: int
    duration: int
    tracks: tuple[Track, ...]
    media: tuple[int, int]

    def track(self, kind: bytes) -> Track | None:
        """The only track of a kind; None where there is none. Raises MalformedMedia where there are more."""
        found = [track for track in self.tracks if track.kind == kind]
        if len(found) > 1:
            raise MalformedMedia(f"{len(found)} tracks of one kind")
        return found[0] if found else None


def read_movie(read: Read, size: int) -> Movie:
    """The header of a file of `size` bytes that is `ftyp`, `moov`, `mdat`. Raises MalformedMedia."""
    at = 0
    spans = []
    for kind in (b"ftyp", b"moov", b"mdat"):
        start, stop = _top(read, at, size, kind)
        spans.append((start, stop))
        at = stop
    if at != size:
        raise MalformedMedia(f"{size - at} bytes after mdat")
    start, stop = spans[1]
    if stop - start > _MOST:
        raise MalformedMedia(f"moov: {stop - start} bytes")
    data = read(start, stop)
    timescale, duration = _times(data, find(data, 0, len(data), b"mvhd"))
    tracks = tuple(_track(data, span) for span in walk(data, 0, len(data)) if span.kind == b"trak")
    return Movie(timescale, duration, tracks, spans[2])


def _top(read: Read, at: int, size: int, wanted: bytes) -> tuple[int, int]:
    """The body of a box at the top of a file, which may have a size of 64 bits (4.2)."""
    head = read(at, at + 2 * HEADER_SIZE)
    if len(head) < HEADER_SIZE:
        raise MalformedMedia(f"the file ends before {wanted.decode()}")
    length, kind = _HEADER.unpack_from(head)
    start = at + HEADER_SIZE
    if length == 1:
        length, start = int.from_bytes(head[HEADER_SIZE:], "big"), start + HEADER_SIZE
    if kind != wanted or not start <= at + length <= size:
        raise MalformedMedia(f"at byte {at} not {wanted.decode()}, or one that is cut off")
    return start, at + length


def _track(data: bytes, trak: Span) -> Track:
    mdia = find(data, trak.start, trak.stop, b"mdia")
    hdlr = find(data, mdia.start, mdia.stop, b"hdlr")
    timescale, duration = _times(data, find(data, mdia.start, mdia.stop, b"mdhd"))
    minf = find(data, mdia.start, mdia.stop, b"minf")
    stbl = find(data, minf.start, minf.stop, b"stbl")
    edts = find(data, trak.start, trak.stop, b"edts")
    sizes = _sizes(data, find(data, stbl.start, stbl.stop, b"stsz"))
    return Track(
        kind=data[hdlr.start + 8 : hdlr.start + 12],
        timescale=timescale,
        duration=duration,
        edits=_edits(data, find(data, edts.start, edts.stop, b"elst")),
        offsets=_offsets(data, stbl, sizes),
        sizes=sizes,
    )


def _times(data: bytes, span: Span) -> tuple[int, int]:
    """Timescale and duration of `mvhd` or `mdhd`, whose version 1 has longer times (8.2.2, 8.4.2)."""
    wide = data[span.start : span.start + 1] == b"\x01"
    fields = unpack(Struct(">IQQIQ" if wide else ">IIIII"), data, span)
    return fields[3], fields[4]


def _edits(data: bytes, elst: Span) -> tuple[tuple[int, int], ...]:
    version_flags, count = unpack(_COUNT, data, elst)
    entry = Struct(">QqI" if version_flags >> 24 else ">IiI")
    body = data[elst.start + _COUNT.size : elst.stop]
    if len(body) != count * entry.size:
        raise MalformedMedia(f"elst: {len(body)} bytes for {count} entries")
    return tuple((duration, media_time) for duration, media_time, _ in entry.iter_unpack(body))


def _sizes(data: bytes, stsz: Span) -> NDArray[np.int64]:
    same, count = unpack(_COUNT, data, Span(stsz.kind, stsz.start + _U32.size, stsz.stop))
    if same:
        return np.full(count, same, np.int64)
    return _table(data, stsz, _COUNT.size + _U32.size, ">u4", count)


def _offsets(data: bytes, stbl: Span, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each sample lies: chunks begin at an offset each, and hold samples as `stsc` says (8.7.4)."""
    kinds = {span.kind: span for span in walk(data, stbl.start, stbl.stop)}
    place = kinds.get(b"co64") or kinds.get(b"stco")
    if place is None:
        raise MalformedMedia("neither stco nor co64")
    chunks = _table(
        data, place, _COUNT.size, ">u8" if place.kind == b"co64" else ">u4", unpack(_COUNT, data, place)[1]
    )
    stsc = find(data, stbl.start, stbl.stop, b"stsc")
    runs = _table(data, stsc, _COUNT.size, ">u4", 3 * unpack(_COUNT, data, stsc)[1]).reshape(-1, 3)
    lengths = np.diff(np.append(runs[:, 0], len(chunks) + 1))
    if (lengths < 0).any() or (len(runs) and runs[0, 0] != 1):
        raise MalformedMedia("stsc: not in order")
    held = np.repeat(runs[:, 1], lengths)
    if len(held) != len(chunks) or int(held.sum()) != len(sizes):
        raise MalformedMedia(f"stsc: {int(held.sum())} samples in {len(chunks)} chunks, stsz: {len(sizes)}")
    ends = np.cumsum(sizes)
    starts = ends - sizes
    firsts = np.cumsum(held) - held
    return starts + np.repeat(chunks - starts[firsts], held) if len(sizes) else starts


def _table(data: bytes, span: Span, skipped: int, kind: str, count: int) -> NDArray[np.int64]:
    body = data[span.start + skipped : span.stop]
    if len(body) != count * np.dtype(kind).itemsize:
        raise MalformedMedia(f"{span.kind.decode('latin-1')}: {len(body)} bytes for {count} entries")
    return np.frombuffer(body, kind).astype(np.int64)
