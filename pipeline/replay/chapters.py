"""Chapters on a take's clock, and `chapters.json` (Podcasting 2.0, JSON Chapters 1.2)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from pipeline.grid import SAMPLE_RATE


class Mark(NamedTuple):
    """A chapter begins at `sample`."""

    sample: int
    title: str


class Chapter(NamedTuple):
    """A chapter from sample `start` up to `stop`, where the next one or nothing begins."""

    start: int
    stop: int
    title: str


def chapters(marks: Sequence[Mark], samples: int) -> list[Chapter]:
    """The chapters of a take of `samples`. Raises ValueError unless `marks` are in order and within it."""
    starts = [mark.sample for mark in marks]
    edges = [*starts, samples]
    if starts and (starts[0] < 0 or any(stop <= start for start, stop in pairwise(edges))):
        raise ValueError(f"chapters at {starts}: not in order, or not within {samples} samples")
    return [
        Chapter(start, stop, mark.title) for mark, (start, stop) in zip(marks, pairwise(edges), strict=True)
    ]


def chapters_json(marks: Sequence[Mark], samples: int) -> dict[str, object]:
    """The document. Times are seconds to 10 µs, rounded down. Raises ValueError as `chapters`."""
    return {
        "version": "1.2.0",
        "chapters": [
            {"startTime": _seconds(each.start), "title": each.title, "endTime": _seconds(each.stop)}
            for each in chapters(marks, samples)
        ],
    }


def _seconds(sample: int) -> float:
    return sample * 100_000 // SAMPLE_RATE / 100_000
