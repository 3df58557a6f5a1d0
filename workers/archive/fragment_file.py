"""A fragment in the spool: parts one after another as they came, each of which says where it belongs.

What is cut off at the end, because the process or the machine died while it was written, is no part.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from contracts.errors import MalformedMedia
from contracts.position import Position
from pipeline.boxes import read_part
from storage.names import FRAGMENT_SEGMENTS, fragment_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.grid import Grid

_BOX: Final = Struct(">I4s")


class Place(NamedTuple):
    """Bytes [start, stop) of a file."""

    start: int
    stop: int


class Scan(NamedTuple):
    """Where the parts of a file lie, and how much of it is whole."""

    places: dict[Position, Place]
    size: int


def scan(data: bytes, grid: Grid, first_msn: int) -> Scan:
    """The parts in the file of the fragment that begins with `first_msn`; of one that is twice, the first."""
    places: dict[Position, Place] = {}
    at = 0
    while (stop := _end_of_part(data, at)) is not None:
        position = position_of(data[at:stop], grid)
        if position is None or fragment_of(position.msn) != first_msn:
            break
        places.setdefault(position, Place(at, stop))
        at = stop
    return Scan(places, at)


def position_of(part: bytes, grid: Grid) -> Position | None:
    """Where a part belongs; None for bytes that are no part of this grid."""
    try:
        box = read_part(part)
    except MalformedMedia:
        return None
    position = grid.position_of_frame(box.first_frame)
    frames = grid.part_frames(position)
    return position if (frames.start, len(frames)) == (box.first_frame, box.frames) else None


def joined(parts: Mapping[Position, bytes]) -> bytes:
    """The object of a fragment: its parts in the order of time."""
    return b"".join(parts[position] for position in sorted(parts))


def positions(grid: Grid, first_msn: int, stop: Position | None) -> set[Position]:
    """All that the fragment holds of a take that ends before `stop`, or goes on."""
    every = {
        Position(msn, part)
        for msn in range(first_msn, first_msn + FRAGMENT_SEGMENTS)
        for part in range(grid.parts)
    }
    return every if stop is None else {position for position in every if position < stop}


def _end_of_part(data: bytes, at: int) -> int | None:
    """Where the `moof` and `mdat` at `at` end; None where they are not whole."""
    for kind in (b"moof", b"mdat"):
        if at + _BOX.size > len(data):
            return None
        size, found = _BOX.unpack_from(data, at)
        if found != kind or size < _BOX.size or at + size > len(data):
            return None
        at += size
    return at
