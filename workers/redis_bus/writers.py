"""The writers of an ingest, one for each Redis, and what they find out together: that a take is delivered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from contracts.metrics import Metrics
from contracts.take import TakeKey
from pipeline.grid import SAMPLE_RATE, SEGMENT
from workers.memory_bus import MemoryHub
from workers.parts_log import WINDOW_SEGMENTS
from workers.redis_bus.claimed_rooms import ClaimedRooms
from workers.redis_bus.links import RedisLink
from workers.redis_bus.writer import BEAT_SECONDS, BusWriter

logger = structlog.get_logger()

LET_GO_SECONDS: Final = WINDOW_SEGMENTS * SEGMENT / SAMPLE_RATE
"""So long after its end no listener could want a take any more: its windows would be gone by now."""


class BusWriters:
    """Writes the takes of `hub` to every link, and closes those that workers have delivered to their end.

    That a take is delivered is believed when every Redis that answers says so. One that nobody delivers is
    let go of in the end: it would be held here, and offered in Redis, for ever. `clock` is monotonic.
    """

    def __init__(
        self,
        links: Iterable[RedisLink],
        hub: MemoryHub,
        claimed: ClaimedRooms,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._ended: dict[TakeKey, float] = {}
        self._writers = tuple(BusWriter(link, hub, claimed, metrics) for link in links)
        self._closer: asyncio.Task[None] | None = None

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """Tasks that never return by themselves."""
        closer = () if self._closer is None else (self._closer,)
        return (*closer, *(task for writer in self._writers for task in writer.background))

    def start(self) -> None:
        """Write from now on. Needs a running event loop."""
        for writer in self._writers:
            writer.start()
        self._closer = asyncio.create_task(self._close_delivered(), name="bus writers")

    async def stop(self, grace: float) -> None:
        """Write what is there, for at most `grace` seconds, and stop."""
        await asyncio.gather(*(writer.stop(grace) for writer in self._writers))
        if self._closer is not None:
            self._closer.cancel()
            await asyncio.gather(self._closer, return_exceptions=True)

    async def _close_delivered(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = self._clock()
            up = [writer for writer in self._writers if writer.link.up]
            ended = [bus.key for bus in self._hub.live() if bus.ended is not None]
            self._ended = {key: self._ended.get(key, now) for key in ended}
            for key in ended:
                if up and all(writer.delivered(key) for writer in up):
                    self._hub.close(key)
                elif now - self._ended[key] >= LET_GO_SECONDS:
                    logger.error("nobody delivered a take: let go of", room=key.room, take=key.take)
                    self._hub.close(key)
