"""Publishes takes: one log for each, and one feed for each take and origin.

No feed knows of another: an origin that is slow, empty or dead delays nobody, and no room waits for another.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from contracts.errors import LongwaveError, UnknownTake
from pipeline.boxes.init import init_segment
from pipeline.grid import SAMPLE_RATE, SEGMENT
from workers.origin_feed import OriginFeed
from workers.parts_log import WINDOW_SEGMENTS, TakeLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contracts.metrics import Metrics
    from contracts.take import TakeHeader, TakeKey, TakeState
    from workers.origin_client import OriginClient

logger = structlog.get_logger()

# An origin that does not say where it stands within this is filled in later; live audio does not wait for it.
_STATE_TIMEOUT = 1.0
# How often an ended take looks whether the origins that are left can be reached at all.
_CONCLUDE_EVERY = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Publication:
    """A take that is being published: its log, its feeds by task, and whether origins have its end."""

    log: TakeLog
    feeds: dict[asyncio.Task[None], OriginFeed]
    delivered: asyncio.Event


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
        self._origins = tuple(origins)
        self._metrics = metrics
        self._window = window_segments
        self._clock = clock
        self._takes: dict[TakeKey, _Publication] = {}
        self._conclusions: set[asyncio.Task[None]] = set()

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
        feeds = {}
        for origin in self._origins:
            feed = OriginFeed(log, origin, self._metrics, clock=self._clock)
            feeds[asyncio.create_task(feed.run(), name=f"feed {key.room}/{key.take} to {origin.name}")] = feed
        self._takes[key] = _Publication(log, feeds, asyncio.Event())
        return log

    def finish(self, key: TakeKey, samples: int) -> None:
        """End a take of `samples` samples, all of which are in its log, or given up."""
        publication = self._takes[key]
        publication.log.finish(samples)
        conclusion = asyncio.create_task(self._conclude(publication), name=f"conclude {key.room}/{key.take}")
        self._conclusions.add(conclusion)
        conclusion.add_done_callback(self._conclusions.discard)

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
        tasks = [*self._conclusions, *(task for taken in self._takes.values() for task in taken.feeds)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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

    async def _conclude(self, publication: _Publication) -> None:
        """Forget a take once all origins have its end, or after so long that no listener could want it."""
        log = publication.log
        deadline = self._clock() + self._window * SEGMENT / SAMPLE_RATE
        pending = set(publication.feeds)
        while pending and self._clock() < deadline:
            _done, pending = await asyncio.wait(pending, timeout=_CONCLUDE_EVERY)
            anywhere = len(pending) < len(publication.feeds)
            if anywhere and not any(publication.feeds[task].reachable for task in pending):
                publication.delivered.set()
        for task in pending:
            task.cancel()
        if pending:
            logger.error("origins never got the end of a take", room=log.key.room, take=log.key.take)
        publication.delivered.set()
        del self._takes[log.key]

    def _all_up_to_date(self) -> bool:
        return all(
            task.done() or not feed.reachable or feed.up_to_date
            for taken in self._takes.values()
            for task, feed in taken.feeds.items()
        )
