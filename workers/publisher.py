"""Publishes takes: one log for each, and one feed for each take and origin.

No feed knows of another: an origin that is slow, empty or dead delays nobody, and no room waits for another.
What an origin lacks from before a log began is asked of the others.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import structlog

from contracts.errors import LongwaveError, UnknownTake
from contracts.take import TakeKey
from pipeline.boxes.init import init_segment
from pipeline.grid import SAMPLE_RATE, SEGMENT
from workers.origin_feed import OriginFeed
from workers.parts_log import WINDOW_SEGMENTS, TakeLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contracts.metrics import Metrics
    from contracts.position import Position
    from contracts.take import TakeHeader
    from contracts.take_state import TakeState
    from workers.origin_client import OriginClient

logger = structlog.get_logger()

# An origin that does not say where it stands within this is filled in later; live audio does not wait for it.
_STATE_TIMEOUT = 1.0
# Nobody's take: asked for to see whether an origin answers.
_NO_TAKE = TakeKey("longwave", "20000101T000000Z-aaaaaa")
# How often an ended take looks whether the origins that are left can be reached at all.
_CONCLUDE_EVERY = 0.5


class _Feeding(NamedTuple):
    """A feed to one origin, and the task that runs it."""

    origin: OriginClient
    feed: OriginFeed
    task: asyncio.Task[None]


@dataclass(slots=True, eq=False)
class _Publication:
    """A take that is being published: its log, a feed for each origin, and whether origins have its end."""

    log: TakeLog
    feeds: list[_Feeding] = field(default_factory=list)
    delivered: asyncio.Event = field(default_factory=asyncio.Event)
    conclusion: asyncio.Task[None] | None = None

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """All that is under way for it."""
        return [*(each.task for each in self.feeds), *([] if self.conclusion is None else [self.conclusion])]


class Publisher:
    """Hands takes to `origins`; holds `window_segments` segments of each. `clock` is monotonic."""

    def __init__(
        self,
        origins: Sequence[OriginClient],
        metrics: Metrics,
        *,
        window_segments: int = WINDOW_SEGMENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.taken = 0
        """Grows whenever an origin takes something."""
        self._origins = tuple(origins)
        self._metrics = metrics
        self._window = window_segments
        self._clock = clock
        self._takes: dict[TakeKey, _Publication] = {}

    async def set_origins(self, origins: Sequence[OriginClient]) -> None:
        """Publish to these from now on: new ones get every take that is open, those that left get no more.

        A client that was there before stays as it is; one that left is closed.
        """
        left = [origin for origin in self._origins if origin not in origins]
        new = [origin for origin in origins if origin not in self._origins]
        self._origins = tuple(origins)
        stopped = []
        for publication in self._takes.values():
            stopped += [each.task for each in publication.feeds if each.origin in left]
            publication.feeds = [each for each in publication.feeds if each.origin not in left]
            publication.feeds += [self._feed(publication.log, origin) for origin in new]
        await _stop(stopped)
        for origin in left:
            await origin.close()

    async def states(self, key: TakeKey) -> list[TakeState | None]:
        """What each origin that answers has of a take; `None` for one that does not know it."""
        answers = await asyncio.gather(*(self._state(origin, key) for origin in self._origins))
        return [state for answered, state in answers if answered]

    def open(self, key: TakeKey, header: TakeHeader, first: int) -> TakeLog:
        """The log of a take, from segment `first` on, with a feed to every origin behind it.

        A take that is open already gives the log there is, wherever that begins.
        """
        there = self._takes.get(key)
        if there is not None:
            return there.log
        settings = header.settings
        inits = {rendition.name: init_segment(settings, rendition) for rendition in settings.renditions}
        log = TakeLog(key, header, first, inits, self._window)
        self._takes[key] = _Publication(log, [self._feed(log, origin) for origin in self._origins])
        return log

    def reached(self, key: TakeKey) -> Position | None:
        """The first position that no origin has yet; None where none has media, or the take is not open."""
        publication = self._takes.get(key)
        feeds = () if publication is None else publication.feeds
        return max((each.feed.reached for each in feeds if each.feed.reached is not None), default=None)

    async def knock(self) -> bool:
        """Ask the origins for which nothing waits; whether one answers."""
        feeds = [each for publication in self._takes.values() for each in publication.feeds]
        waiting = [each.origin for each in feeds if not each.task.done() and not each.feed.up_to_date]
        idle = [origin for origin in self._origins if origin not in waiting]
        return any(await asyncio.gather(*map(self._answers, idle)))

    def finish(self, key: TakeKey, samples: int) -> None:
        """End a take of `samples` samples, all of which are in its log, or given up."""
        publication = self._takes[key]
        publication.log.finish(samples)
        name = f"conclude {key.room}/{key.take}"
        publication.conclusion = asyncio.create_task(self._conclude(publication), name=name)

    async def release(self, key: TakeKey) -> None:
        """Publish a take no more: somebody else does. Opened again, it begins with a new log."""
        publication = self._takes.pop(key, None)
        if publication is not None:
            await _stop(publication.tasks)

    async def delivered(self, key: TakeKey) -> None:
        """Return when every origin in reach has the end of a take, or one window length after its end."""
        publication = self._takes.get(key)
        if publication is not None:
            await publication.delivered.wait()

    async def stop(self, grace: float = 1.0) -> None:
        """Give feeds up to `grace` seconds to deliver what is encoded, stop them, close the clients."""
        deadline = self._clock() + grace
        while self._clock() < deadline and not self._all_up_to_date():  # noqa: ASYNC110 - once
            await asyncio.sleep(0.02)
        await _stop([task for publication in self._takes.values() for task in publication.tasks])
        self._takes.clear()
        for origin in self._origins:
            await origin.close()

    async def _state(self, origin: OriginClient, key: TakeKey) -> tuple[bool, TakeState | None]:
        try:
            async with asyncio.timeout(_STATE_TIMEOUT):
                return True, await origin.state(key)
        except UnknownTake:
            return True, None
        except (LongwaveError, TimeoutError) as error:
            logger.warning("an origin does not say what it has", origin=origin.name, reason=str(error))
            return False, None

    async def _answers(self, origin: OriginClient) -> bool:
        try:
            async with asyncio.timeout(_STATE_TIMEOUT):
                await origin.state(_NO_TAKE)
        except UnknownTake:
            return True
        except (LongwaveError, TimeoutError):
            return False
        return True

    def _note_taken(self) -> None:
        self.taken += 1

    def _feed(self, log: TakeLog, origin: OriginClient) -> _Feeding:
        feed = OriginFeed(
            log,
            origin,
            self._metrics,
            taken=self._note_taken,
            sisters=lambda: [each for each in self._origins if each is not origin],
            clock=self._clock,
        )
        name = f"feed {log.key.room}/{log.key.take} to {origin.name}"
        return _Feeding(origin, feed, asyncio.create_task(feed.run(), name=name))

    async def _conclude(self, publication: _Publication) -> None:
        """Forget a take once all origins have its end, or after so long that no listener could want it."""
        log = publication.log
        deadline = self._clock() + self._window * SEGMENT / SAMPLE_RATE
        while self._clock() < deadline:
            # Origins come and go meanwhile; where there is none, one may still come.
            pending = [each for each in publication.feeds if not each.task.done()]
            if publication.feeds and not pending:
                break
            anywhere = len(pending) < len(publication.feeds)
            if anywhere and not any(each.feed.reachable for each in pending):
                publication.delivered.set()
            if pending:
                await asyncio.wait([each.task for each in pending], timeout=_CONCLUDE_EVERY)
            else:
                await asyncio.sleep(_CONCLUDE_EVERY)
        else:
            logger.error("origins never got the end of a take", room=log.key.room, take=log.key.take)
        publication.delivered.set()
        del self._takes[log.key]
        for each in publication.feeds:
            each.task.cancel()

    def _all_up_to_date(self) -> bool:
        return all(
            each.task.done() or not each.feed.reachable or each.feed.up_to_date
            for publication in self._takes.values()
            for each in publication.feeds
        )


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
