"""A strict reader of MP4 files that knows nothing of our writer: every size and every offset is checked.

It reads what ISO/IEC 14496-12 says of files that are not fragmented, as far as sound with chapters needs it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

CONTAINERS = set(b"moov trak edts mdia minf dinf stbl udta tref ilst gmhd".split())


@dataclass(frozen=True)
class Box:
    kind: bytes
    start: int
    body: int
    stop: int
    children: tuple[Box, ...]

    def find(self, *path: bytes) -> Box:
        """The only box at a path below."""
        if not path:
            return self
        (found,) = self.all(path[0])
        return found.find(*path[1:])

    def all(self, kind: bytes) -> list[Box]:
        return [child for child in self.children if child.kind == kind]


@dataclass(frozen=True)
class Track:
    """A track's tables, resolved. `samples` are (offset, size, decoding time, duration)."""

    number: int
    enabled: bool
    handler: bytes
    timescale: int
    duration: int
    movie_duration: int
    edits: tuple[tuple[int, int], ...]
    samples: tuple[tuple[int, int, int, int], ...]
    chunks: int
    chapters: int | None


class Mp4:
    """A whole file. Everything must fit to the byte."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.top = tuple(self._boxes(0, len(data), inside=b""))
        assert [box.kind for box in self.top] == [b"ftyp", b"moov", b"mdat"], self.top
        self.moov, self.mdat = self.top[1], self.top[2]
        self.tracks = [self._track(trak) for trak in self.moov.all(b"trak")]
        self._check_offsets()

    def body(self, box: Box) -> bytes:
        return self.data[box.body : box.stop]

    def sample_bytes(self, track: int) -> list[bytes]:
        return [self.data[at : at + size] for at, size, _, _ in self.tracks[track].samples]

    def _boxes(self, start: int, stop: int, *, inside: bytes) -> Iterator[Box]:
        while start < stop:
            assert stop - start >= 8, f"{stop - start} bytes left over in {inside!r}"
            size, kind = struct.unpack_from(">I4s", self.data, start)
            body = start + 8
            if size == 1:
                (size,) = struct.unpack_from(">Q", self.data, body)
                body += 8
            assert body <= start + size <= stop, (
                f"{kind!r} at {start} of {size} bytes ends outside {inside!r}"
            )
            children = self._children(kind, body, start + size, inside)
            yield Box(kind, start, body, start + size, children)
            start += size
        assert start == stop

    def _children(self, kind: bytes, body: int, stop: int, inside: bytes) -> tuple[Box, ...]:
        # What comes before the boxes inside: version and flags, a count of entries, a sample entry's fields.
        skipped = {b"meta": 4, b"dref": 8, b"stsd": 8, b"mp4a": 28}.get(kind, 0)
        if skipped or kind in CONTAINERS or inside == b"ilst":
            return tuple(self._boxes(body + skipped, stop, inside=kind))
        return ()

    def _full(self, box: Box) -> tuple[int, int, bytes]:
        """Version, flags and the rest of a FullBox."""
        body = self.body(box)
        return body[0], int.from_bytes(body[1:4], "big"), body[4:]

    def _track(self, trak: Box) -> Track:
        version, flags, tkhd = self._full(trak.find(b"tkhd"))
        number, movie_duration = struct.unpack_from(">16xI4xQ" if version else ">8xI4xI", tkhd)
        version, _, mdhd = self._full(trak.find(b"mdia", b"mdhd"))
        timescale, duration = struct.unpack_from(">16xIQ" if version else ">8xII", mdhd)
        stbl = trak.find(b"mdia", b"minf", b"stbl")
        samples, chunks = self._samples(stbl)
        assert sum(sample[3] for sample in samples) == duration
        references = trak.all(b"tref")
        chapters = None
        if references:
            (chapters,) = struct.unpack(">I", self.body(references[0].find(b"chap")))
        return Track(
            number,
            bool(flags & 1),
            self._full(trak.find(b"mdia", b"hdlr"))[2][4:8],
            timescale,
            duration,
            movie_duration,
            self._edits(trak.find(b"edts", b"elst")),
            samples,
            chunks,
            chapters,
        )

    def _edits(self, elst: Box) -> tuple[tuple[int, int], ...]:
        version, _, body = self._full(elst)
        layout = struct.Struct(">QqHH" if version else ">IiHH")
        assert len(body) == 4 + layout.size * int.from_bytes(body[:4], "big")
        edits = [*layout.iter_unpack(body[4:])]
        assert all(edit[2:] == (1, 0) for edit in edits)
        return tuple(edit[:2] for edit in edits)

    def _samples(self, stbl: Box) -> tuple[tuple[tuple[int, int, int, int], ...], int]:
        sizes = self._sizes(stbl.find(b"stsz"))
        durations = [ticks for count, ticks in self._table(stbl.find(b"stts"), ">II") for _ in range(count)]
        assert len(durations) == len(sizes)
        samples: list[tuple[int, int, int, int]] = []
        time = 0
        chunks = self._chunks(stbl)
        assert sum(count for _, count in chunks) == len(sizes)
        for at, count in chunks:
            place = at
            for _ in range(count):
                index = len(samples)
                samples.append((place, sizes[index], time, durations[index]))
                place += sizes[index]
                time += durations[index]
        return tuple(samples), len(chunks)

    def _chunks(self, stbl: Box) -> list[tuple[int, int]]:
        """Where each chunk begins, and how many samples it holds."""
        wide = bool(stbl.all(b"co64"))
        table = self._table(stbl.find(b"co64" if wide else b"stco"), ">Q" if wide else ">I")
        runs = self._table(stbl.find(b"stsc"), ">III")
        assert all(entry == 1 for _, _, entry in runs)
        firsts = [first for first, _, _ in runs] + [len(table) + 1]
        assert firsts == sorted(set(firsts)), firsts
        assert firsts[0] == 1
        counts = [
            count
            for (_, count, _), (first, after) in zip(runs, pairwise(firsts), strict=True)
            for _ in range(first, after)
        ]
        return [(at, count) for (at,), count in zip(table, counts, strict=True)]

    def _sizes(self, stsz: Box) -> list[int]:
        _, _, body = self._full(stsz)
        same, count = struct.unpack_from(">II", body)
        assert same == 0
        assert len(body) == 8 + 4 * count
        return [*struct.unpack(f">{count}I", body[8:])]

    def _table(self, box: Box, layout: str) -> list[tuple[int, ...]]:
        _, _, body = self._full(box)
        count = int.from_bytes(body[:4], "big")
        assert len(body) == 4 + count * struct.calcsize(layout), box
        return [*struct.iter_unpack(layout, body[4:])]

    def _check_offsets(self) -> None:
        """The samples of all tracks are `mdat`, each byte of it in one."""
        places = sorted((at, at + size) for track in self.tracks for at, size, _, _ in track.samples)
        at = self.mdat.body
        for start, stop in places:
            assert start == at, f"byte {at} of mdat belongs to no sample, or to two"
            at = stop
        assert at == self.mdat.stop
