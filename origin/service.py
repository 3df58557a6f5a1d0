"""The origin without HTTP: takes by room, what workers put, what listeners ask.

The HTTP handlers call it, and so does a publisher in the same process. Nothing here waits for anything but
media; the journal is told what is new and never asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

import structlog

from contracts.errors import BytesConflict, LongwaveError, NotFound, OverLimit, UnknownTake
from contracts.ids import check_room, check_take
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeState
from origin.journal import Journal
from origin.journal_format import Record, RecordKind
from origin.line import BLOCK_SECONDS, Line
from origin.live_take import LiveTake
from origin.waiters import Crowd, Waiters
from pipeline.grid import SAMPLE_RATE, SEGMENT
from pipeline.take_window import TakeWindow
from pipeline.window import Put

log = structlog.get_logger()
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class OriginLimits:
    """What an origin holds at most. `max_takes` and `max_window_bytes` only keep new takes out."""

    window_seconds: int = 900
    max_takes: int = 1_000
    max_window_bytes: int = 4 * 2**30
    max_blocked: int = 20_000
    block_seconds: float = BLOCK_SECONDS

    @property
    def window_segments(self) -> int:
        """Whole segments that are listed."""
        return max(3, self.window_seconds * SAMPLE_RATE // SEGMENT)


def _counted(
    kind: str,
) -> Callable[[Callable[Concatenate[Origin, P], Put]], Callable[Concatenate[Origin, P], Put]]:
    """Count what becomes of each put."""

    def decorate(method: Callable[Concatenate[Origin, P], Put]) -> Callable[Concatenate[Origin, P], Put]:
        @wraps(method)
        def counting(self: Origin, /, *args: P.args, **kwargs: P.kwargs) -> Put:
            outcomes = self.metrics.publishes
            try:
                put = method(self, *args, **kwargs)
            except BytesConflict:
                self.metrics.byte_conflicts.inc()
                outcomes.labels(kind, "conflict").inc()
                raise
            except LongwaveError:
                outcomes.labels(kind, "refused").inc()
                raise
            outcomes.labels(kind, put.value).inc()
            return put

        return counting

    return decorate


class Origin:
    """All takes of one origin. `clock` is monotonic; puts mirror the *For workers* table."""

    def __init__(
        self,
        limits: OriginLimits,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        journal: Journal | None = None,
    ) -> None:
        self.limits = limits
        self.metrics = metrics
        self.clock = clock
        self.draining = False
        self._journal = journal
        self._rooms: dict[str, dict[str, LiveTake]] = {}
        self._crowd = Crowd(limits.max_blocked)
        metrics.blocked_listeners.set_function(lambda: self._crowd.blocked)
        metrics.window_bytes.set_function(self.size)
        metrics.listeners.set_function(lambda: sum(take.listeners() for take in self._takes()))
        metrics.takes.labels("live").set_function(lambda: self._count(ended=False))
        metrics.takes.labels("ended").set_function(lambda: self._count(ended=True))

    # ---- what workers put -------------------------------------------------------------------------------

    @_counted("take")
    def put_take(self, key: TakeKey, header: TakeHeader) -> Put:
        """`take.json`. Raises BytesConflict (another header), OverLimit (too many takes, too much memory)."""
        known = self._find(key)
        if known is not None:
            if known.header != header:
                raise BytesConflict("this take has another take.json: keep what is there")
            return Put.SAME
        if sum(map(len, self._rooms.values())) >= self.limits.max_takes:
            raise OverLimit(f"this origin holds at most {self.limits.max_takes} takes")
        if self.size() >= self.limits.max_window_bytes:
            raise OverLimit("the memory for windows is used up on this origin")
        take = self.add(key, header, self.clock())
        payload = json.dumps(header.to_json()).encode()
        self._record(take, Record(RecordKind.HEADER, payload))
        return Put.NEW

    @_counted("init")
    def put_init(self, key: TakeKey, rendition: str, data: bytes) -> Put:
        """A rendition's CMAF header."""
        take = self._take(key)
        put = take.window.put_init(rendition, data)
        if put is Put.NEW:
            self._record(take, Record(RecordKind.INIT, data, _index(take, rendition)))
        return put

    @_counted("part")
    def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> Put:
        """One part. Those who wait for it are released before this returns."""
        take = self._take(key)
        put = take.window.put_part(rendition, msn, part, data)
        if put is Put.NEW:
            take.line(rendition).opens()
            self._moved(take, Record(RecordKind.PART, data, _index(take, rendition), msn, part))
        return put

    @_counted("segment")
    def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> Put:
        """A whole past segment. Playlists answer 503 until a part comes, or five seconds have passed."""
        take = self._take(key)
        put = take.window.put_segment(rendition, msn, data)
        if put is Put.NEW:
            take.line(rendition).fills()
            self._moved(take, Record(RecordKind.SEGMENT, data, _index(take, rendition), msn))
        return put

    @_counted("gap")
    def put_gap(self, key: TakeKey, rendition: str, msn: int) -> Put:
        """A segment that will not come."""
        take = self._take(key)
        put = take.window.put_gap(rendition, msn)
        if put is Put.NEW:
            self._moved(take, Record(RecordKind.GAP, b"", _index(take, rendition), msn))
        return put

    @_counted("event")
    def put_event(self, key: TakeKey, event: TakeEvent) -> Put:
        """A chapter, or who speaks."""
        take = self._take(key)
        put = take.window.put_event(event)
        if put is Put.NEW:
            payload = json.dumps({"id": event.id, "event": event.to_json()}).encode()
            self._moved(take, Record(RecordKind.EVENT, payload, number=event.sample))
        return put

    @_counted("end")
    def end(self, key: TakeKey, samples: int) -> Put:
        """The take's end: everybody who waits gets the ended playlist."""
        take = self._take(key)
        put = take.window.end(samples)
        if put is Put.NEW:
            for line in take.lines.values():
                line.opens()
            self._moved(take, Record(RecordKind.END, number=samples))
        return put

    def state(self, key: TakeKey) -> TakeState:
        """What is here of a take. Raises UnknownTake."""
        return self._take(key).window.state()

    # ---- what listeners ask -----------------------------------------------------------------------------

    def line(self, room: str, take: str, rendition: str) -> Line:
        """A rendition. Raises NotFound, or BadRequest where `room` cannot be a room's id."""
        live = self._rooms.get(check_room(room), {}).get(take)
        if live is None:
            raise NotFound("this take is not here (any more)")
        return live.line(rendition)

    def current(self, room: str) -> LiveTake:
        """The room's newest running take, else the newest that has ended. Raises NotFound or BadRequest."""
        takes = self._rooms.get(check_room(room))
        if not takes:
            raise NotFound("this room is not live")
        return max(takes.values(), key=lambda take: take.order)

    def live_takes(self) -> list[LiveTake]:
        """Each room's running take, for the lobby."""
        newest = (max(takes.values(), key=lambda take: take.order) for takes in self._rooms.values())
        return [take for take in newest if not take.window.ended]

    def is_live(self, key: TakeKey) -> bool | None:
        """Whether a take goes on, as far as this origin was told; None where it is not in the window."""
        take = self._find(key)
        return None if take is None else not take.window.ended

    def listeners(self, room: str) -> int:
        """How many listen to the room's running take through this origin, as far as can be told."""
        takes = self._rooms.get(room)
        return max(takes.values(), key=lambda take: take.order).listeners() if takes else 0

    # ---- how it is --------------------------------------------------------------------------------------

    def size(self) -> int:
        """Bytes of media held."""
        return sum(take.window.size for take in self._takes())

    @property
    def filling(self) -> bool:
        """Whether any take is being filled."""
        return any(take.filling for take in self._takes())

    def degraded(self) -> list[str]:
        """What does not work although live audio does."""
        trouble = self._journal.degraded(self.clock()) if self._journal else None
        return [] if trouble is None else [trouble]

    def sweep(self, now: float) -> None:
        """Let go of takes that ended one window length ago, or to which nothing was put for so long."""
        for take in [take for take in self._takes() if now - take.touched > self.limits.window_seconds]:
            self.discard(take)

    def drain(self) -> None:
        """Turn away everybody who waits, and everybody who would."""
        self.draining = True
        self._crowd.limit = 0
        for take in self._takes():
            take.drain()

    # ---- for the reload ---------------------------------------------------------------------------------

    def add(self, key: TakeKey, header: TakeHeader, touched: float) -> LiveTake:
        """Make room for a take."""
        check_room(key.room)
        check_take(key.take)
        take = LiveTake(key, header, self.limits.window_segments, self._make_line, touched)
        self._rooms.setdefault(key.room, {})[key.take] = take
        return take

    def discard(self, take: LiveTake) -> None:
        """Let go of a take and of what the journal has of it."""
        takes = self._rooms[take.key.room]
        del takes[take.key.take]
        if not takes:
            del self._rooms[take.key.room]
        take.left()
        log.info("a take has left the window", room=take.key.room, take=take.key.take)
        if self._journal is not None:
            self._journal.remove(take.key)

    def forget(self, key: TakeKey) -> None:
        """Let go of a take that its host deletes, if it is here."""
        take = self._find(key)
        if take is not None:
            self.discard(take)

    # ---- inside -----------------------------------------------------------------------------------------

    def _takes(self) -> Iterator[LiveTake]:
        return (take for takes in self._rooms.values() for take in takes.values())

    def _count(self, *, ended: bool) -> int:
        return sum(take.window.ended is ended for take in self._takes())

    def _find(self, key: TakeKey) -> LiveTake | None:
        return self._rooms.get(key.room, {}).get(key.take)

    def _take(self, key: TakeKey) -> LiveTake:
        take = self._find(key)
        if take is None:
            raise UnknownTake("put take.json first")
        return take

    def _make_line(self, name: str, take: TakeWindow) -> Line:
        waiters = Waiters(self._crowd, self.metrics.release.observe)
        return Line(name, take, waiters, self.clock, self.limits.block_seconds)

    def _moved(self, take: LiveTake, record: Record) -> None:
        take.moved(self.clock())
        self._record(take, record)
        evicted = take.newly_evicted()
        if self._journal is not None and evicted is not None:
            self._journal.evict(take.key, evicted)

    def _record(self, take: LiveTake, record: Record) -> None:
        if self._journal is not None:
            self._journal.record(take.key, record)


def _index(take: LiveTake, rendition: str) -> int:
    return list(take.lines).index(rendition)
