"""The header of a replay's file, `moov`: where every access unit lies, what is heard of it, and titles.

Access unit k overlaps with the one before it, so there is one before that of frame 0 (priming), and the edit
list leaves its 1024 samples out. Files of FFmpeg look so, and Apple's but for how many there are: what every
player has met. An edit list at media time 0 does the same in ffmpeg, mpv and Chromium; but where an Apple
decoder overlooks an edit list it takes off 2112 samples on its own, and then ours would be gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes.audio_config import esds
from pipeline.boxes.box import box
from pipeline.boxes.chapter_text import chapter_reference, chpl, gmhd, text_entry
from pipeline.boxes.movie import ENABLED, REFERRED_TO, dinf, hdlr, mdhd, mp4a, mvhd, smhd, stsd, tkhd
from pipeline.boxes.tables import Edit, chunk_offsets, edts, roll, stsc, stsz, stts
from pipeline.boxes.tags import meta
from pipeline.grid import FRAME, SAMPLE_RATE
from pipeline.replay.chapters import Chapter
from pipeline.replay.rate import bits_a_second

PRIMING: Final = 1
"""Access units before that of frame 0."""
CHUNK_UNITS: Final = 47
"""Access units of a chunk, one second: what a player reads at once, and looks for when it seeks."""
_SOUND, _CHAPTERS = 1, 2
"""Tracks."""
_MAX_32: Final = 0xFFFF_FFFF
_COARSE: Final = 100
"""Samples of a tick of the chapters' track where 32 bits do not hold its samples: 25 hours and more."""
_PODCAST: Final = 21
"""iTunes' media kind."""


@dataclass(frozen=True, slots=True)
class Tags:
    """What players show: `artist` is who spoke, `album` the room, `date` an ISO day."""

    title: str
    artist: str
    album: str
    date: str
    comment: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """What a file holds: first the text samples of its chapters, `titles`, then its access units.

    `units` are the sizes of these, priming and all; of the frames they decode to, `samples` are heard.
    """

    channels: int
    samples: int
    units: NDArray[np.uint32]
    chapters: Sequence[Chapter]
    titles: Sequence[bytes]
    tags: Tags

    @property
    def media_size(self) -> int:
        """Bytes in `mdat`."""
        return int(self.units.sum(dtype=np.int64)) + sum(map(len, self.titles))


def moov(movie: Movie, media: int, *, wide: bool) -> bytes:
    """The header of a file whose media begins at byte `media`, with 64-bit offsets if `wide`."""
    tracks = [_sound(movie, media + sum(map(len, movie.titles)), wide=wide)]
    if movie.chapters:
        tracks.append(_chapter_track(movie, media, wide=wide))
    return box(b"moov", mvhd(movie.samples, len(tracks)), *tracks, _udta(movie))


def _sound(movie: Movie, media: int, *, wide: bool) -> bytes:
    count = len(movie.units)
    chunks = np.arange(0, count, CHUNK_UNITS)
    sizes = np.add.reduceat(movie.units, chunks, dtype=np.int64)
    stbl = box(
        b"stbl",
        stsd(mp4a(movie.channels, esds(movie.channels, *_bit_rates(movie.units)))),
        stts([(count, FRAME)]),
        stsc(count, CHUNK_UNITS),
        stsz(movie.units),
        chunk_offsets(media + np.cumsum(sizes) - sizes, wide=wide),
        roll(count),
    )
    return box(
        b"trak",
        tkhd(_SOUND, movie.samples, ENABLED),
        edts([Edit(movie.samples, PRIMING * FRAME)]),
        chapter_reference(_CHAPTERS) if movie.chapters else b"",
        box(
            b"mdia",
            mdhd(SAMPLE_RATE, count * FRAME),
            hdlr(b"soun", "Longwave"),
            box(b"minf", smhd(), dinf(), stbl),
        ),
    )


def _bit_rates(units: NDArray[np.uint32]) -> tuple[int, int]:
    """Bits a second: on average, and at most in any second (rounded up)."""
    # Sums that wrap around in 32 bits: their differences are right all the same, in half the memory.
    ends = np.cumsum(units, dtype=np.uint32)
    seconds = ends[CHUNK_UNITS:] - ends[:-CHUNK_UNITS]
    average = bits_a_second(int(units.sum(dtype=np.int64)), len(units))
    return average, max(average, bits_a_second(int(seconds.max(initial=0)), CHUNK_UNITS))


def _chapter_track(movie: Movie, media: int, *, wide: bool) -> bytes:
    first = movie.chapters[0].start
    scale = 1 if movie.samples <= _MAX_32 else _COARSE
    edges = [each.start // scale for each in movie.chapters]
    # What lies before the first chapter is not in the track: the edit list puts it there. FFmpeg takes what
    # the media lasts for the end of the last chapter, so that is as long as the take: the edit ends in time.
    edges.append(movie.samples // scale + edges[0])
    runs = [(1, stop - start) for start, stop in pairwise(edges)]
    edits = [Edit(first, None)] if first else []
    stbl = box(
        b"stbl",
        stsd(text_entry()),
        stts(runs),
        stsc(len(runs), len(runs)),
        stsz(np.array([len(title) for title in movie.titles], np.uint32)),
        chunk_offsets(np.array([media], np.int64), wide=wide),
    )
    return box(
        b"trak",
        tkhd(_CHAPTERS, movie.samples, REFERRED_TO, volume=0),
        edts([*edits, Edit(movie.samples - first, 0)]),
        box(
            b"mdia",
            mdhd(SAMPLE_RATE // scale, edges[-1] - edges[0]),
            hdlr(b"text", "Chapters"),
            box(b"minf", gmhd(), dinf(), stbl),
        ),
    )


def _udta(movie: Movie) -> bytes:
    tags = movie.tags
    texts = {
        b"\xa9nam": tags.title,
        b"\xa9ART": tags.artist,
        b"aART": tags.artist,
        b"\xa9alb": tags.album,
        b"\xa9day": tags.date,
        b"\xa9cmt": tags.comment,
        b"\xa9gen": "Podcast",
        b"\xa9too": "Longwave",
    }
    items: dict[bytes, str | int] = {code: text for code, text in texts.items() if text}
    chapters = chpl([(each.start, each.title) for each in movie.chapters]) if movie.chapters else b""
    return box(b"udta", meta(items | {b"pcst": 1, b"stik": _PODCAST}), chapters)
