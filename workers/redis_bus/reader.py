"""Reads takes from one Redis into the mirrors of a worker: all of them in one round trip.

A reader keeps a cursor for each take: the ID of the last entry that it has dealt with. `XREAD` from there
waits up to 100 ms for something new, and gives several entries of a take that is behind.

Cursors survive what a Redis does:

- *It comes back empty.* IDs are sample indexes, which go on: what the owner writes next is above the cursor,
  and begins below it, or at the first sample that is not lost.
- *It lost writes in a failover.* The owner writes them again: the same samples, cut into other entries
  perhaps, with events under other IDs. So after every failure a cursor goes back to a second before the
  mirror's top. A mirror takes nothing twice.
- *It is behind another Redis.* A cursor never lies more than a second behind the mirror's top.
- `lw:changes` alone has IDs of a server's wall clock, and the server that takes over may be behind: it is
  read from its beginning after every failure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import structlog

from contracts.errors import BusUnavailable, LongwaveError
from contracts.metrics import Metrics
from contracts.take import TakeEvent
from pipeline.grid import SAMPLE_RATE
from storage.event_log import parse_event
from workers.backoff import Backoff
from workers.news import News
from workers.redis_bus import keys
from workers.redis_bus.entries import Sound, decode
from workers.redis_bus.links import BLOCK_SECONDS, RedisLink
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors
from workers.redis_bus.pace import Pace

logger = structlog.get_logger()

_Entries: TypeAlias = Sequence[tuple[bytes, Mapping[bytes, bytes]]]

_EVERY_SECONDS: Final = 0.015
"""Between two round trips: little beside what lies between a speaker and a listener."""
_BLOCK_MS: Final = int(1000 * BLOCK_SECONDS)
# While a mirror is full, or waits for another Redis, nobody wakes a read that blocks.
_SHORT_BLOCK_MS: Final = 20
# A round trip brings so many entries of one take at most, and about so many of all together: of 100 ms and
# 9.6 kB each where nothing is behind, up to 250 ms where an owner catches up.
_MOST_ENTRIES: Final = 32
_MOST_OF_ALL: Final = 256
_BACK: Final = SAMPLE_RATE
# Chapters and speakers are few: what still lasts is among the last so many things that happened.
_RECALLED: Final = 256
_NOWHERE: Final = (0, 0)


class BusReader:
    """Fills `mirrors` over `link`, from `start` to `stop`. `changes` is news of takes and nodes."""

    def __init__(
        self,
        link: RedisLink,
        mirrors: Mirrors,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changes = News()
        self._link = link
        self._mirrors = mirrors
        self._metrics = metrics
        self._clock = clock
        self._bytes = metrics.bus_bytes.labels(link.name, "in")
        self._feeds: dict[Mirror, _Feed] = {}
        self._last_change = b"0-0"
        self._pace = Pace(1, _MOST_ENTRIES)
        # As the last round trip was, the one that fails may have been.
        self._carried = 0
        self._task: asyncio.Task[None] | None = None
        self._senseless: set[str] = set()
        self._logger = logger.bind(bus=link.name)

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """The task that reads, which never returns by itself."""
        return () if self._task is None else (self._task,)

    def start(self) -> None:
        """Read from now on. Needs a running event loop."""
        self._mirrors.attach(self._link.name)
        self._task = asyncio.create_task(self._read(), name=f"read {self._link.name}")

    async def stop(self) -> None:
        """Read no more."""
        for task in self.background:
            task.cancel()
        await asyncio.gather(*self.background, return_exceptions=True)
        self._mirrors.detach(self._link.name)

    # ---- one round after the other -----------------------------------------------------------------------

    async def _read(self) -> None:
        backoff = Backoff(first=0.05, longest=1.0)
        while True:
            began = self._clock()
            try:
                more = await self._round()
            except BusUnavailable:
                self._start_over()  # the link has told why
            except Exception:
                self._metrics.unexpected_errors.labels("bus").inc()
                self._logger.exception("unexpected error while reading the bus")
                self._start_over()
            else:
                backoff.reset()
                # Where more is waiting, it is fetched at once.
                await asyncio.sleep(0 if more else max(0.0, began + _EVERY_SECONDS - self._clock()))
                continue
            self._mirrors.settle()
            await asyncio.sleep(backoff.next())

    async def _round(self) -> bool:
        """Ask for all that is wanted, and hand it on; whether there is more of it."""
        await self._meet()
        self._mirrors.settle()
        name, idle = self._link.name, True
        streams = {keys.CHANGES: self._last_change}
        for feed in self._feeds.values():
            if feed.mirror.wants(name):
                streams[feed.stream] = feed.cursor()
            elif feed.mirror.ended is None:
                idle = False
        count = max(1, min(self._pace.amount, _MOST_OF_ALL // len(streams)))
        answer = await self._ask(streams, count, _BLOCK_MS if idle else _SHORT_BLOCK_MS)
        self._mirrors.answered(name)
        self._note_changes(answer.get(keys.CHANGES, ()))
        more = False
        for feed in self._feeds.values():
            entries = answer.get(feed.stream)
            taken = feed.stream in streams and (entries is None or self._take_in(feed, entries))
            many = entries is not None and len(entries) == count
            feed.brought(name, all_of_it=taken and not many)
            more |= taken and many
        if more:
            self._pace.worked(count)
        self._carried = count if more else 0
        return more

    async def _ask(self, streams: Mapping[bytes, bytes], count: int, block: int) -> dict[bytes, _Entries]:
        read = self._link.blocking.xread(dict[Any, Any](streams), count=count, block=block)
        answer: Any = await self._link.call("blocking", read)
        return dict(answer or ())

    async def _meet(self) -> None:
        """Follow the mirrors there are; of new ones, what happened before they begin is asked for first."""
        there = self._mirrors.live()
        for mirror in self._feeds.keys() - set(there):
            del self._feeds[mirror]
        new = [mirror for mirror in there if mirror not in self._feeds]
        if new:
            pipeline = self._link.client.pipeline(transaction=False)
            for mirror in new:
                pipeline.lrange(keys.events(mirror.key), -_RECALLED, -1)
            answers = await self._link.call("read", pipeline.execute(raise_on_error=False))
            for mirror, lines in zip(new, answers, strict=True):
                mirror.recall(self._events(mirror, lines if isinstance(lines, list) else []))
                self._feeds[mirror] = _Feed(mirror, keys.pcm(mirror.key))

    # ---- what came of it ---------------------------------------------------------------------------------

    def _note_changes(self, entries: _Entries) -> None:
        if entries:
            self._last_change = entries[-1][0]
            self.changes.announce()

    def _take_in(self, feed: _Feed, entries: _Entries) -> bool:
        """Give the mirror what came of it; whether it took all of that."""
        for entry_id, fields in entries:
            at = _parse_id(entry_id)
            try:
                entry, generation = decode(entry_id, fields), int(fields[b"gen"])
                if isinstance(entry, Sound):
                    self._bytes.inc(len(entry.pcm))
                if not feed.mirror.take_in(entry, at[0], generation, self._link.name, self._clock()):
                    return False
            except (LongwaveError, KeyError, TypeError, ValueError) as error:
                self._skip(feed.mirror, entry_id, error)
            feed.last = at
        return True

    def _events(self, mirror: Mirror, lines: Sequence[bytes]) -> list[TakeEvent]:
        events = []
        for line in lines:
            try:
                events.append(parse_event(line))
            except (LongwaveError, KeyError, TypeError, ValueError) as error:
                self._skip(mirror, b"events", error)
        return events

    def _skip(self, mirror: Mirror, what: bytes, error: Exception) -> None:
        """Leave out what nobody can read, and say so once a take: its entries may all be like that."""
        room, take = mirror.key
        if take not in self._senseless:
            self._senseless.add(take)
            self._logger.error(
                "an entry on the bus makes no sense", room=room, take=take, entry=what, reason=repr(error)
            )

    def _start_over(self) -> None:
        """What this Redis has is to be found out again."""
        self._pace.failed(self._carried)
        for feed in self._feeds.values():
            feed.start_over(self._link.name)
        self._last_change = b"0-0"


class _Feed:
    """One take of one Redis. `last` is the ID of the entry dealt with last, as (sample, n).

    Of the many takes of a worker few have something new in a round: the others are to cost next to nothing.
    """

    __slots__ = ("_at_edge", "_cursor", "_cursor_of", "last", "mirror", "stream")

    def __init__(self, mirror: Mirror, stream: bytes) -> None:
        self.mirror = mirror
        self.stream = stream
        self.last = _NOWHERE
        self._at_edge = False
        self._cursor_of: tuple[tuple[int, int], int] | None = None
        self._cursor = b""

    def cursor(self) -> bytes:
        """The ID behind which entries are wanted."""
        mirror = self.mirror
        if self._cursor_of != (self.last, mirror.top):
            self._cursor_of = (self.last, mirror.top)
            sample, n = max(self.last, (max(mirror.first, mirror.top - _BACK), 0))
            self._cursor = b"%d-%d" % (sample, n)
        return self._cursor

    def brought(self, link: str, *, all_of_it: bool) -> None:
        """The mirror is told where that changes something."""
        if all_of_it != self._at_edge:
            self._at_edge = all_of_it
            self.mirror.brought(link, all_of_it=all_of_it)

    def start_over(self, link: str) -> None:
        """What this Redis has is to be found out again."""
        self.last, self._at_edge = _NOWHERE, False
        self.mirror.forget(link)


def _parse_id(entry_id: bytes) -> tuple[int, int]:
    sample, _, n = entry_id.partition(b"-")
    return int(sample), int(n)
