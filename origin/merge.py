"""One window out of two of the same take: this origin's own, and what a sister serves.

What is here stays: no URL gets other bytes. A part that is missing here comes from the sister, and a segment
that one of the two has whole is no gap. What lies before a hole that neither can close is let go, since
nothing is ever put before what is listed.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contracts.errors import LongwaveError
from origin.contents import end_anyway
from pipeline.take_window import TakeWindow

if TYPE_CHECKING:
    from contracts.take_state import RenditionState, TakeState
    from pipeline.grid import Grid
    from pipeline.window import RenditionWindow


@dataclass(frozen=True, slots=True)
class Merged:
    """The window, and the segments (rendition, MSN) of which the sister has other bytes."""

    window: TakeWindow
    conflicts: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Segment:
    """What both have of a segment, ours first; no parts and no gap: a hole."""

    msn: int
    parts: tuple[bytes, ...]
    gap: bool
    conflict: bool


def wanted_from(ours: TakeState | None, theirs: TakeState, window_segments: int) -> int | None:
    """The first segment to ask a sister for that says `theirs`; None where she has nothing that is new here.

    The whole window (0) where something is missing before or within what is here, else what follows it.
    """
    if ours is None:
        return 0
    starts: list[int] = []
    for name, there in theirs.renditions.items():
        here = ours.renditions.get(name)
        if here is not None and there.first is not None:
            starts += _missing(here, there, window_segments)
    if theirs.end is not None and ours.end is None:
        starts.append(min((here.next.msn for here in ours.renditions.values()), default=0))
    return min(starts, default=None)


def _missing(here: RenditionState, there: RenditionState, window_segments: int) -> list[int]:
    first = there.first or 0
    if here.first is None or first > here.next.msn:
        return [0]
    floor = max(here.next.msn, there.next.msn) - window_segments
    gaps = set(here.gaps).difference(there.gaps)
    if max(first, floor) < here.first or any(max(first, floor) <= msn < there.next.msn for msn in gaps):
        return [0]
    return [here.next.msn] if there.next > here.next else []


def merge(ours: TakeWindow, theirs: TakeWindow, window_segments: int) -> Merged:
    """Both in one, `ours` first. Their headers are equal."""
    merged = Merged(TakeWindow(ours.header, window_segments))
    window = merged.window
    for name in window.renditions:
        data = ours.init_bytes(name) or theirs.init_bytes(name)
        if data is not None:
            window.put_init(name, data)
    for event in (*ours.events, *theirs.events):
        # One that is another one there, or one too many: sound does not wait for what is told of it.
        with suppress(LongwaveError):
            window.put_event(event)
    for name in window.renditions:
        for segment in _both(ours.renditions[name], theirs.renditions[name], window.grid):
            if segment.conflict:
                merged.conflicts.append((name, segment.msn))
            for part, data in enumerate(segment.parts):
                window.put_part(name, segment.msn, part, data)
            if segment.gap:
                window.put_gap(name, segment.msn)
    samples = ours.end_samples if ours.end_samples is not None else theirs.end_samples
    if samples is not None:
        end_anyway(window, samples)
    return merged


def _both(ours: RenditionWindow, theirs: RenditionWindow, grid: Grid) -> list[_Segment]:
    """Every segment after the last hole, oldest first."""
    segments: list[_Segment] = []
    # What a sister has beyond an end that is told here is not this take's.
    stop = ours.next if ours.ended else max(ours.next, theirs.next)
    last = stop.msn if stop.part else stop.msn - 1
    for msn in range(last, -1, -1):
        segment = _segment(ours, theirs, msn, open_msn=last, parts_in_segment=grid.parts)
        if not segment.parts and not segment.gap:
            break
        segments.append(segment)
    segments.reverse()
    return segments


def _segment(
    ours: RenditionWindow, theirs: RenditionWindow, msn: int, *, open_msn: int, parts_in_segment: int
) -> _Segment:
    mine, yours = ours.parts_held(msn), theirs.parts_held(msn)
    settled = ours.segment_parts(msn) is not None
    parts = mine if settled else mine + yours[len(mine) :]
    gap = False
    if len(parts) < parts_in_segment:
        # One that is short, or stayed open, before another began is broken off.
        broken = bool(parts) and msn < open_msn
        whole = settled or theirs.segment_parts(msn) is not None
        gap = broken or (not whole and (ours.is_gap(msn) or theirs.is_gap(msn)))
    conflict = any(own != other for own, other in zip(mine, yours, strict=False))
    return _Segment(msn, parts, gap, conflict)
