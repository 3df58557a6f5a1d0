"""The CMAF header: `ftyp` + `moov` of one audio track without samples (ISO/IEC 23000-19, 7.3.1).

No edit list: the encoder's delay is compensated by numbering (access unit k decodes to frame k), so media
time is the sample index of the take. No creation times: the bytes depend on settings and rendition only.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

from pipeline.boxes.audio_config import esds
from pipeline.boxes.box import box, full_box
from pipeline.boxes.fragment import SYNC_SAMPLE, TRACK_ID
from pipeline.grid import FRAME, SAMPLE_RATE

if TYPE_CHECKING:
    from contracts.take import Rendition, TakeSettings

# Brands: iso6 has tfdt and default-base-is-moof; cmfc is CMAF; caac its AAC core media profile (Annex A.3).
_FTYP: Final = box(b"ftyp", b"iso6", bytes(4), b"iso6", b"cmfc", b"caac", b"mp41")
_UNITY_MATRIX: Final = pack(">9I", 0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000)
_UNITY_RATE, _FULL_VOLUME = 0x1_0000, 0x100  # 16.16 and 8.8 fixed point
_UND: Final = 0x55C4  # language: undetermined, 3 × 5 bits
_ENABLED_IN_MOVIE_AND_PREVIEW: Final = 7
_SELF_CONTAINED: Final = 1


def init_segment(settings: TakeSettings, rendition: Rendition) -> bytes:
    """The bytes of `init.mp4` for one rendition of a take."""
    return _FTYP + box(b"moov", _mvhd(), _trak(settings.channels, rendition.bit_rate), _mvex())


def _mvhd() -> bytes:
    return full_box(
        b"mvhd",
        0,
        0,
        pack(">4I", 0, 0, SAMPLE_RATE, 0),  # created, modified, timescale, duration
        pack(">IH10x", _UNITY_RATE, _FULL_VOLUME),
        _UNITY_MATRIX,
        pack(">24xI", TRACK_ID + 1),  # next_track_ID
    )


def _trak(channels: int, bit_rate: int) -> bytes:
    return box(b"trak", _tkhd(), box(b"mdia", _mdhd(), _hdlr(), _minf(channels, bit_rate)))


def _tkhd() -> bytes:
    return full_box(
        b"tkhd",
        0,
        _ENABLED_IN_MOVIE_AND_PREVIEW,
        pack(">5I8x", 0, 0, TRACK_ID, 0, 0),  # created, modified, track, reserved, duration
        pack(">HHHxx", 0, 0, _FULL_VOLUME),  # layer, alternate_group
        _UNITY_MATRIX,
        bytes(8),  # width, height
    )


def _mdhd() -> bytes:
    # Timescale 48000 makes media time the sample index.
    return full_box(b"mdhd", 0, 0, pack(">4IHxx", 0, 0, SAMPLE_RATE, 0, _UND))


def _hdlr() -> bytes:
    return full_box(b"hdlr", 0, 0, bytes(4), b"soun", bytes(12), b"Longwave\0")


def _minf(channels: int, bit_rate: int) -> bytes:
    dref = full_box(b"dref", 0, 0, pack(">I", 1), full_box(b"url ", 0, _SELF_CONTAINED))
    return box(
        b"minf",
        full_box(b"smhd", 0, 0, bytes(4)),
        box(b"dinf", dref),
        _stbl(channels, bit_rate),
    )


def _stbl(channels: int, bit_rate: int) -> bytes:
    # The samples are in the fragments, so the sample tables are empty (23000-19, 7.5.10 and following).
    return box(
        b"stbl",
        full_box(b"stsd", 0, 0, pack(">I", 1), _mp4a(channels, bit_rate)),
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )


def _mp4a(channels: int, bit_rate: int) -> bytes:
    return box(
        b"mp4a",
        pack(">6xH8x", 1),  # data_reference_index
        pack(">HHxxxxI", channels, 16, SAMPLE_RATE << 16),  # samplesize, samplerate in 16.16
        esds(channels, bit_rate),
    )


def _mvex() -> bytes:
    return box(b"mvex", full_box(b"trex", 0, 0, pack(">5I", TRACK_ID, 1, FRAME, 0, SYNC_SAMPLE)))
