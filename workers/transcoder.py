"""The transcoder of one take: samples from the bus are encoded in a thread and handed to the publisher.

It waits for samples and never makes any up: what the bus has lost for good is a gap, and the next segment
that is whole on the bus goes on with a fresh encoder. Because a segment is a pure function of its PCM,
beginning it again after a failure or a restart gives the same bytes, and what the log or an origin has of
it already stays.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from zlib import crc32

import numpy as np
import structlog

from contracts.position import Position
from contracts.take import PUBLISHED_KINDS
from pipeline.grid import (
    FRAME,
    LOOKAHEAD_FRAMES,
    SAMPLE_RATE,
    SEGMENT,
    Grid,
    first_sample,
    msn_of_sample,
)
from pipeline.segmenter import EncodedPart, Segmenter
from workers.backoff import Backoff
from workers.breadcrumbs import crumb_frame
from workers.bus import SamplesLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from contracts.metrics import Metrics
    from contracts.take_state import TakeState
    from workers.archive.archiver import Archiver
    from workers.archive.take_archive import TakeArchive
    from workers.bus import TakeBus
    from workers.parts_log import TakeLog
    from workers.publisher import Publisher
    from workers.quarantine import Quarantine

logger = structlog.get_logger()

T = TypeVar("T")

# A segment that cannot be encoded in this many tries becomes a gap.
TRIES = 3
# Most of a part is encoded this many frames before its last one is there, or fewer: takes that run in step
# spread over these frames, so that little is left for any of them, and for all of them together, when the
# part ends.
_SPREAD_FRAMES = 6
# With more than this on the bus, origins are asked what they have: encoding it again would change nothing.
_WORTH_ASKING = 2 * SEGMENT
# After a pause, sound is taken in pieces of this length: parts leave while the rest waits, and others get a
# turn.
_PIECE = SEGMENT


class EncodingThreads(NamedTuple):
    """Threads for what completes a part, and for what is encoded ahead and can wait a moment."""

    completing: Executor
    ahead: Executor


class Wake(NamedTuple):
    """The next sample to wait for; `completes` is the part that can leave then, if any."""

    sample: int
    completes: Position | None


def next_wake(grid: Grid, needs: int, spread: int) -> Wake:
    """When an encoder that `needs` this sample goes on: `spread` frames before a part can leave, and then."""
    lookahead = LOOKAHEAD_FRAMES * FRAME
    position = grid.position_of_sample(needs - lookahead)
    complete = grid.stop_sample(position) + lookahead
    early = complete - spread * FRAME
    return Wake(early, None) if early > needs else Wake(complete, position)


def first_whole_segment(sample: int) -> int:
    """The first segment none of whose own samples lies before `sample`."""
    msn = sample // SEGMENT
    return msn if first_sample(msn) >= sample else msn + 1


def first_to_encode(bus_first: int, states: Iterable[TakeState | None]) -> int:
    """The segment to begin with: what the origin furthest behind needs, if the bus still has that whole."""
    whole = first_whole_segment(bus_first)
    wanted = [_next_segment(state, whole) for state in states if state is None or state.end is None]
    return max(whole, min(wanted, default=whole))


def _next_segment(state: TakeState | None, whole: int) -> int:
    """The segment that an origin waits for; one without media takes any."""
    if state is None:
        return whole
    there = state.renditions.values()
    return min(whole if rendition.first is None else rendition.next.msn for rendition in there)


class Transcoder:
    """Encodes the take of `bus` in `threads`; `clock` is monotonic, for measuring only.

    Nobody gets a part before the `archiver`, if there is one. While the `quarantine` holds the take, nothing
    is encoded.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        bus: TakeBus,
        publisher: Publisher,
        threads: EncodingThreads,
        metrics: Metrics,
        *,
        quarantine: Quarantine,
        archiver: Archiver | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archiver = archiver
        self._archive: TakeArchive | None = None
        self._bus = bus
        self._publisher = publisher
        self._threads = threads
        self._metrics = metrics
        self._quarantine = quarantine
        self._in_crumb_frame = crumb_frame(bus.key)
        self._clock = clock
        self._settings = bus.header.settings
        self._grid = Grid(self._settings.parts)
        self._spread = 1 + crc32(bus.key.take.encode()) % _SPREAD_FRAMES
        self._event_cursor = 0
        self._logger = logger.bind(room=bus.key.room, take=bus.key.take)

    async def run(self) -> None:
        """Return when the take has ended and all of it is with the publisher. Failures are retried."""
        bus = self._bus
        # A take that has just begun does not wait for origins that may hang.
        ask = bus.top - bus.first > _WORTH_ASKING
        states = await self._publisher.states(bus.key) if ask else []
        log = self._publisher.open(bus.key, bus.header, first_to_encode(bus.first, states))
        if self._archiver is not None:
            self._archive = self._archiver.open(log)
        backoff, failures = Backoff(), 0
        while True:
            reached = log.next
            try:
                samples = await self._sit_out(log)
                if samples is None:
                    samples = await self._encode(log)
            except Exception:
                self._metrics.take_failures.inc()
                self._logger.exception("encoding failed", msn=log.next.msn, part=log.next.part)
            else:
                self._publisher.finish(bus.key, samples)
                return
            if log.next > reached:
                backoff.reset()
                failures = 0
            failures += 1
            if failures == TRIES:
                self._lose_until(log, log.next.msn + 1, "the segment cannot be encoded: given up")
                self._quarantine.failed(bus.key)
                failures = 0
            await asyncio.sleep(backoff.next())

    async def _sit_out(self, log: TakeLog) -> int | None:
        """While the take is in quarantine, each segment is a gap when its time has passed; `_encode` goes on.

        The take's length in samples if it ended meanwhile.
        """
        bus = self._bus
        while self._quarantine.holds(bus.key):
            await bus.wait(first_sample(log.next.msn + 1))
            self._take_events(log)
            ended = bus.ended
            passed = msn_of_sample(bus.top) if ended is None else msn_of_sample(max(0, ended - 1)) + 1
            if ended is None or log.next < self._grid.end_of(ended):
                self._metrics.gaps.inc(log.lose_until(passed, "the take is in quarantine"))
            if ended is not None:
                return ended
        return None

    async def _encode(self, log: TakeLog) -> int:
        """Encode to the end of the take; its length in samples."""
        while True:
            self._give_up_lost(log)
            ended = self._bus.ended
            if ended is not None and log.next >= self._grid.end_of(ended):
                return ended
            segmenter = Segmenter(self._settings, log.next.msn)
            try:
                return await self._encode_on(segmenter, log)
            except SamplesLost as lost:
                self._logger.warning("encoding fell behind the bus", needs=segmenter.needs, first=lost.first)

    async def _encode_on(self, segmenter: Segmenter, log: TakeLog) -> int:
        """Encode to the end with one `segmenter`. Raises SamplesLost when the bus drops what it needs."""
        bus = self._bus
        while True:
            wake = next_wake(self._grid, segmenter.needs, self._spread)
            live = bus.top < wake.sample
            await bus.wait(wake.sample)
            if live and wake.completes is not None:
                self._note_heard(log, wake.completes)
            self._take_events(log)
            stop = min(bus.top, segmenter.needs + _PIECE)
            pcm = self._read(segmenter.needs, stop, first_sample(log.next.msn))
            executor = self._threads.completing if live and wake.completes else self._threads.ahead
            parts = await _in_thread(executor, partial(self._push, segmenter, pcm, max(0, bus.first)))
            if bus.ended is not None and segmenter.needs >= bus.ended:
                parts += await _in_thread(self._threads.ahead, partial(self._finish, segmenter))
                self._take_events(log)
                log.append(parts)
                self._metrics.parts_encoded.inc(len(parts))
                return bus.ended
            if parts:
                log.append(parts)
                self._metrics.parts_encoded.inc(len(parts))

    def _push(self, segmenter: Segmenter, pcm: NDArray[np.int16], heard: int) -> list[EncodedPart]:
        """Encode, and keep what comes of it before anybody gets it. Below `heard`, `pcm` is made up."""
        start = segmenter.needs
        parts = self._measured(partial(segmenter.push, pcm), len(pcm))
        if self._archive is not None:
            made_up = min(max(0, heard - start), len(pcm))
            self._archive.keep(parts, start + made_up, pcm[made_up:])
        return parts

    def _finish(self, segmenter: Segmenter) -> list[EncodedPart]:
        end = segmenter.needs
        parts = self._measured(segmenter.finish, 0)
        if self._archive is not None:
            self._archive.keep(parts, end, np.empty((0, self._settings.channels), np.int16))
        return parts

    def _measured(self, work: Callable[[], list[EncodedPart]], samples: int) -> list[EncodedPart]:
        began = self._clock()
        parts = self._in_crumb_frame(work)
        self._metrics.encoding_seconds.inc(self._clock() - began)
        self._metrics.encoded_seconds.inc(samples / SAMPLE_RATE)
        return parts

    def _read(self, start: int, stop: int, own: int) -> NDArray[np.int16]:
        """Samples [start, stop), zeros for what is not there before `own`: that only warms up the encoder."""
        lost = min(max(0, self._bus.first - start), max(0, own - start), stop - start)
        if not lost:
            return self._bus.read(start, stop)
        silence = np.zeros((lost, self._settings.channels), dtype=np.int16)
        return np.concatenate([silence, self._bus.read(start + lost, stop)])

    def _take_events(self, log: TakeLog) -> None:
        events = self._bus.events_from(self._event_cursor)
        self._event_cursor += len(events)
        published = [event for event in events if event.kind in PUBLISHED_KINDS]
        if published:
            log.add_events(published)

    def _give_up_lost(self, log: TakeLog) -> None:
        """Declare gaps for the segments whose own samples the bus has lost."""
        first, ended = self._bus.first, self._bus.ended
        if first <= first_sample(log.next.msn):
            return
        until = first_whole_segment(first)
        if ended is not None:
            until = min(until, msn_of_sample(max(0, ended - 1)) + 1)
        self._lose_until(log, until, "the bus has lost samples for good")

    def _lose_until(self, log: TakeLog, msn: int, reason: str) -> None:
        first, count = log.next.msn, log.lose_until(msn, reason)
        if count:
            self._metrics.gaps.inc(count)
            self._logger.error(reason, first_msn=first, segments=count)

    def _note_heard(self, log: TakeLog, position: Position) -> None:
        """Reckon when the part's last sample sounded: samples come in real time, the newest now."""
        since = self._bus.top - self._grid.stop_sample(position)
        log.heard(position, self._clock() - max(0, since) / SAMPLE_RATE)


async def _in_thread(executor: Executor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)
