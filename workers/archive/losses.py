"""What of a take will never be archived, and why: spans of samples, for its commit mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contracts.position import Position
    from pipeline.grid import Grid
    from storage.take_record import Span

Loss = tuple["Span", str]


class Losses:
    """The losses of one take that were found by this process."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._found: list[Loss] = []

    def add(self, reasons: Mapping[Position, str], samples: int | None) -> list[Loss]:
        """Parts that are lost of a take of so many samples; the spans they make, each of one reason."""
        spans: list[Loss] = []
        for position in sorted(reasons):
            why = reasons[position]
            start, stop = self._grid.start_sample(position), self._grid.stop_sample(position)
            if samples is not None:
                stop = min(stop, samples)
            if spans and spans[-1][0][1] == start and spans[-1][1] == why:
                start = spans.pop()[0][0]
            spans.append(((start, stop), why))
        self._found += spans
        return spans

    def all(self, noted: Iterable[Loss]) -> tuple[Loss, ...]:
        """With those that processes before `noted`, which come first."""
        return tuple(dict.fromkeys([*noted, *self._found]))
