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
- *A key is no stream.* One that cannot be read is left out, and tried again: it costs no other take a sample.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import structlog

from contracts.errors import BusUnavailable, LongwaveError
from contracts.metrics import Metrics
from contracts.take import TakeEvent
from storage.event_log import parse_event
from workers.backoff import Backoff
from workers.complaints import Complaints
from workers.news import News
from workers.redis_bus import keys
from workers.redis_bus.entries import Sound, decode
from workers.redis_bus.feed import Feed
from workers.redis_bus.links import BLOCK_SECONDS, RedisLink, RedisRefuses
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors
from workers.redis_bus.pace import Pace
from workers.take_memo import parse_generation

logger = structlog.get_logger()

# What reading and taking in an entry raises where it is none of ours.
_SENSELESS: Final = (LongwaveError, KeyError, TypeError, ValueError)
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
# Chapters and speakers are few: what still lasts is among the last so many things that happened.
_RECALLED: Final = 256
# A key that was no stream is asked for again after so many seconds.
_REFUSED_SECONDS: Final = 1.0


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
        self._feeds: dict[Mirror, Feed] = {}
        self._last_change = b"0-0"
        self._pace = Pace(1, _MOST_ENTRIES)
        # As the last round trip was, the one that fails may have been.
        self._carried = 0
        self._task: asyncio.Task[None] | None = None
        # Streams that this Redis does not read, and since when.
        self._refused: dict[bytes, float] = {}
        self._senseless = Complaints()
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

    @property
    def degraded(self) -> str | None:
        """Which streams are left out because they are none; None where all can be read."""
        if not self._refused:
            return None
        some = ", ".join(name.decode(errors="replace")[:100] for name in [*self._refused][:3])
        return f"redis {self._link.name}: {len(self._refused)} keys are no streams: {some}"

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
        left_out = self._left_out() if self._refused else frozenset[bytes]()
        streams = {} if keys.CHANGES in left_out else {keys.CHANGES: self._last_change}
        for feed in self._feeds.values():
            if feed.stream in left_out:
                continue
            if feed.mirror.wants(name):
                streams[feed.stream] = feed.cursor()
            elif feed.mirror.ended is None:
                idle = False
        count = max(1, min(self._pace.amount, _MOST_OF_ALL // max(1, len(streams))))
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

    async def _ask(self, streams: Mapping[bytes, bytes], count: int, block: int) -> Mapping[bytes, _Entries]:
        if not streams:
            await asyncio.sleep(block / 1000)
            return {}
        try:
            read = self._link.blocking.xread(dict[Any, Any](streams), count=count, block=block)
            answer: Any = await self._link.call("blocking", read)
        except RedisRefuses:
            return await self._ask_each(streams, count)
        if self._refused:
            self._allow(streams)
        return dict(answer or ())

    async def _ask_each(self, streams: Mapping[bytes, bytes], count: int) -> Mapping[bytes, _Entries]:
        """Where one of them is no stream all are refused together: that one stands aside for a while."""
        pipeline = self._link.client.pipeline(transaction=False)
        for name, cursor in streams.items():
            pipeline.xread({name: cursor}, count=count)
        answers = await self._link.call("read", pipeline.execute(raise_on_error=False))
        found: dict[bytes, _Entries] = {}
        for name, answer in zip(streams, answers, strict=True):
            if not isinstance(answer, Exception):
                self._allow([name])
                found |= dict(answer or ())
                continue
            refusal = self._link.failed("read", answer)
            if not isinstance(refusal, RedisRefuses):
                raise refusal
            self._refused[name] = self._clock()
            if self._senseless.admit(name):
                self._logger.error("a key in redis is no stream: left out", key=name, reason=refusal.message)
        return found

    def _left_out(self) -> frozenset[bytes]:
        """What is not to be asked for now."""
        there = {keys.CHANGES, *(feed.stream for feed in self._feeds.values())}
        self._refused = {name: since for name, since in self._refused.items() if name in there}
        now = self._clock()
        return frozenset(name for name, since in self._refused.items() if now - since < _REFUSED_SECONDS)

    def _allow(self, streams: Iterable[bytes]) -> None:
        for name in streams:
            if self._refused.pop(name, None) is not None:
                self._logger.info("a key in redis is a stream again", key=name)

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
                self._feeds[mirror] = Feed(mirror, keys.pcm(mirror.key))

    # ---- what came of it ---------------------------------------------------------------------------------

    def _note_changes(self, entries: _Entries) -> None:
        if entries:
            self._last_change = entries[-1][0]
            self.changes.announce()

    def _take_in(self, feed: Feed, entries: _Entries) -> bool:
        """Give the mirror what came of it; whether it took all of that."""
        for entry_id, fields in entries:
            at = _parse_id(entry_id)
            try:
                entry, generation = decode(entry_id, fields), parse_generation(fields[b"gen"])
                if isinstance(entry, Sound):
                    self._bytes.inc(len(entry.pcm))
                if not feed.mirror.take_in(entry, at[0], generation, self._link.name, self._clock()):
                    return False
            except _SENSELESS as error:
                self._skip(feed.mirror, entry_id, error)
            except Exception:
                # Whatever is wrong with one take: the others are read on.
                self._metrics.unexpected_errors.labels("bus").inc()
                if self._senseless.admit(feed.stream):
                    self._logger.exception(
                        "unexpected error in an entry on the bus", room=feed.mirror.key.room
                    )
            feed.last = at
        return True

    def _events(self, mirror: Mirror, lines: Sequence[bytes]) -> list[TakeEvent]:
        events = []
        for line in lines:
            try:
                events.append(parse_event(line))
            except ValueError as error:
                self._skip(mirror, b"events", error)
        return events

    def _skip(self, mirror: Mirror, what: bytes, error: Exception) -> None:
        """Leave out what nobody can read, and say so once a take: its entries may all be like that."""
        if self._senseless.admit(mirror.key):
            room, take = mirror.key
            reason = repr(error)[:200]
            self._logger.error(
                "an entry on the bus makes no sense", room=room, take=take, entry=what, reason=reason
            )

    def _start_over(self) -> None:
        """What this Redis has is to be found out again."""
        self._pace.failed(self._carried)
        for feed in self._feeds.values():
            feed.start_over(self._link.name)
        self._last_change = b"0-0"


def _parse_id(entry_id: bytes) -> tuple[int, int]:
    sample, _, n = entry_id.partition(b"-")
    return int(sample), int(n)
