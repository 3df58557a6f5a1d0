"""Chapters, in both of the ways that players look for them: Nero's `chpl`, and QuickTime's text track.

Apple's players (AVFoundation, Podcasts) know the track only (QuickTime File Format, "Chapter lists" and "Text
media"), many others `chpl` only, which no standard describes: version 1, four bytes of nothing, a byte that
counts, and for each chapter its start in units of 100 ns, a byte that counts, and the title.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack
from typing import Final

from pipeline.boxes.box import box, full_box
from pipeline.boxes.movie import UNITY_MATRIX
from pipeline.grid import SAMPLE_RATE

MAX_CHPL: Final = 255
"""Chapters that `chpl` holds, and bytes of their titles."""
_UNITS: Final = 10_000_000
_UTF_8: Final = 0x100
_COPY_GRAPHICS_WITHOUT_DITHER: Final = 0x40
_GREY: Final = 0x8000


def chpl(chapters: Sequence[tuple[int, str]]) -> bytes:
    """The first 255 chapters: (sample, title) each."""
    kept = chapters[:MAX_CHPL]
    return full_box(b"chpl", 1, 0, bytes(4), bytes((len(kept),)), *(_chpl_entry(*each) for each in kept))


def _chpl_entry(sample: int, title: str) -> bytes:
    name = shortened(title, MAX_CHPL)
    start = (2 * sample * _UNITS + SAMPLE_RATE) // (2 * SAMPLE_RATE)
    return pack(">QB", start, len(name)) + name


def shortened(text: str, size: int) -> bytes:
    """UTF-8 of at most `size` bytes, cut between characters."""
    return text.encode()[:size].decode(errors="ignore").encode()


def text_sample(title: str) -> bytes:
    """A sample of the text track: the title, and that it is UTF-8."""
    name = shortened(title, 0xFFFF)
    return len(name).to_bytes(2, "big") + name + box(b"encd", pack(">I", _UTF_8))


def text_entry() -> bytes:
    """The sample entry of the text track. Nobody draws it, so all that it says of looks is nothing."""
    looks = pack(
        ">Ii6x8x8xHHxHHHHB",
        0,  # display flags
        0,  # justification
        0,  # font
        0,  # font's face
        0,  # reserved
        0,  # red, green, blue
        0,
        0,
        0,  # no name of a font
    )
    return box(b"text", pack(">6xH", 1), looks)


def gmhd() -> bytes:
    """The header of media that is neither sound nor picture (QuickTime's base media information)."""
    gmin = full_box(b"gmin", 0, 0, pack(">HHHHhxx", _COPY_GRAPHICS_WITHOUT_DITHER, _GREY, _GREY, _GREY, 0))
    return box(b"gmhd", gmin, box(b"text", UNITY_MATRIX))


def chapter_reference(track: int) -> bytes:
    """In the track that is heard: its chapters are in `track`."""
    return box(b"tref", box(b"chap", pack(">I", track)))
