"""Blocking: which playlist answers `_HLS_msn` and `_HLS_part` (rfc8216bis 6.2.5.2); media asked for early."""

from __future__ import annotations

from typing import Protocol

from contracts.position import Position
from pipeline.grid import SAMPLE_RATE, Grid
from pipeline.window.answers import Answer, Invalid, Ready, Wait

_ADVANCE_SECONDS = 3


class _Window(Protocol):
    """What has to be known of a window to answer."""

    @property
    def next(self) -> Position: ...
    @property
    def first(self) -> int | None: ...
    @property
    def ended(self) -> bool: ...
    @property
    def answerable(self) -> bool: ...
    def is_gap(self, msn: int) -> bool: ...


def locate(window: _Window, grid: Grid, msn: int | None, part: int | None) -> Answer:
    """Ready, Wait or Invalid. Directives are checked even where an ended take then ignores them."""
    reason = _nonsense(msn, part)
    if reason is not None:
        return Invalid(reason)
    if window.ended:
        return Ready()
    wanted = None if msn is None else _wanted(window, grid, msn, part)
    if wanted is not None and window.first is not None and wanted >= window.next:
        reason = _too_far(window.next, grid, msn or 0, part)
        if reason is not None:
            return Invalid(reason)
    return _answer(window, grid, wanted)


def coming(window: _Window, grid: Grid, msn: int, part: int | None) -> Position | None:
    """The position with which this part (None: the whole segment) is there, or never will be.

    None where nobody has to wait for that: it is settled, or too far ahead.
    """
    # 6.2.6 has a server keep a part back, "such as" one that it hints, until it can send all of it; for which
    # others a request is held it leaves open. "Not found" would stop being true within moments, while caches
    # repeat it for up to two seconds to all who ask in time. So whatever a playlist may be waited for may be
    # waited for itself; what lies beyond that takes longer to come than an error is kept.
    wanted = Position(msn, grid.parts - 1 if part is None else part)
    if window.ended or wanted.part >= grid.parts or wanted < window.next:
        return None
    # Before its first media nobody knows where a window begins.
    ahead = window.first is not None and _too_far(window.next, grid, msn, part) is not None
    return None if ahead else wanted


def _nonsense(msn: int | None, part: int | None) -> str | None:
    if msn is None:
        return None if part is None else "_HLS_part needs _HLS_msn beside it"
    if msn < 0 or (part is not None and part < 0):
        return "_HLS_msn and _HLS_part count from 0"
    return None


def _wanted(window: _Window, grid: Grid, msn: int, part: int | None) -> Position:
    """The part that the playlist has to hold (or that a gap has taken the place of)."""
    if part is None:
        return Position(msn, grid.parts - 1)  # with it, the whole segment is there
    # "If the Client requests a Part Index greater than that of the final Partial Segment of the Parent
    # Segment, the Server MUST treat the request as one for Part Index 0 of the following". The grid tells how
    # many parts a segment has before it is finished, so this needs no waiting.
    wanted = Position(msn, part) if part < grid.parts else Position(msn + 1, 0)
    if wanted != (msn, part):
        # A gap has no part at all, so part 0 of it means part 0 of the next one too. hls.js needs this: after
        # a gap it asks for the part that follows the last one it knows, and would be told at once what it
        # knows already.
        while window.is_gap(wanted.msn):
            wanted = Position(wanted.msn + 1, 0)
    return wanted


def _too_far(upcoming: Position, grid: Grid, msn: int, part: int | None) -> str | None:
    # "The last Media Segment in the current Playlist" is the last whole one: an open segment has parts but no
    # URI of its own yet. So a listener may ask for the open segment and the one after it.
    last = upcoming.msn - 1
    if msn > last + 2:
        return f"_HLS_msn is more than 2 beyond the last segment, {last}"
    if part is None:
        return None
    # The advance part limit is "three divided by the Part Target Duration if the Part Target Duration is less
    # than one second, or three otherwise", counted from the last part: the one before `upcoming`.
    ahead = (msn - upcoming.msn) * grid.parts + part - upcoming.part + 1
    unit = min(grid.part_target, SAMPLE_RATE)
    if ahead * unit > _ADVANCE_SECONDS * SAMPLE_RATE:
        return f"_HLS_part is more than {_ADVANCE_SECONDS} s beyond the last part"
    return None


def _answer(window: _Window, grid: Grid, wanted: Position | None) -> Answer:
    if window.answerable:
        return Ready() if wanted is None or wanted < window.next else Wait(wanted)
    # No playlist can be shown before a first whole segment.
    whole = Position(window.next.msn, grid.parts - 1)
    return Wait(whole if wanted is None else max(whole, wanted))
