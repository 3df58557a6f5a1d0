"""`replay.m4a`: one AAC track that any podcast player can seek, from indexes and then from fragments.

    ftyp  moov  mdat: titles of the chapters, a silent access unit, access units 0, 1, 2, …

Access unit k is an AAC frame that overlaps with the one before it, so there is one before the first, and the
edit list begins after its 1024 samples: sample 0 of the file is sample 0 of the take. Frames that are in no
fragment are silent ones. The bytes are a function of the arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import MalformedMedia
from pipeline.boxes.box import HEADER_SIZE, box
from pipeline.boxes.chapter_text import text_sample
from pipeline.grid import FRAME, first_frame
from pipeline.replay.chapters import Mark, chapters
from pipeline.replay.fragment_index import FRAGMENT_SEGMENTS, FragmentIndex
from pipeline.replay.movie import PRIMING, Movie, Tags, moov
from pipeline.replay.silence import silent_unit

_FTYP: Final = box(b"ftyp", b"M4A ", bytes(4), b"M4A ", b"mp42", b"isom", b"iso2")
_MAX_32: Final = 0xFFFF_FFFF
_SILENT_RUN: Final = 1 << 16
"""Silent access units that are written at once."""


class M4a:
    """The file of a take of `samples`, made of the fragments of one rendition, which have `indexes`.

    `marks` are its chapters. Raises ValueError where indexes or marks are not in order.
    """

    def __init__(
        self,
        channels: int,
        indexes: Sequence[FragmentIndex],
        samples: int,
        marks: Sequence[Mark],
        tags: Tags,
    ) -> None:
        for before, after in pairwise(index.msn for index in indexes):
            if after < before + FRAGMENT_SEGMENTS:
                raise ValueError(f"the fragment of segment {after} after that of {before}: not in order")
        self._frames = -(-samples // FRAME)
        self._indexes = [index for index in indexes if first_frame(index.msn) < self._frames]
        self._silent = silent_unit(channels)
        titles = [text_sample(mark.title) for mark in marks]
        units = _unit_sizes(self._indexes, self._frames, len(self._silent))
        self._head = _head(Movie(channels, samples, units, chapters(marks, samples), titles, tags))
        self._titles = titles
        self.size = len(self._head) + sum(map(len, titles)) + int(units.sum(dtype=np.int64))

    def chunks(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        """The file's bytes in order. `read` gives the fragment that begins with an MSN, each asked for once.

        Nothing but its length is checked of what it gives; raises MalformedMedia where that is another.
        """
        yield b"".join((self._head, *self._titles, PRIMING * self._silent))
        reached = 0
        for index in self._indexes:
            start = first_frame(index.msn)
            yield from self._silence(start - reached)
            data = read(index.msn)
            if len(data) != index.size:
                raise MalformedMedia(f"fragment {index.msn}: {len(data)} bytes, wanted {index.size}")
            media, reached = self._media(index, data, start)
            yield media
        yield from self._silence(self._frames - reached)

    def _media(self, index: FragmentIndex, data: bytes, start: int) -> tuple[bytes, int]:
        """The access units of a fragment, silence between them, and the frame after the last one."""
        view = memoryview(data)
        pieces: list[bytes | memoryview] = []
        for part in index.parts:
            frames = min(part.frames, self._frames - part.first_frame)
            if frames <= 0:
                break
            pieces.append((part.first_frame - start) * self._silent)
            payload = part.payload.start
            pieces.append(view[payload : payload + int(part.sizes[:frames].sum())])
            start = part.first_frame + frames
        return b"".join(pieces), start

    def _silence(self, frames: int) -> Iterator[bytes]:
        for at in range(0, frames, _SILENT_RUN):
            yield min(_SILENT_RUN, frames - at) * self._silent


def _unit_sizes(indexes: Sequence[FragmentIndex], frames: int, silent: int) -> NDArray[np.uint32]:
    """The bytes of every access unit of the file, priming first, `silent` where none was archived."""
    units = np.full(PRIMING + frames, silent, np.uint32)
    for index in indexes:
        counts = index.table[:, 3]
        # Of each access unit, its frame: those of a part follow one another.
        starts = index.table[:, 2] - (np.cumsum(counts) - counts)
        places = np.repeat(starts, counts) + np.arange(len(index.sizes))
        kept = places < frames
        units[PRIMING + places[kept]] = index.sizes[kept]
    return units


def _head(movie: Movie) -> bytes:
    """Everything before the media. How long it is does not depend on where that begins."""
    narrow = len(_FTYP) + len(moov(movie, 0, wide=False)) + HEADER_SIZE
    size = movie.media_size
    wide = narrow + size > _MAX_32
    # A box of more than 4 GiB has the size 1 and, after its kind, 64 bits (14496-12, 4.2).
    mdat = (
        (1).to_bytes(4, "big") + b"mdat" + (size + 2 * HEADER_SIZE).to_bytes(8, "big")
        if wide
        else (size + HEADER_SIZE).to_bytes(4, "big") + b"mdat"
    )
    before = len(_FTYP) + len(moov(movie, 0, wide=True)) + len(mdat) if wide else narrow
    return b"".join((_FTYP, moov(movie, before, wide=wide), mdat))
