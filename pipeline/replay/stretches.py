"""A take in the order of time: stretches of media that lie together in a fragment, and gaps between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline.grid import Grid, first_frame, msn_of_frame
from pipeline.replay.fragment_index import FragmentIndex


class Stretch(NamedTuple):
    """Frames of one segment: bytes `start` to `stop` of the fragment that begins with segment `fragment`.

    A gap has no fragment.
    """

    first_frame: int
    frames: int
    fragment: int | None
    start: int = 0
    stop: int = 0

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.stop - self.start

    @property
    def end(self) -> int:
        """The frame after its last one."""
        return self.first_frame + self.frames


def stretches(indexes: Iterable[FragmentIndex], grid: Grid, samples: int) -> Iterator[Stretch]:
    """Every frame of a take of `samples`, to the end of the part that holds its last sample.

    A whole segment is one stretch; of one that lacks parts, those that follow one another are. `indexes` are
    those of one rendition, in order.
    """
    end = grid.part_frames(grid.end_of(samples)).start
    at = 0
    for held in _held(indexes, end):
        yield from _gaps(at, held.first_frame)
        yield held
        at = held.end
    yield from _gaps(at, end)


def _held(indexes: Iterable[FragmentIndex], end: int) -> Iterator[Stretch]:
    for index in indexes:
        open_, open_msn = None, -1
        for msn, _, first, frames, start, stop in index.table.tolist():
            if first >= end:
                break
            if open_ is not None and msn == open_msn and first == open_.end:
                open_ = open_._replace(frames=open_.frames + frames, stop=stop)
                continue
            if open_ is not None:
                yield open_
            open_, open_msn = Stretch(first, frames, index.msn, start, stop), msn
        if open_ is not None:
            yield open_


def _gaps(start: int, stop: int) -> Iterator[Stretch]:
    """The frames from `start` up to `stop`, none of which is there, segment by segment."""
    while start < stop:
        end = min(stop, first_frame(msn_of_frame(start) + 1))
        yield Stretch(start, end - start, None)
        start = end
