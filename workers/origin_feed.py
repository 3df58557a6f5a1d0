"""One feed: brings one origin up to date with one take and keeps it there.

A feed is a cursor for each rendition. It asks the origin where it stands, puts what the log says comes
next, and after any trouble asks again: so a retry, an origin that restarted (empty or not) and a second
publisher are one case.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, assert_never

import structlog

from contracts.errors import (
    BytesConflict,
    LongwaveError,
    MalformedMedia,
    OverLimit,
    TakeEnded,
    UnknownTake,
)
from contracts.position import Position
from pipeline.grid import Grid
from workers.backoff import Backoff
from workers.parts_log import PutGap, PutPart, PutSegment
from workers.sister_fill import SisterFill

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from contracts.metrics import Metrics
    from workers.origin_client import OriginClient
    from workers.parts_log import Step, TakeLog

logger = structlog.get_logger()


class OriginFeed:
    """Feeds `origin` from `log` until the take's end is there. `clock` is monotonic, for measuring only.

    `taken` is called whenever the origin has taken media. What lies before the log is brought from `sisters`,
    the other origins of the moment.
    """

    def __init__(  # noqa: PLR0913 - what it stands on
        self,
        log: TakeLog,
        origin: OriginClient,
        metrics: Metrics,
        *,
        backoff: Backoff | None = None,
        taken: Callable[[], None] = lambda: None,
        sisters: Callable[[], Sequence[OriginClient]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reachable = True
        self._log = log
        self._origin = origin
        self._metrics = metrics
        self._backoff = backoff or Backoff()
        self._taken = taken
        self._fill = SisterFill(log.key, Grid(log.header.settings.parts), sisters)
        self._clock = clock
        self._cursors: dict[str, Position | None] = {}
        self._event_cursor = 0
        self._told: dict[str, int] = {}
        self._logger = logger.bind(room=log.key.room, take=log.key.take, origin=origin.name)

    async def run(self) -> None:
        """Return when the origin has the end of the take. No error of an origin comes out of here."""
        while True:
            try:
                if await self._introduce():
                    await self._follow()
            except TakeEnded:
                if self._log.end is None:
                    self._logger.warning("the origin has ended this take: it gets no more of it")
                return
            except LongwaveError as error:
                self._failed(error.message)
            except Exception:
                self._metrics.unexpected_errors.labels("publisher").inc()
                self._logger.exception("unexpected error while feeding an origin")
                self._failed("unexpected error")
            else:
                return
            await asyncio.sleep(self._backoff.next())

    @property
    def up_to_date(self) -> bool:
        """The origin has all that the log holds."""
        return bool(self._cursors) and not self._steps()

    @property
    def reached(self) -> Position | None:
        """The first position that the origin was not seen to have; None where it has no media."""
        cursors = [cursor for cursor in self._cursors.values() if cursor is not None]
        return min(cursors) if cursors and len(cursors) == len(self._cursors) else None

    # ------------------------------------------------------------ where the origin stands

    async def _introduce(self) -> bool:
        """Ask the origin for its cursors, after telling it of the take; false if there is nothing to tell."""
        log = self._log
        try:
            state = await self._origin.state(log.key)
        except UnknownTake:
            if log.holds_nothing:
                return False
            state = None
            await self._unless_taken(self._origin.put_take(log.key, log.header), "take.json")
        if state is not None and state.end is not None:
            raise TakeEnded("the origin has the end of this take")
        for rendition, data in log.inits.items():
            await self._unless_taken(self._origin.put_init(log.key, rendition, data), f"{rendition}/init.mp4")
        self._cursors = {}
        for rendition in log.inits:
            there = None if state is None else state.renditions.get(rendition)
            self._cursors[rendition] = None if there is None or there.first is None else there.next
        self._event_cursor = 0
        self._fill.begin()
        return True

    # ------------------------------------------------------------ bringing it up to date

    async def _follow(self) -> None:
        """Put everything that comes, up to the end."""
        log = self._log
        while True:
            seen = log.version
            await self._put_events()
            steps = self._steps()
            if steps:
                await self._put_round(steps)
                continue
            if (samples := log.closing(self._cursors.values())) is not None:
                await self._origin.end(log.key, samples)
                return
            self._succeeded()
            await log.changed(seen)

    def _steps(self) -> list[Step]:
        steps = (self._log.step(rendition, cursor) for rendition, cursor in self._cursors.items())
        return [step for step in steps if step is not None]

    async def _put_events(self) -> None:
        for cursor, event in self._log.events_after(self._event_cursor):
            what = f"event {event.id}"
            try:
                await self._unless_taken(self._origin.put_event(self._log.key, event), what)
            except (OverLimit, MalformedMedia) as error:
                # Sound does not wait for what is told of it.
                self._logger.warning("the origin does not take an event", what=what, error=error.message)
            except (ValueError, TypeError) as error:
                # One that cannot even be put into words.
                self._logger.warning("an event makes no sense: left out", what=what, error=repr(error)[:200])
            self._event_cursor = cursor

    async def _put_round(self, steps: list[Step]) -> None:
        """One step of every rendition, side by side: a far origin costs one round trip for all of them."""
        if len(steps) == 1:
            await self._put(steps[0])
        else:
            # All of them settle before an error counts: nothing is in flight when the origin is asked again.
            outcomes = await asyncio.gather(*map(self._put, steps), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome
        self._taken()
        self._succeeded()
        if not all(isinstance(step, PutPart) for step in steps):
            await asyncio.sleep(0)  # an origin in this process is filled in one go: let others run between

    async def _put(self, step: Step) -> None:
        key, origin = self._log.key, self._origin
        cursor = self._cursors[step.rendition]
        if isinstance(step, PutGap) and step.msn < self._log.first and cursor is not None:
            step = await self._fill.instead_of(step, cursor)
        try:
            match step:
                case PutPart(rendition, position, _, data):
                    await origin.put_part(key, rendition, position.msn, position.part, data)
                    self._measure(position)
                case PutSegment(rendition, msn, _, data):
                    await origin.put_segment(key, rendition, msn, data)
                case PutGap(rendition, msn, _):
                    await origin.put_gap(key, rendition, msn)
                case _:
                    assert_never(step)
        except BytesConflict as error:
            # The first writer wins and listeners have a whole take: only the equality of origins is lost.
            self._conflict(step.what, error, segment=(step.rendition, step.msn))
        except MalformedMedia as error:
            self._logger.warning("the origin refuses media: a gap there", what=step.what, error=error.message)
            await origin.put_gap(key, step.rendition, step.msn)
            self._cursors[step.rendition] = Position(step.msn + 1, 0)
            return
        self._cursors[step.rendition] = step.then

    async def _unless_taken(self, put: Awaitable[None], what: str) -> None:
        try:
            await put
        except BytesConflict as error:
            self._conflict(what, error)

    # ------------------------------------------------------------ what is told of it

    def _measure(self, position: Position) -> None:
        instant = self._log.released(position)
        if instant is not None:
            self._metrics.part_latency.observe(self._clock() - instant)

    def _conflict(self, what: str, error: BytesConflict, segment: tuple[str, int] | None = None) -> None:
        """Count it; say it once for each segment."""
        self._metrics.publish_conflicts.labels(self._origin.name).inc()
        if segment is not None:
            rendition, msn = segment
            if self._told.get(rendition) == msn:
                return
            self._told[rendition] = msn
        self._logger.warning("the origin holds other bytes and keeps them", what=what, error=error.message)

    def _failed(self, reason: str) -> None:
        self._metrics.publish_retries.labels(self._origin.name).inc()
        if self.reachable:
            self._logger.warning("the origin does not take this, trying again", reason=reason)
        self.reachable = False

    def _succeeded(self) -> None:
        if not self.reachable:
            self._logger.info("the origin takes media again")
        self.reachable = True
        self._backoff.reset()
