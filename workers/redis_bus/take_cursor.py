"""How far one Redis has got with one take, and what it gets next. Pure: no sockets, no clock.

The answers of Redis are the truth: whatever went wrong, and whatever a Redis has lost, the next answer says
where its stream ends, and the cursor goes on from there, in order, with what the owner still holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from contracts.take import TakeEvent
from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, SAMPLE_RATE, Grid
from storage.event_log import event_json
from workers.memory_bus import MemoryTakeBus
from workers.redis_bus.entries import Ended, Entry, Gap, Happened, Silence, Sound
from workers.runs import Run

# What scripts answer: see append.lua.
DONE: Final = b"done"
ELSEWHERE: Final = b"elsewhere"
NEWER: Final = b"generation"
UNKNOWN: Final = b"unknown"

HELD: Final = 60 * SAMPLE_RATE
"""How much of a take is kept by its owner, and by Redis: 60 s."""
# What happens is told at the start of a block of the mixer.
_BLOCK: Final = 240
_LOOKAHEAD: Final = LOOKAHEAD_FRAMES * FRAME
# Nothing waits longer for its way to Redis, even where no part can leave with it.
_WAIT_AT_MOST: Final = SAMPLE_RATE // 10
# A take that is behind gets so much at once: others have their turn in between.
_SOUND_AT_ONCE: Final = SAMPLE_RATE
# A reader gets whole entries, over a line that may be a narrow one.
_LONGEST_ENTRY: Final = SAMPLE_RATE // 4
_EVENTS_AT_ONCE: Final = 512


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that follow one another from sample `start` and event number `events` on."""

    start: int
    events: int
    entries: tuple[Entry, ...]
    stop: int

    @property
    def size(self) -> int:
        """Bytes of sound."""
        return sum(len(entry.pcm) for entry in self.entries if isinstance(entry, Sound))

    @property
    def forget_below(self) -> int:
        """Redis may drop the samples below."""
        return max(0, self.stop - HELD)


class Answer(NamedTuple):
    """What Redis has of the take after a script ran; -1 as `top` is a stream without samples."""

    outcome: bytes
    top: int
    events: int
    generation: int
    closed: int = 0
    delivered: int = 0


