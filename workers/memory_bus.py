"""The in-process bus: of every take the last runs of sound and silence, in memory and on one event loop.

Sound is held as the very bytes that were appended, 10 s of it (0.96 MB a mono room). Silence is held as a
length, so that a long one, such as the downtime that a restarted owner fills in at once, pushes no sound out
and is not lost on a reader that needs a moment.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from pipeline.grid import SAMPLE_RATE
from workers.bus import BusRefused, SamplesLost
from workers.news import News
from workers.runs import Run, joined

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from contracts.take import TakeEvent, TakeHeader, TakeKey

SOUND_HELD = 10 * SAMPLE_RATE
# Longer than the default idle timeout of 60 s, up to which a restarted owner fills the downtime in.
SPAN_HELD = 120 * SAMPLE_RATE
EVENTS_HELD = 4096


class MemoryTakeBus:
    """One take in memory; see `workers.bus.TakeBus`."""

    def __init__(
        self,
        key: TakeKey,
        header: TakeHeader,
        first: int = 0,
        *,
        sound_held: int = SOUND_HELD,
        span_held: int = SPAN_HELD,
    ) -> None:
        self.key = key
        self.header = header
        self.first = first
        self.top = first
        self.ended: int | None = None
        self._bytes_a_sample = 2 * header.settings.channels
        self._sound_limit = sound_held
        self._span_limit = span_held
        self._runs: deque[Run] = deque()
        self._sound = 0
        self._events: deque[TakeEvent] = deque(maxlen=EVENTS_HELD)
        self._event_count = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def wanted(self) -> int | None:
        """The sample that somebody waits for first."""
        return min((sample for sample, _ in self._waiters), default=None)

    def append(self, start: int, pcm: bytes) -> None:
        """Add sound."""
        count, odd = divmod(len(pcm), self._bytes_a_sample)
        if odd:
            raise ValueError(f"{len(pcm)} bytes are not whole samples of {self._bytes_a_sample} bytes")
        fresh = self._fresh(start, count)
        if not fresh:
            return
        if fresh < count:
            pcm = pcm[-fresh * self._bytes_a_sample :]
        self._runs.append(Run(self.top, self.top + fresh, pcm))
        self._sound += fresh
        self._grow(fresh)

    def append_silence(self, start: int, count: int) -> None:
        """Add silence; neighbours become one run."""
        fresh = self._fresh(start, count)
        if not fresh:
            return
        begin = self.top
        if self._runs and self._runs[-1].pcm is None:
            begin = self._runs.pop().start
        self._runs.append(Run(begin, self.top + fresh, None))
        self._grow(fresh)

    def append_event(self, event: TakeEvent) -> None:
        """Add an event."""
        if event.sample > self.top:
            raise BusRefused(
                f"an event at sample {event.sample} lies ahead of the sound, which ends at {self.top}",
                self.top,
            )
        self._events.append(event)
        self._event_count += 1

    def end(self, sample: int) -> None:
        """Finish the take and wake everybody."""
        if sample != self.top:
            raise BusRefused(f"a take that holds {self.top} samples cannot end at {sample}", self.top)
        self.ended = sample
        self._wake()

    def read(self, start: int, stop: int) -> NDArray[np.int16]:
        """Copy samples out; the newest are found first."""
        if start < self.first:
            raise SamplesLost(
                f"samples below {self.first} are no longer held, {start} was asked for", self.first
            )
        if not start <= stop <= self.top:
            raise ValueError(f"[{start}, {stop}) is not within [{self.first}, {self.top})")
        channels = self.header.settings.channels
        out = np.zeros((stop - start, channels), dtype=np.int16)
        for run in reversed(self._runs):  # readers are near the top
            if run.stop <= start:
                break
            if run.pcm is None or run.start >= stop:
                continue
            begin, end = max(start, run.start), min(stop, run.stop)
            sound = np.frombuffer(run.pcm, dtype="<i2").reshape(-1, channels)
            out[begin - start : end - start] = sound[begin - run.start : end - run.start]
        return out

    def jump(self, sample: int) -> None:
        """Go on at `sample`, above `top`: what lies between is lost for good, and what is held is dropped."""
        if sample <= self.top or self.ended is not None:
            raise ValueError(f"there is nothing to jump over from {self.top} to {sample}")
        self._runs.clear()
        self._sound = 0
        self.first = self.top = sample
        self._wake()

    def runs(self, start: int, sound: int) -> list[Run]:
        """What is held from sample `start` on, in order, with at most `sound` samples of sound.

        Sound in one piece is one run, however it was appended. Raises `SamplesLost` below `first`.
        """
        if start < self.first:
            raise SamplesLost(
                f"samples below {self.first} are no longer held, {start} was asked for", self.first
            )
        found = list(takewhile(lambda run: run.stop > start, reversed(self._runs)))
        return joined(reversed(found), start, sound, self._bytes_a_sample)

    @property
    def event_count(self) -> int:
        """How many events were ever added; the last `EVENTS_HELD` of them are held."""
        return self._event_count

    def events_from(self, cursor: int) -> tuple[TakeEvent, ...]:
        """The events after a cursor."""
        if cursor >= self._event_count:
            return ()
        dropped = self._event_count - len(self._events)
        return tuple(self._events)[max(0, cursor - dropped) :]

    async def wait(self, sample: int) -> None:
        """Until a sample is there, or the end."""
        if self.top >= sample or self.ended is not None:
            return
        waiter = (sample, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await waiter[1]
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def _fresh(self, start: int, count: int) -> int:
        """How many of the `count` samples at `start` are new."""
        if start > self.top:
            raise BusRefused(f"samples [{self.top}, {start}) are missing", self.top)
        fresh = max(0, start + count - self.top)
        if fresh and self.ended is not None:
            raise BusRefused(f"the take ended at sample {self.ended}", self.top)
        return min(fresh, count)

    def _grow(self, fresh: int) -> None:
        self.top += fresh
        runs = self._runs
        while runs and self._sound > self._sound_limit:
            run = runs.popleft()
            self.first = run.stop
            if run.pcm is not None:
                self._sound -= run.stop - run.start
        if self.top - self.first > self._span_limit:
            self._shorten(self.top - self._span_limit)
        self._wake()

    def _shorten(self, first: int) -> None:
        """Drop what is below `first`; only a long silence gets here, and it is shortened in place."""
        runs = self._runs
        while runs[0].stop <= first:
            run = runs.popleft()
            if run.pcm is not None:
                self._sound -= run.stop - run.start
        if runs[0].pcm is None:
            runs[0] = runs[0]._replace(start=first)
        self.first = runs[0].start

    def _wake(self) -> None:
        if not self._waiters:
            return
        waiting = []
        for sample, future in self._waiters:
            if future.done():
                continue
            if sample <= self.top or self.ended is not None:
                future.set_result(None)
            else:
                waiting.append((sample, future))
        self._waiters = waiting


class MemoryHub(News):
    """Every take of this process; that one is opened, ends or is closed is news. See `workers.bus.BusHub`."""

    def __init__(self, *, sound_held: int = SOUND_HELD, span_held: int = SPAN_HELD) -> None:
        super().__init__()
        self._limits = {"sound_held": sound_held, "span_held": span_held}
        self._takes: dict[TakeKey, _HubTake] = {}

    def open(self, key: TakeKey, header: TakeHeader, first: int = 0) -> MemoryTakeBus:
        """Add a take, or find it."""
        there = self._takes.get(key)
        if there is None:
            there = self._takes[key] = _HubTake(self, key, header, first, **self._limits)
            self.announce()
        elif there.header != header:
            raise BusRefused(
                f"take {key.take} of room {key.room} is on the bus with other settings", there.top
            )
        return there

    def live(self) -> tuple[MemoryTakeBus, ...]:
        """Every take not closed."""
        return tuple(self._takes.values())

    def close(self, key: TakeKey) -> None:
        """Forget a take."""
        if self._takes.pop(key, None) is not None:
            self.announce()


class _HubTake(MemoryTakeBus):
    """A take that belongs to a hub: its end is news."""

    def __init__(self, hub: MemoryHub, key: TakeKey, header: TakeHeader, first: int, **limits: int) -> None:
        super().__init__(key, header, first, **limits)
        self._hub = hub

    def end(self, sample: int) -> None:
        """Finish the take and wake everybody."""
        news = self.ended is None
        super().end(sample)
        if news:
            self._hub.announce()
