"""Takes for tests: headers, and parts that lie on the grid, with any bytes inside that a test likes."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.position import Position
from contracts.take import Rendition, TakeHeader, TakeSettings
from pipeline.boxes import init_segment, sequence_number, write_part
from pipeline.grid import Grid
from pipeline.take_window import TakeWindow

EPOCH_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""


def header(*renditions: str, parts: int = 5, epoch_us: int = EPOCH_US) -> TakeHeader:
    names = renditions or ("64k",)
    settings = TakeSettings(parts=parts, renditions=tuple(Rendition(name) for name in names))
    return TakeHeader(epoch_us=epoch_us, settings=settings, encoder="0" * 64)


def window(*renditions: str, parts: int = 5, segments: int = 450) -> TakeWindow:
    """A take's window whose inits are there."""
    take = TakeWindow(header(*renditions, parts=parts), segments)
    for rendition in take.header.settings.renditions:
        take.put_init(rendition.name, init_segment(take.header.settings, rendition))
    return take


def part(grid: Grid, msn: int, index: int, unit: bytes = b"\x01" * 8) -> bytes:
    """The part at (msn, index), all of whose access units are `unit`."""
    position = Position(msn, index)
    frames = grid.part_frames(position)
    return write_part([unit] * len(frames), frames.start, sequence_number(position, grid.parts))


def segment(grid: Grid, msn: int, unit: bytes = b"\x01" * 8, parts: int | None = None) -> bytes:
    """A whole segment, or its first `parts` parts."""
    return b"".join(part(grid, msn, index, unit) for index in range(grid.parts if parts is None else parts))


def positions(grid: Grid, start: Position, stop: Position) -> Iterator[Position]:
    """The positions from `start` up to `stop`, which is left out."""
    while start < stop:
        yield start
        start = grid.after(start)


def play(take: TakeWindow, start: tuple[int, int], stop: tuple[int, int]) -> None:
    """Put the parts from `start` up to `stop`, every rendition of one before the next."""
    for position in positions(take.grid, Position(*start), Position(*stop)):
        for rendition in take.renditions:
            take.put_part(rendition, *position, part(take.grid, *position))
