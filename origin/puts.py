"""The half of an origin that workers talk to: what becomes of whatever they put.

Nothing here waits; the journal is told what is new and never asked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from contracts.errors import BytesConflict, LongwaveError, OverLimit
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeHeader, TakeKey
from contracts.take_state import TakeState
from origin.conflicts import Conflicts
from origin.contents import event_record, header_record
from origin.journal import Journal
from origin.journal_format import Record, RecordKind
from origin.limits import OriginLimits
from origin.line import Line
from origin.live_take import LiveTake
from origin.takes import Takes
from origin.waiters import Crowd, Waiters
from pipeline.take_window import TakeWindow
from pipeline.window import Put

P = ParamSpec("P")


def _counted(
    kind: str,
) -> Callable[[Callable[Concatenate[Puts, P], Put]], Callable[Concatenate[Puts, P], Put]]:
    """Count what becomes of each put."""

    def decorate(method: Callable[Concatenate[Puts, P], Put]) -> Callable[Concatenate[Puts, P], Put]:
        @wraps(method)
        def counting(self: Puts, /, *args: P.args, **kwargs: P.kwargs) -> Put:
            outcomes = self.metrics.publishes
            try:
                put = method(self, *args, **kwargs)
            except BytesConflict as error:
                self.conflicts.note(*_named(kind, args), error.message, self.clock())
                outcomes.labels(kind, "conflict").inc()
                raise
            except LongwaveError:
                outcomes.labels(kind, "refused").inc()
                raise
            outcomes.labels(kind, put.value).inc()
            return put

        return counting

    return decorate


class Puts:
    """What workers put, by the *For workers* table. `clock` is monotonic."""

    def __init__(
        self, limits: OriginLimits, metrics: Metrics, clock: Callable[[], float], journal: Journal | None
    ) -> None:
        self.limits = limits
        self.metrics = metrics
        self.clock = clock
        self.takes = Takes()
        self.conflicts = Conflicts(metrics)
        self._journal = journal
        self._crowd = Crowd(limits.max_blocked)

    @_counted("take")
    def put_take(self, key: TakeKey, header: TakeHeader) -> Put:
        """`take.json`. Raises BytesConflict (another header), OverLimit (too many takes, too much memory)."""
        known = self.takes.find(key)
        if known is not None:
            if known.header != header:
                raise BytesConflict("this take has another take.json: keep what is there")
            return Put.SAME
        self.check_limits()
        take = self.add(key, header, self.clock())
        self._record(take, header_record(header))
        return Put.NEW

    @_counted("init")
    def put_init(self, key: TakeKey, rendition: str, data: bytes) -> Put:
        """A rendition's CMAF header."""
        take = self.takes.known(key)
        put = take.window.put_init(rendition, data)
        if put is Put.NEW:
            self._record(take, Record(RecordKind.INIT, data, _index(take, rendition)))
        return put

    @_counted("part")
    def put_part(self, key: TakeKey, rendition: str, msn: int, part: int, data: bytes) -> Put:
        """One part. Those who wait for it are released before this returns."""
        take = self.takes.known(key)
        put = take.window.put_part(rendition, msn, part, data)
        if put is Put.NEW:
            take.line(rendition).opens()
            self._moved(take, Record(RecordKind.PART, data, _index(take, rendition), msn, part))
        return put

    @_counted("segment")
    def put_segment(self, key: TakeKey, rendition: str, msn: int, data: bytes) -> Put:
        """A whole past segment. Playlists answer 503 until a part comes, or five seconds have passed."""
        take = self.takes.known(key)
        put = take.window.put_segment(rendition, msn, data)
        if put is Put.NEW:
            take.line(rendition).fills()
            self._moved(take, Record(RecordKind.SEGMENT, data, _index(take, rendition), msn))
        return put

    @_counted("gap")
    def put_gap(self, key: TakeKey, rendition: str, msn: int) -> Put:
        """A segment that will not come."""
        take = self.takes.known(key)
        put = take.window.put_gap(rendition, msn)
        if put is Put.NEW:
            self._moved(take, Record(RecordKind.GAP, b"", _index(take, rendition), msn))
        return put

    @_counted("event")
    def put_event(self, key: TakeKey, event: TakeEvent) -> Put:
        """A chapter, or who speaks."""
        take = self.takes.known(key)
        put = take.window.put_event(event)
        if put is Put.NEW:
            self._moved(take, event_record(event))
        return put

    @_counted("end")
    def end(self, key: TakeKey, samples: int) -> Put:
        """The take's end: everybody who waits gets the ended playlist."""
        take = self.takes.known(key)
        put = take.window.end(samples)
        if put is Put.NEW:
            for line in take.lines.values():
                line.opens()
            self._moved(take, Record(RecordKind.END, number=samples))
        return put

    def state(self, key: TakeKey) -> TakeState:
        """What is here of a take. Raises UnknownTake."""
        return self.takes.known(key).window.state()

    def check_limits(self) -> None:
        """Raise OverLimit where one more take is too many, or the memory is used up."""
        if len(self.takes) >= self.limits.max_takes:
            raise OverLimit(f"this origin holds at most {self.limits.max_takes} takes")
        if self.takes.size >= self.limits.max_window_bytes:
            raise OverLimit("the memory for windows is used up on this origin")

    # ---- inside -----------------------------------------------------------------------------------------

    def add(self, key: TakeKey, header: TakeHeader, touched: float) -> LiveTake:
        """Make room for a take."""
        window = TakeWindow(header, self.limits.window_segments)
        take = LiveTake(key, window, self._make_line, touched)
        self.takes.add(take)
        return take

    def _make_line(self, key: TakeKey, name: str, take: TakeWindow) -> Line:
        waiters = Waiters(self._crowd, self.metrics.release.observe)
        return Line(key, name, take, waiters, self.clock, self.limits.block_seconds)

    def _moved(self, take: LiveTake, record: Record) -> None:
        now = self.clock()
        take.moved(now)
        if record.kind is not RecordKind.EVENT:
            take.grew = now
        self._record(take, record)
        evicted = take.newly_evicted()
        if self._journal is not None and evicted is not None:
            self._journal.evict(take.key, evicted)

    def _record(self, take: LiveTake, record: Record) -> None:
        if self._journal is not None:
            self._journal.record(take.key, record)


def _index(take: LiveTake, rendition: str) -> int:
    return list(take.lines).index(rendition)


def _named(kind: str, args: tuple[object, ...]) -> tuple[TakeKey, str, int | None]:
    """What a put was about, for whoever reads of it: the take, the rendition or the kind, and the segment."""
    match args:
        case (TakeKey() as key, str(rendition), int(msn), *_):
            return key, rendition, msn
        case (TakeKey() as key, *_):
            return key, kind, None
    raise AssertionError
