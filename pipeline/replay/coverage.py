"""What of a take is in its fragments, and what is not. Accurate to the part: nothing smaller is ever lost."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.grid import FRAME
from pipeline.replay.fragment_index import FragmentIndex


def missing(indexes: Iterable[FragmentIndex], samples: int) -> list[tuple[int, int]]:
    """The samples of a take of `samples` that no part holds: spans from a sample up to another, in order.

    `indexes` are those of one rendition, in any order; what they hold twice is there once.
    """
    held = sorted(
        (FRAME * first_frame, FRAME * (first_frame + frames))
        for index in indexes
        for first_frame, frames in index.table[:, 2:4].tolist()
    )
    spans = []
    reached = 0
    for start, stop in [*held, (samples, samples)]:
        if reached < min(start, samples):
            spans.append((reached, min(start, samples)))
        reached = stop
    return spans
