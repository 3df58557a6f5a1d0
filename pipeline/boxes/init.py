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
from pipeline.boxes.movie import ENABLED, dinf, hdlr, mdhd, mp4a, mvhd, smhd, stsd, tkhd
from pipeline.grid import FRAME, SAMPLE_RATE

if TYPE_CHECKING:
    from contracts.take import Rendition, TakeSettings

# Brands: iso6 has tfdt and default-base-is-moof; cmfc is CMAF; caac its AAC core media profile (Annex A.3).
_FTYP: Final = box(b"ftyp", b"iso6", bytes(4), b"iso6", b"cmfc", b"caac", b"mp41")


def init_segment(settings: TakeSettings, rendition: Rendition) -> bytes:
    """The bytes of `init.mp4` for one rendition of a take."""
    trak = box(b"trak", tkhd(TRACK_ID, 0, ENABLED), _mdia(settings.channels, rendition.bit_rate))
    return _FTYP + box(b"moov", mvhd(0, TRACK_ID), trak, _mvex())


def _mdia(channels: int, bit_rate: int) -> bytes:
    # Timescale 48000 makes media time the sample index.
    minf = box(b"minf", smhd(), dinf(), _stbl(channels, bit_rate))
    return box(b"mdia", mdhd(SAMPLE_RATE, 0), hdlr(b"soun", "Longwave"), minf)


def _stbl(channels: int, bit_rate: int) -> bytes:
    # The samples are in the fragments, so the sample tables are empty (23000-19, 7.5.10 and following). At
    # most 1.25 × nominal, as the playlist's BANDWIDTH starts.
    return box(
        b"stbl",
        stsd(mp4a(channels, esds(channels, bit_rate, bit_rate * 5 // 4))),
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )


def _mvex() -> bytes:
    return box(b"mvex", full_box(b"trex", 0, 0, pack(">5I", TRACK_ID, 1, FRAME, 0, SYNC_SAMPLE)))