class TakeCursor:
    """The place of one Redis in the take of `bus`."""

    def __init__(self, bus: MemoryTakeBus) -> None:
        self.bus = bus
        self.delivered = False
        """Workers have said that origins have it to its end."""
        self.newer = -1
        """The highest generation that refused us."""
        self._grid = Grid(bus.header.settings.parts)
        self._sample: int | None = None
        self._reached = self._due_at = bus.first
        self._empty = True
        self._closed = False
        # How many events Redis lists, and of the owner's those that it gets next: some that were told before
        # this owner had the take, perhaps, because another Redis had them; then all from number `_told` on.
        self._listed: int | None = None
        self._missing: deque[TakeEvent] = deque()
        self._told = 0

    @property
    def known(self) -> bool:
        """Redis has said what it has, and nothing went wrong since."""
        return self._sample is not None

    @property
    def complete(self) -> bool:
        """The take is over, and Redis has all of it."""
        return self.known and self._closed

    @property
    def lag(self) -> int:
        """Samples that Redis has not got."""
        return max(0, self.bus.top - self._reached)

    @property
    def behind(self) -> bool:
        """Redis has not got all of the take, or it is not known whether it has."""
        return not self.known or (not self._closed and (self.bus.ended is not None or self.lag > 0))

    @property
    def due_at(self) -> int:
        """The sample with which it is time to write: a part can leave, or enough has come together."""
        return self.bus.top if self._sample is None else self._due_at

    @property
    def due(self) -> bool:
        """It is time to write."""
        if self._closed:
            return False
        return self.bus.ended is not None or self.bus.top >= self.due_at

    def lost_touch(self) -> None:
        """Something went wrong: what Redis has is not known until it is asked."""
        self._sample = None

    @property
    def asks_for_events(self) -> bool:
        """It is to be found out which events Redis lists: how many would not tell which."""
        return self._listed is None and self.bus.event_count > 0

    def asserted(self, answer: Answer, listed: Collection[bytes] | None = None) -> None:
        """What Redis says it has; `listed` are its events as they were put, where that was asked."""
        if answer.outcome != DONE:
            self._refused(answer)
            return
        self.delivered = bool(answer.delivered)
        self._closed = bool(answer.closed)
        self._goes_on_at(answer, listed)

    def appended(self, batch: Batch, answer: Answer) -> bool:
        """What became of `batch`; false where Redis has less than it had."""
        if answer.outcome == DONE:
            self._goes_on_at(answer)
            self._closed = any(isinstance(entry, Ended) for entry in batch.entries)
        elif answer.outcome == ELSEWHERE:
            self._goes_on_at(answer)
            return answer.top >= batch.start and answer.events >= batch.events
        else:
            self._refused(answer)
        return True

    def batch(self, most_bytes: int = 1 << 20) -> Batch | None:
        """What comes next, as far as it fits into one append; None where nothing is to be written.

        Sound of more than `most_bytes` is left for the next one, but for a block.
        """
        if self._sample is None or self._closed:
            return None
        at = max(self._sample, self.bus.first)
        start = at if self._empty else self._sample
        # A stream that has nothing begins where it can; one that goes on says what is missing.
        entries: list[Entry] = [] if at == start else [Gap(start, at)]
        events = (*self._missing, *self.bus.events_from(self._told))[:_EVENTS_AT_ONCE]
        width = 2 * self.bus.header.settings.channels
        runs = self.bus.runs(at, min(_SOUND_AT_ONCE, max(1, most_bytes // (width * _BLOCK)) * _BLOCK))
        entries += woven(runs, events, at, width)
        stop = runs[-1].stop if runs else at
        happened = sum(isinstance(entry, Happened) for entry in entries)
        over = self.bus.ended is not None and stop >= self.bus.ended
        if over and happened == len(self._missing) + self.bus.event_count - self._told:
            entries.append(Ended(stop))
        return Batch(start, self._listed or 0, tuple(entries), stop) if entries else None

    def _goes_on_at(self, answer: Answer, listed: Collection[bytes] | None = None) -> None:
        self._empty = answer.top < 0
        self._sample = max(self.bus.first, self.bus.top - HELD) if self._empty else answer.top
        self._reached = self._sample
        position = self._grid.position_of_sample(max(0, self._sample - _LOOKAHEAD))
        part_leaves = self._grid.stop_sample(position) + _LOOKAHEAD
        self._due_at = min(part_leaves, self._sample + _WAIT_AT_MOST)
        if self._listed is None or answer.events < self._listed:
            self._compare(answer, listed)
        elif answer.events > self._listed:
            self._told_more(answer.events - self._listed)
            self._listed = answer.events

    def _compare(self, answer: Answer, listed: Collection[bytes] | None) -> None:
        """Redis may list what other owners told, and lack what it lost, or what only another Redis had."""
        ours = self.bus.events_from(0)
        if not (answer.events and ours):
            listed = ()
        if listed is None:
            self._sample = self._listed = None  # it is asked
            return
        self._missing = deque(event for event in ours if event_json(event) not in listed)
        self._told = self.bus.event_count
        self._listed = answer.events

    def _told_more(self, count: int) -> None:
        while count and self._missing:
            self._missing.popleft()
            count -= 1
        oldest = self.bus.event_count - len(self.bus.events_from(0))
        self._told = min(max(self._told + count, oldest), self.bus.event_count)

    def _refused(self, answer: Answer) -> None:
        self._sample = None
        if answer.outcome == NEWER:
            self.newer = max(self.newer, answer.generation)


def woven(runs: Iterable[Run], events: Iterable[TakeEvent], at: int, width: int) -> list[Entry]:
    """Sound from sample `at` on with what happens in it, each event at the first block that begins after it.

    No entry is longer than 250 ms, but silence.
    `width`: bytes of a sample. Events that lie beyond the last run are left out, and all that follow them.
    """
    entries: list[Entry] = []
    left = deque(events)

    def tell() -> None:
        while left and left[0].sample <= at:
            entries.append(Happened(left.popleft()))

    tell()
    for run in runs:
        while at < run.stop:
            stop = min(run.stop, -(-left[0].sample // _BLOCK) * _BLOCK) if left else run.stop
            stop = stop if run.pcm is None else min(stop, at + _LONGEST_ENTRY)
            if run.pcm is None:
                entries.append(Silence(at, stop))
            elif stop - at == run.stop - run.start:
                entries.append(Sound(at, stop, run.pcm))
            else:
                entries.append(
                    Sound(at, stop, run.pcm[(at - run.start) * width : (stop - run.start) * width])
                )
            at = stop
            tell()
    return entries
