"""What was encoded of one take, by reference, and what an origin at some place of it needs next.

The transcoder appends, every feed reads at its own pace: a slow origin is a cursor that stays behind, and
costs nothing. The log holds one window length; what an origin lacks from before it is lost for good and
becomes a gap. The archive takes from it what its disk did not take in time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from contracts.position import Position
from pipeline.grid import Grid
from workers.news import News

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from contracts.take import EventKind, TakeEvent, TakeHeader, TakeKey
    from pipeline.segmenter import EncodedPart

# The origin's window of 15 minutes, in segments of 2 s.
WINDOW_SEGMENTS = 450
# Instants of samples nobody has released yet: with no origin in reach they are of no interest.
_HEARD_HELD = 32


@dataclass(frozen=True, slots=True)
class PutPart:
    """Put the part at `position`; the cursor is `then` afterwards."""

    rendition: str
    position: Position
    then: Position
    data: bytes

    @property
    def msn(self) -> int:
        """The segment it belongs to."""
        return self.position.msn

    @property
    def what(self) -> str:
        """Its name, as in the URL."""
        return f"{self.rendition}/{self.position.msn}.{self.position.part}.m4s"


@dataclass(frozen=True, slots=True)
class PutSegment:
    """Put the whole segment `msn`: quicker than its parts, where an origin is behind."""

    rendition: str
    msn: int
    then: Position
    data: bytes

    @property
    def what(self) -> str:
        """Its name, as in the URL."""
        return f"{self.rendition}/{self.msn}.m4s"


@dataclass(frozen=True, slots=True)
class PutGap:
    """Say that segment `msn` will not come, or not to its end."""

    rendition: str
    msn: int
    then: Position

    @property
    def what(self) -> str:
        """Its name, as in the URL."""
        return f"{self.rendition}/{self.msn}.gap"


Step = PutPart | PutSegment | PutGap


@dataclass(slots=True)
class _Segment:
    """The parts of a segment by rendition, as far as they are encoded; `lost` says why no more will come."""

    parts: dict[str, list[bytes]]
    lost: str | None = None


@dataclass(slots=True)
class TakeLog:
    """One take from segment `first` on. `next` is the first position that is not in it yet.

    `end` is the take's length in samples once it is known; `inits` holds the CMAF header of every rendition.
    """

    key: TakeKey
    header: TakeHeader
    first: int
    inits: Mapping[str, bytes]
    window: int = WINDOW_SEGMENTS
    next: Position = field(init=False)
    end: int | None = field(init=False, default=None)
    _events: list[tuple[int, TakeEvent]] = field(init=False, default_factory=list)
    _event_count: int = field(init=False, default=0)
    _grid: Grid = field(init=False)
    _segments: dict[int, _Segment] = field(init=False, default_factory=dict)
    _heard: deque[tuple[Position, float]] = field(init=False)
    _news: News = field(init=False, default_factory=News)

    def __post_init__(self) -> None:
        self.next = Position(self.first, 0)
        self._grid = Grid(self.header.settings.parts)
        self._heard = deque(maxlen=_HEARD_HELD)

    # ------------------------------------------------------------ the transcoder's side

    def append(self, parts: Iterable[EncodedPart]) -> None:
        """Add parts in order, those of one position together. What is there already stays as it is."""
        changed = False
        for part in parts:
            position = Position(part.msn, part.part)
            if position < self.next:
                continue
            if position > self.next:
                raise ValueError(f"{position} cannot follow {self.next}")
            held = self._segment(part.msn).parts[part.rendition]
            if len(held) == part.part:
                held.append(part.data)
                changed = True
            self._advance()
        if changed:
            self._news.announce()

    def lose_until(self, msn: int, why: str = "given up") -> int:
        """Give up every segment below `msn` that is not whole; the number of them.

        However many that are, no more of them are dealt with than a window holds.
        """
        count = max(0, msn - self.next.msn)
        for lost in range(max(self.next.msn, msn - self.window), msn):
            self._segment(lost).lost = why
        if count:
            self.next = Position(msn, 0)
            self._news.announce()
        return count

    def add_events(self, events: Iterable[TakeEvent]) -> None:
        """Add what happened; each goes to every origin before the parts that are appended after it."""
        before = self._event_count
        for event in events:
            self._event_count += 1
            self._events.append((self._event_count, event))
        if self._event_count > before:
            self._news.announce()

    def finish(self, samples: int) -> None:
        """Say how long the take is: everything before this is in the log, or given up."""
        self.end = samples
        self._news.announce()

    def heard(self, position: Position, instant: float) -> None:
        """Note when the last sample of `position` was on the bus, to measure how long its release takes."""
        self._heard.append((position, instant))

    # ------------------------------------------------------------ the feeds' side

    def step(self, rendition: str, cursor: Position | None) -> Step | None:
        """What an origin that waits for `cursor` needs next, if anything; one without media: any segment."""
        if cursor is None:
            cursor = self._beginning()
        if self.holds_nothing:
            # The take ended while nobody encoded it: see `closing`. Before a crash an open segment may have
            # been whole, and served with more parts under the URL that it would have now.
            return PutGap(rendition, cursor.msn, Position(cursor.msn + 1, 0)) if cursor.part else None
        if cursor.msn < self.first:
            return PutGap(rendition, cursor.msn, Position(cursor.msn + 1, 0))
        segment = self._segments.get(cursor.msn)
        if segment is None:
            return None
        following = Position(cursor.msn + 1, 0)
        held = segment.parts[rendition]
        whole = len(held) == self._grid.parts
        # At the live edge the last part goes as a part, also where it is the only one.
        if whole and cursor.part == 0 and self.next > following:
            return PutSegment(rendition, cursor.msn, following, b"".join(held))
        if cursor.part < len(held):
            return PutPart(rendition, cursor, self._grid.after(cursor), held[cursor.part])
        return None if segment.lost is None else PutGap(rendition, cursor.msn, following)

    @property
    def holds_nothing(self) -> bool:
        """The take ended, and nothing of it was encoded or given up: no origin needs to be told of it."""
        return self.end is not None and not self._segments

    def events_after(self, cursor: int) -> list[tuple[int, TakeEvent]]:
        """What happened after the first `cursor` events, each with the cursor that follows it."""
        if cursor >= self._event_count:
            return []
        return [numbered for numbered in self._events if numbered[0] > cursor]

    def closing(self, cursors: Iterable[Position | None]) -> int | None:
        """How many samples the take ends with at an origin that needs no more steps; `None` while it goes on.

        A log that never held media belongs to a take that ended while nobody encoded it. Its origins end it
        after their own last segment, so that nothing that was listed as one is taken back.
        """
        if self.end is None:
            return None
        reached = [cursor for cursor in cursors if cursor is not None]
        if not reached:
            return 0
        if self._segments:
            return self.end
        last = min(reached)
        return self.end if self._grid.end_of(self.end) == last else self._grid.start_sample(last)

    def released(self, position: Position) -> float | None:
        """When the last sample of `position` was on the bus; said once, to whoever delivers it first."""
        while self._heard and self._heard[0][0] < position:
            self._heard.popleft()
        if self._heard and self._heard[0][0] == position:
            return self._heard.popleft()[1]
        return None

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._news.version

    async def changed(self, seen: int) -> int:
        """Return the version as soon as it is not `seen`."""
        return await self._news.changed(seen)

    # ------------------------------------------------------------ the archive's side

    def parts_of(self, rendition: str, msn: int) -> tuple[bytes, ...]:
        """The parts of a segment that are here, from the first one on."""
        segment = self._segments.get(msn)
        return () if segment is None else tuple(segment.parts[rendition])

    def why_lost(self, msn: int) -> str | None:
        """Why a segment was given up, if it was, and still is in the log."""
        segment = self._segments.get(msn)
        return None if segment is None else segment.lost

    # ------------------------------------------------------------ inside

    def _beginning(self) -> Position:
        """The first position there is media for: a window does not begin with a gap."""
        for msn, segment in self._segments.items():
            if any(segment.parts.values()):
                return Position(msn, 0)
        return self.next

    def _segment(self, msn: int) -> _Segment:
        segment = self._segments.get(msn)
        if segment is None:
            names = (rendition.name for rendition in self.header.settings.renditions)
            segment = self._segments[msn] = _Segment({name: [] for name in names})
            self._evict(msn - self.window + 1)
        return segment

    def _evict(self, first: int) -> None:
        if first <= self.first:
            return
        self.first = first
        for msn in [msn for msn in self._segments if msn < first]:
            del self._segments[msn]
        self._forget_events(self._grid.start_sample(Position(first, 0)))

    def _forget_events(self, sample: int) -> None:
        """Drop what ended before `sample`: each event lasts until the next of its kind."""
        following: dict[EventKind, int] = {}
        kept = []
        for number, event in reversed(self._events):
            if following.get(event.kind, sample + 1) > sample:
                kept.append((number, event))
            following[event.kind] = event.sample
        self._events = kept[::-1]

    def _advance(self) -> None:
        segment = self._segments[self.next.msn]
        while all(len(held) > self.next.part for held in segment.parts.values()):
            self.next = self._grid.after(self.next)
            if self.next.part == 0:
                return
