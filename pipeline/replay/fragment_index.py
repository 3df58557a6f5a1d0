"""Where everything lies in an archived fragment: parts as they were published, one after the other.

A fragment holds the parts of 15 segments, or any of them where something was lost. Its index is all that the
tables of a file need (4 bytes a frame and 48 a part, 1.5 MB an hour), so that nobody holds the media of a
whole take.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.errors import MalformedMedia
from contracts.position import Position
from pipeline.boxes import read_part, sequence_number
from pipeline.boxes.box import HEADER_SIZE
from pipeline.boxes.fragment import FIRST_FRAME_TIME, HEAD_SIZE, part_head
from pipeline.grid import FRAME, Grid

FRAGMENT_SEGMENTS: Final = 15
"""Segments of a fragment, as `storage.names` has it."""
_Row = tuple[int, int, int, int, int, int]
"""A part: MSN, part, first frame, frames, and the bytes from which and up to which it lies."""


@dataclass(frozen=True, slots=True)
class PartPlace:
    """A part in a fragment: bytes `start` to `stop`, `frames` frames from `first_frame` on.

    `sizes` are the bytes of its access units.
    """

    position: Position
    first_frame: int
    frames: int
    start: int
    stop: int
    sizes: NDArray[np.uint32]

    @property
    def payload(self) -> slice:
        """The bytes of its access units, one after the other."""
        return slice(self.start + HEAD_SIZE + 4 * self.frames + HEADER_SIZE, self.stop)


@dataclass(frozen=True, slots=True, eq=False)
class FragmentIndex:
    """The parts of the fragment that begins with segment `msn` (or would, if that is missing), in order.

    `table` has a row a part, shape (parts, 6): MSN, part, first frame, frames, first byte, byte after the
    last one. `sizes` are the bytes of all access units.
    """

    msn: int
    table: NDArray[np.int64]
    sizes: NDArray[np.uint32]

    @property
    def size(self) -> int:
        """Bytes of the fragment."""
        return int(self.table[-1, 5])

    @property
    def parts(self) -> tuple[PartPlace, ...]:
        """Its parts in the order of time, each once; at least one."""
        parts = []
        at = 0
        for msn, part, first_frame, frames, start, stop in self.table.tolist():
            sizes = self.sizes[at : at + frames]
            parts.append(PartPlace(Position(msn, part), first_frame, frames, start, stop, sizes))
            at += frames
        return tuple(parts)


def index_fragment(data: bytes, grid: Grid, first_msn: int) -> FragmentIndex:
    """The index of the fragment whose segments begin with `first_msn`, checked to the last byte.

    Every part must be on the grid and within the fragment's segments, with the header that it was published
    with, after all parts before it. Raises MalformedMedia.
    """
    rows: list[_Row] = []
    sizes: list[NDArray[np.uint32]] = []
    at = 0
    while at < len(data):
        row = _read_row(data, at, grid)
        rows.append(row)
        sizes.append(np.frombuffer(data, ">u4", row[3], at + HEAD_SIZE))
        at = row[5]
    _check_order(rows, first_msn)
    index = FragmentIndex(first_msn, np.array(rows, np.int64), np.concatenate(sizes, dtype=np.uint32))
    _check_sizes(index)
    return index


def _read_row(data: bytes, at: int, grid: Grid) -> _Row:
    """The part at byte `at`, without a look at the sizes of its access units.

    Whatever is right in it is known from its time alone, so its header is compared, not parsed.
    """
    time = int.from_bytes(data[at + FIRST_FRAME_TIME.start : at + FIRST_FRAME_TIME.stop], "big")
    position = grid.position_of_frame(time // FRAME)
    frames = grid.part_frames(position)
    sequence = sequence_number(position, grid.parts)
    mdat = at + HEAD_SIZE + 4 * len(frames)
    stop = mdat + int.from_bytes(data[mdat : mdat + 4], "big")
    if (
        data[at : at + HEAD_SIZE] != part_head(len(frames), frames.start, sequence)
        or data[mdat + 4 : mdat + HEADER_SIZE] != b"mdat"
        or not mdat + HEADER_SIZE < stop <= len(data)
    ):
        raise MalformedMedia(f"the part at byte {at}: {_complaint(data, at)}")
    return *position, frames.start, len(frames), at, stop


def _complaint(data: bytes, at: int) -> str:
    """What is wrong with a part that is not as it was published."""
    moof_stop = at + int.from_bytes(data[at : at + 4], "big")
    mdat_stop = moof_stop + int.from_bytes(data[moof_stop : moof_stop + 4], "big")
    try:
        read_part(data[at:mdat_stop])
    except MalformedMedia as error:
        return error.message
    return "not on the grid of its take"


def _check_order(rows: list[_Row], first_msn: int) -> None:
    if not rows:
        raise MalformedMedia("a fragment has at least one part")
    if not first_msn <= rows[0][0] <= rows[-1][0] < first_msn + FRAGMENT_SEGMENTS:
        raise MalformedMedia(
            f"segments {rows[0][0]} to {rows[-1][0]} in the fragment of the {FRAGMENT_SEGMENTS} "
            f"from {first_msn} on"
        )
    for before, after in pairwise(rows):
        if after[:2] <= before[:2]:
            raise MalformedMedia(f"part {after[0]}.{after[1]} after part {before[0]}.{before[1]}")


def _check_sizes(index: FragmentIndex) -> None:
    frames, starts, stops = index.table[:, 3], index.table[:, 4], index.table[:, 5]
    firsts = np.cumsum(frames) - frames
    sums = np.add.reduceat(index.sizes, firsts, dtype=np.int64)
    wrong = np.flatnonzero(sums != stops - starts - HEAD_SIZE - 4 * frames - HEADER_SIZE)
    if wrong.size:
        msn, part = index.table[wrong[0], :2]
        raise MalformedMedia(f"part {msn}.{part}: trun has not the size of mdat")
    if not index.sizes.all():
        raise MalformedMedia("trun: an access unit without bytes")
