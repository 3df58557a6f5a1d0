"""The headers of a movie and its tracks (ISO/IEC 14496-12, 8.2 to 8.4 and 8.7), for live and for files.

No creation times: bytes depend on what is in the file only. Durations take 64 bits only where 32 are too few.
"""

from __future__ import annotations

from struct import pack
from typing import Final

from pipeline.boxes.box import box, full_box
from pipeline.grid import SAMPLE_RATE

UNITY_MATRIX: Final = pack(">9I", 0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000)
ENABLED: Final = 7
"""`tkhd` flags: enabled, in the movie and in its preview."""
REFERRED_TO: Final = 2
"""`tkhd` flags of a track that is not played but that another refers to: in the movie, not enabled."""
_UNITY_RATE, _FULL_VOLUME = 0x1_0000, 0x100  # 16.16 and 8.8 fixed point
_UND: Final = 0x55C4  # language: undetermined, 3 × 5 bits
_SELF_CONTAINED: Final = 1
_MAX_32: Final = 0xFFFF_FFFF


def mvhd(duration: int, tracks: int) -> bytes:
    """A movie of `duration` samples at 48 kHz."""
    wide = duration > _MAX_32
    return full_box(
        b"mvhd",
        wide,
        0,
        # Created, modified, timescale, duration.
        pack(">QQIQ" if wide else ">4I", 0, 0, SAMPLE_RATE, duration),
        pack(">IH10x", _UNITY_RATE, _FULL_VOLUME),
        UNITY_MATRIX,
        pack(">24xI", tracks + 1),  # next_track_ID
    )


def tkhd(track: int, duration: int, flags: int, *, volume: int = _FULL_VOLUME) -> bytes:
    """A track of `duration` samples at 48 kHz."""
    wide = duration > _MAX_32
    return full_box(
        b"tkhd",
        wide,
        flags,
        # Created, modified, track, reserved, duration, reserved.
        pack(">QQIIQ8x" if wide else ">5I8x", 0, 0, track, 0, duration),
        pack(">HHHxx", 0, 0, volume),  # layer, alternate_group
        UNITY_MATRIX,
        bytes(8),  # width, height
    )


def mdhd(timescale: int, duration: int) -> bytes:
    """Media of `duration` ticks, of which there are `timescale` in a second."""
    wide = duration > _MAX_32
    return full_box(b"mdhd", wide, 0, pack(">QQIQHxx" if wide else ">4IHxx", 0, 0, timescale, duration, _UND))


def hdlr(kind: bytes, name: str) -> bytes:
    """What kind of media a track is."""
    return full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), name.encode(), b"\0")


def dinf() -> bytes:
    """The media is in this file."""
    url = full_box(b"url ", 0, _SELF_CONTAINED)
    return box(b"dinf", full_box(b"dref", 0, 0, pack(">I", 1), url))


def stsd(entry: bytes) -> bytes:
    """The one sample entry of a track."""
    return full_box(b"stsd", 0, 0, pack(">I", 1), entry)


def mp4a(channels: int, esds: bytes) -> bytes:
    """The sample entry of AAC at 48 kHz (14496-14, 5.6)."""
    return box(
        b"mp4a",
        pack(">6xH8x", 1),  # data_reference_index
        pack(">HHxxxxI", channels, 16, SAMPLE_RATE << 16),  # samplesize, samplerate in 16.16
        esds,
    )


def smhd() -> bytes:
    """Sound, in the middle."""
    return full_box(b"smhd", 0, 0, bytes(4))
