"""Writes the takes of an ingest to one Redis, behind their memory: live audio never waits for it.

Each take has a task that waits for the next sample worth writing; one flusher writes what is due of all takes
in one round trip, with at most one on its way. After any trouble each take is asserted first: the answer says
what Redis has, and the take goes on from there in order, as far as the owner still holds it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from contracts.errors import BusUnavailable
from contracts.metrics import Metrics
from contracts.take import TakeKey
from pipeline.grid import SAMPLE_RATE
from workers.backoff import Backoff
from workers.complaints import Complaints
from workers.memory_bus import MemoryHub
from workers.nets import Net
from workers.redis_bus.claimed_rooms import ClaimedRooms
from workers.redis_bus.due import DueTakes, WrittenTake
from workers.redis_bus.links import RedisLink
from workers.redis_bus.pace import Pace
from workers.redis_bus.round_trip import Asked, RoundTrip
from workers.redis_bus.take_cursor import DONE, Answer, Batch

logger = structlog.get_logger()

BEAT_SECONDS: Final = 1.0
"""How often a bus is told all that it should know of every take."""
# One round trip carries what came due meanwhile: 67 a second at most, however many rooms there are.
_PACE_SECONDS: Final = 0.015
# Sound of one round trip; less after one that failed, because the line may be slow.
_MOST_BYTES: Final = 4 << 20
_LEAST_BYTES: Final = 1 << 14


class BusWriter:
    """Writes every take of `hub` that `claimed` says is ours through `link`. `clock` is monotonic."""

    def __init__(
        self,
        link: RedisLink,
        hub: MemoryHub,
        claimed: ClaimedRooms,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.link = link
        self._claimed = claimed
        self._metrics = metrics
        self._clock = clock
        self._work = DueTakes(hub, claimed, BEAT_SECONDS, clock=clock)
        self._news: dict[TakeKey, None] = {}
        self._pace = Pace(_LEAST_BYTES, _MOST_BYTES)
        self._net = Net(
            "unexpected error while a take was written", metrics.unexpected_errors.labels("bus writer").inc
        )
        self._complaints = Complaints()
        self._carried = 0
        self._stopping = False
        self._bytes = metrics.bus_bytes.labels(link.name, "out")
        self._lag = metrics.bus_lag.labels(link.name)
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._logger = logger.bind(bus=link.name)

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """Tasks that never return by themselves."""
        return self._tasks

    def start(self) -> None:
        """Write from now on. Needs a running event loop."""
        works = {"takes": self._work.follow(), "flush": self._flush(), "beat": self._work.tick()}
        self._tasks = tuple(
            asyncio.create_task(work, name=f"bus writer {self.link.name}: {name}")
            for name, work in works.items()
        )

    async def stop(self, grace: float) -> None:
        """Write what is there, for at most `grace` seconds, and stop."""
        self._stopping = True
        try:
            async with asyncio.timeout(grace):
                while self._unwritten():
                    for key in self._work.takes:
                        self._work.mark(key)
                    await asyncio.sleep(_PACE_SECONDS)
        except TimeoutError:
            self._logger.warning("stopped before redis had everything")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def delivered(self, key: TakeKey) -> bool:
        """This Redis has been told that origins have the take to its end."""
        take = self._work.takes.get(key)
        return take is not None and take.cursor.delivered

    def _unwritten(self) -> bool:
        ours = (take for take in self._work.takes.values() if self._work.generation(take) is not None)
        return bool(self._news or self._work.gone) or any(take.cursor.behind for take in ours)

    async def _flush(self) -> None:
        """One round trip after the other."""
        work, backoff = self._work, Backoff(first=0.05, longest=0.5)
        while True:
            await work.wake.wait()
            work.wake.clear()
            began = self._clock()
            try:
                await self._round()
            except BusUnavailable:  # the link has said so
                self._start_over()
                await asyncio.sleep(backoff.next())
            except Exception:
                self._metrics.unexpected_errors.labels("bus writer").inc()
                self._logger.exception("unexpected error while writing to redis")
                self._start_over()
                await asyncio.sleep(backoff.next())
            else:
                backoff.reset()
                self._pace.worked(self._carried)
            if work.due or self._news:
                work.wake.set()
            await asyncio.sleep(max(0.0, began + _PACE_SECONDS - self._clock()))

    def _start_over(self) -> None:
        """Redis may have lost anything: ask it about every take, with less sound at first."""
        self._pace.failed(self._carried)
        for key, take in self._work.takes.items():
            take.cursor.lost_touch()
            take.listed = False
            self._work.mark(key)

    async def _round(self) -> None:
        """Tell Redis what is due, and hear what it has."""
        work = self._work
        beat, work.beat = work.beat, False
        due, work.due = work.due, {}
        # Those of a round trip that fails come again, when their takes are asserted.
        news, self._news = self._news, {}
        trip = RoundTrip(self.link)
        if beat:
            self._measure()
        self._assert(trip, work.takes if beat else due)
        self._append(trip, due)
        trip.list_takes(self._to_list(work.takes if beat else news))
        trip.announce(news)
        gone = work.gone
        for key in gone:
            trip.take_leave(key)
        for asked, answer in await trip.send():
            if take := work.takes.get(asked.key):
                with self._net.under(asked.key):
                    self._hear(take, asked, answer)
        for key in gone:
            work.left(key)

    def _assert(self, trip: RoundTrip, keys: Iterable[TakeKey]) -> None:
        """Say what is to be known of these takes; of those that are due only where Redis is not known."""
        beat = keys is self._work.takes
        for key in keys:
            take = self._work.takes[key]
            with self._net.under(key):
                generation, memo = self._work.generation(take), self._claimed.memo(key)
                if generation is not None and memo is not None and (beat or not take.cursor.known):
                    events = take.cursor.asks_for_events
                    trip.assert_take(key, generation, memo, alive=take.bus.ended is None, events=events)

    def _append(self, trip: RoundTrip, due: Iterable[TakeKey]) -> None:
        """Add what comes next of each, as long as there is room; the others are due again."""
        room = self._pace.amount
        for key in due:
            take = self._work.takes[key]
            with self._net.under(key):
                generation = self._work.generation(take)
                if generation is None or not take.cursor.known:
                    continue
                if room <= 0:
                    self._work.due[key] = None
                elif (take.cursor.due or self._stopping) and (batch := take.cursor.batch(room)):
                    room -= batch.size
                    trip.append(key, generation, batch)
                else:
                    take.written.set()
        self._carried = self._pace.amount - room

    def _hear(self, take: WrittenTake, asked: Asked, answer: Answer | BusUnavailable) -> None:
        """What Redis says of one take."""
        cursor, batch = take.cursor, asked.batch
        if isinstance(answer, BusUnavailable):
            # It answers, but not to this: the next beat tries again.
            if self._complaints.admit(take.key):
                self._logger.error("redis does not take this", **_where(take), reason=answer.message)
            return
        refused_by = cursor.newer
        if batch is None:
            cursor.asserted(answer, asked.listed)
        elif cursor.appended(batch, answer):
            self._sent(take, batch, answer)
        else:
            self._metrics.bus_refused.labels(self.link.name, "behind").inc()
            self._logger.warning("redis has lost samples: writing them again", **_where(take), top=answer.top)
        if cursor.newer > refused_by:
            self._metrics.bus_refused.labels(self.link.name, "generation").inc()
            self._logger.warning("another ingest writes this take", **_where(take), generation=cursor.newer)
            self._claimed.deposed(take.key.room, cursor.newer)
            return
        if cursor.complete:
            self._claimed.closed(take.key)
        if cursor.known and not take.listed:
            take.listed = True
            self._news[take.key] = None
        if cursor.due or not cursor.known:
            self._work.mark(take.key)
        else:
            take.written.set()

    def _sent(self, take: WrittenTake, batch: Batch, answer: Answer) -> None:
        if answer.outcome != DONE:
            return
        self._bytes.inc(batch.size)
        if take.cursor.complete:
            self._news[take.key] = None

    def _to_list(self, keys: Iterable[TakeKey]) -> list[TakeKey]:
        """Those that Redis has, and nobody has delivered yet."""
        takes = (self._work.takes[key] for key in keys if key in self._work.takes)
        return [take.key for take in takes if take.listed and not take.cursor.delivered]

    def _measure(self) -> None:
        ours = (take for take in self._work.takes.values() if self._work.generation(take) is not None)
        self._lag.set(max((take.cursor.lag for take in ours), default=0) / SAMPLE_RATE)


def _where(take: WrittenTake) -> dict[str, str]:
    return {"room": take.key.room, "take": take.key.take}
