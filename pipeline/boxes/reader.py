"""Reads what `init` and `fragment` write, and nothing else: whatever differs raises MalformedMedia."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from struct import Struct, unpack_from
from typing import Final, NamedTuple

from contracts.errors import MalformedMedia
from contracts.take import MAX_PARTS
from pipeline.boxes.box import HEADER_SIZE, Span, expect, find, unpack, walk
from pipeline.boxes.fragment import SYNC_SAMPLE, TFHD, TFHD_FLAGS, TRACK_ID, TRUN, TRUN_FLAGS
from pipeline.grid import FRAME, MAX_SEGMENT_FRAMES, SAMPLE_RATE

_FULL: Final = 4
"""Bytes of version and flags at the start of a FullBox's body."""
_U32: Final = Struct(">I")
_MFHD: Final = Struct(">II")
_TFDT: Final = Struct(">IQ")
_MDHD: Final = Struct(">5I")
_STSD: Final = Struct(">II")
_MP4A: Final = Struct(">16xH10x")
# Version 0, then ES_Descriptor, DecoderConfigDescriptor (14496-1, 7.2.6.5 and 7.2.6.6) up to avgBitrate.
_ESDS: Final = Struct(">I5xBBBB3xII")


@dataclass(frozen=True, slots=True)
class InitBox:
    """What a CMAF header says: channels and nominal bits a second."""

    channels: int
    bit_rate: int


@dataclass(frozen=True, slots=True)
class PartBox:
    """What a part says: its first frame, how many there are, and its `mfhd` sequence number."""

    first_frame: int
    frames: int
    sequence: int


class _Run(NamedTuple):
    part: PartBox
    sizes: tuple[int, ...]
    payload: int  # where the first access unit lies


def read_part(data: bytes) -> PartBox:
    """One part, checked to the last byte. Raises MalformedMedia."""
    return _read(data).part


def access_units(data: bytes) -> list[bytes]:
    """The access units of one part. Raises MalformedMedia."""
    run = _read(data)
    return [data[start:stop] for start, stop in pairwise(accumulate(run.sizes, initial=run.payload))]


def split_parts(segment: bytes) -> list[bytes]:
    """The parts whose concatenation is `segment`, each checked, each following the one before it.

    Raises MalformedMedia.
    """
    tops = list(islice(walk(segment, 0, len(segment)), 2 * MAX_PARTS + 1))
    if not 2 <= len(tops) <= 2 * MAX_PARTS or len(tops) % 2:
        raise MalformedMedia(f"a segment is moof+mdat, 1 to {MAX_PARTS} times")
    parts = [
        segment[moof.start - HEADER_SIZE : mdat.stop]
        for moof, mdat in zip(tops[::2], tops[1::2], strict=True)
    ]
    for before, after in pairwise(map(read_part, parts)):
        _check("tfdt: frame after the part before", after.first_frame, before.first_frame + before.frames)
    return parts


def read_init(data: bytes) -> InitBox:
    """A CMAF header of one AAC-LC track at 48 kHz without edit list. Raises MalformedMedia."""
    ftyp, moov = expect(data, 0, len(data), b"ftyp", b"moov")
    brands = data[ftyp.start : ftyp.stop]
    if b"cmfc" not in [brands[i : i + 4] for i in range(8, len(brands), 4)]:
        raise MalformedMedia("ftyp: brand cmfc is missing")
    find(data, moov.start, moov.stop, b"mvex")
    trak = find(data, moov.start, moov.stop, b"trak")
    if any(span.kind == b"edts" for span in walk(data, trak.start, trak.stop)):
        raise MalformedMedia("edts: media time is the sample index, so there is no edit list")
    mdia = find(data, trak.start, trak.stop, b"mdia")
    _check("mdhd: timescale", unpack(_MDHD, data, find(data, mdia.start, mdia.stop, b"mdhd"))[3], SAMPLE_RATE)
    minf = find(data, mdia.start, mdia.stop, b"minf")
    stbl = find(data, minf.start, minf.stop, b"stbl")
    return _read_mp4a(data, find(data, stbl.start, stbl.stop, b"stsd"))


