"""A take's events, and which of them are date ranges in its playlists now."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from typing import Final

from contracts.errors import BytesConflict, MalformedMedia, OverLimit
from contracts.take import PUBLISHED_KINDS, EventKind, TakeEvent
from pipeline.grid import SAMPLE_RATE, utc_us
from pipeline.playlist.model import CAN_SKIP_UNTIL
from pipeline.window.answers import Put

_RECENTLY: Final = CAN_SKIP_UNTIL * SAMPLE_RATE
MAX_EVENTS: Final = 2_000
"""Events held at once: one a second through a 15-minute window and as many chapters, and some."""


class EventTimeline:
    """Chapters and speakers, each class in the order of time.

    The same ranges are listed in every rendition (rfc8216bis 6.2.4), so the timeline is the take's, not a
    rendition's: an event is listed once *any* rendition has a part that ends after it, and leaves when its
    range has ended before the first segment of *every* rendition (6.2.1: not while a date of it maps to a
    listed segment).

    How long ago a range came or left, which delta updates tell (6.2.5.1), is counted in the take's own time:
    a part came with it, and lasts. So origins that were given the same say the same.
    """

    def __init__(self, epoch_us: int) -> None:
        self._epoch_us = epoch_us
        self._all: dict[tuple[int, int], TakeEvent] = {}
        self._pending: list[tuple[int, int]] = []
        self._listed: dict[EventKind, list[TakeEvent]] = {kind: [] for kind in sorted(PUBLISHED_KINDS)}
        self._left: dict[EventKind, int] = {}
        self.listed: tuple[TakeEvent, ...] = ()
        """The date ranges now, in the order of time. Another object whenever they change."""
        self._came: deque[tuple[int, TakeEvent]] = deque()
        self._went: deque[tuple[int, TakeEvent]] = deque()

    def put(self, event: TakeEvent) -> Put:
        """Take an event; `advance` lists it when it is time.

        Raises BytesConflict, OverLimit, or MalformedMedia for one that is no date range.
        """
        if event.kind not in self._listed:
            raise MalformedMedia(f"{event.kind}: origins are told of {' and '.join(self._listed)}")
        name = (event.sample, event.n)
        known = self._all.get(name)
        if known is not None:
            if known != event:
                raise BytesConflict(f"event {event.id} is another one: keep what is there")
            return Put.SAME
        if not self._fits(event):
            return Put.IGNORED
        if len(self._all) >= MAX_EVENTS:
            raise OverLimit(f"a take holds at most {MAX_EVENTS} events: send fewer")
        self._all[name] = event
        insort(self._pending, name)
        return Put.NEW

    @property
    def added(self) -> tuple[TakeEvent, ...]:
        """Those of `listed` that came within the last `CAN_SKIP_UNTIL` seconds, in the order of time."""
        came = (event for _, event in self._came if self.holds(event))
        return tuple(sorted(came, key=_in_time))

    @property
    def removed(self) -> tuple[TakeEvent, ...]:
        """The date ranges that left within the last `CAN_SKIP_UNTIL` seconds."""
        return tuple(event for _, event in self._went)

    @property
    def held(self) -> tuple[TakeEvent, ...]:
        """Every event that was taken and has not left, in the order of time."""
        return tuple(sorted(self._all.values(), key=_in_time))

    def holds(self, event: TakeEvent) -> bool:
        """Whether an event of this name was taken, and has not left."""
        return (event.sample, event.n) in self._all

    def advance(self, first_sample: int, stop_sample: int) -> bool:
        """The window reaches from `first_sample` to `stop_sample`. Whether other ranges are listed now."""
        changed = False
        while self._pending and self._pending[0][0] < stop_sample:
            changed |= self._list(self._all[self._pending.pop(0)], stop_sample)
        for events in self._listed.values():
            # A range ends where the next of its class begins.
            while len(events) > 1 and events[1].sample <= first_sample:
                old = events.pop(0)
                del self._all[old.sample, old.n]
                self._left[old.kind] = old.sample
                self._went.append((stop_sample, old))
                changed = True
        if changed:
            every = (event for events in self._listed.values() for event in events)
            self.listed = tuple(sorted(every, key=_in_time))
        for times in (self._came, self._went):
            while times and stop_sample - times[0][0] > _RECENTLY:
                times.popleft()
        return changed

    def _list(self, event: TakeEvent, stop_sample: int) -> bool:
        if not self._fits(event):
            del self._all[event.sample, event.n]
            return False
        insort(self._listed[event.kind], event, key=lambda listed: listed.sample)
        self._came.append((stop_sample, event))
        return True

    def _fits(self, event: TakeEvent) -> bool:
        """Whether the ranges of its class stay in order with it.

        6.2.1: once a range has its following one, none may begin between them; and two that begin in the same
        millisecond, which is what a playlist tells apart, would overlap (4.4.5.1).
        """
        if event.sample <= self._left.get(event.kind, -1):
            return False  # its range would end before the window
        events = self._listed[event.kind]
        index = bisect_left(events, event.sample, key=lambda listed: listed.sample)
        neighbours = events[max(0, index - 1) : index + 1]
        if any(self._date(event) == self._date(neighbour) for neighbour in neighbours):
            return False
        return index in {0, len(events)}

    def _date(self, event: TakeEvent) -> int:
        return utc_us(self._epoch_us, event.sample) // 1000


def _in_time(event: TakeEvent) -> tuple[int, int]:
    return event.sample, event.n