def _read_mp4a(data: bytes, stsd: Span) -> InitBox:
    _check("stsd: entries", unpack(_STSD, data, stsd)[1], 1)
    mp4a = expect(data, stsd.start + _STSD.size, stsd.stop, b"mp4a")[0]
    (channels,) = unpack(_MP4A, data, mp4a)
    esds = find(data, mp4a.start + _MP4A.size, mp4a.stop, b"esds")
    _version, tag, _size, kind, stream, _max_rate, bit_rate = unpack(_ESDS, data, esds)
    if (tag, kind, stream) != (4, 0x40, 0x15):
        raise MalformedMedia("esds: not an MPEG-4 audio stream")
    if channels not in {1, 2}:
        raise MalformedMedia(f"mp4a: {channels} channels")
    return InitBox(channels, bit_rate)


def _read(data: bytes) -> _Run:
    moof, mdat = expect(data, 0, len(data), b"moof", b"mdat")
    mfhd, traf = expect(data, moof.start, moof.stop, b"mfhd", b"traf")
    tfhd, tfdt, trun = expect(data, traf.start, traf.stop, b"tfhd", b"tfdt", b"trun")
    _check("mfhd: size", mfhd.stop - mfhd.start, _MFHD.size)
    version, sequence = unpack(_MFHD, data, mfhd)
    _check("mfhd: version and flags", version, 0)
    _check_tfhd(data, tfhd)
    sizes = _read_trun(data, trun, data_offset=mdat.start)
    if sum(sizes) != mdat.stop - mdat.start:
        raise MalformedMedia(f"trun: {sum(sizes)} bytes of samples, mdat: {mdat.stop - mdat.start}")
    return _Run(PartBox(_read_tfdt(data, tfdt), len(sizes), sequence), sizes, mdat.start)


def _check_tfhd(data: bytes, tfhd: Span) -> None:
    _check("tfhd: size", tfhd.stop - tfhd.start, _FULL + TFHD.size)
    _check("tfhd: version and flags", unpack(_U32, data, tfhd)[0], TFHD_FLAGS)
    track, duration, flags = TFHD.unpack_from(data, tfhd.start + _FULL)
    _check("tfhd: track", track, TRACK_ID)
    _check("tfhd: default duration", duration, FRAME)
    _check("tfhd: default flags", flags, SYNC_SAMPLE)


def _read_tfdt(data: bytes, tfdt: Span) -> int:
    _check("tfdt: size", tfdt.stop - tfdt.start, _TFDT.size)
    version, time = unpack(_TFDT, data, tfdt)
    _check("tfdt: version and flags", version, 1 << 24)
    if time % FRAME:
        raise MalformedMedia(f"tfdt: sample {time} is not the start of a frame of {FRAME}")
    return time // FRAME


def _read_trun(data: bytes, trun: Span, data_offset: int) -> tuple[int, ...]:
    _check("trun: version and flags", unpack(_U32, data, trun)[0], TRUN_FLAGS)
    count, offset = unpack(TRUN, data, Span(trun.kind, trun.start + _FULL, trun.stop))
    if not 1 <= count <= MAX_SEGMENT_FRAMES:
        raise MalformedMedia(f"trun: {count} frames, of 1 to {MAX_SEGMENT_FRAMES}")
    _check("trun: size", trun.stop - trun.start, _FULL + TRUN.size + 4 * count)
    _check("trun: data offset", offset, data_offset)
    sizes = unpack_from(f">{count}I", data, trun.start + _FULL + TRUN.size)
    if 0 in sizes:
        raise MalformedMedia("trun: an access unit without bytes")
    return sizes


def _check(what: str, value: int, wanted: int) -> None:
    if value != wanted:
        raise MalformedMedia(f"{what}: {value}, wanted {wanted}")
