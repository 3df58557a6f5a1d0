"""The writers of an ingest, one for each Redis, and what they find out together: that a take is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from contracts.metrics import Metrics
from workers.memory_bus import MemoryHub
from workers.redis_bus.links import RedisLink
from workers.redis_bus.owners import Owners
from workers.redis_bus.writer import BEAT_SECONDS, BusWriter


class BusWriters:
    """Writes the takes of `hub` to every link, and closes those that workers have delivered to their end.

    That a take is delivered is believed when every Redis that answers says so.
    """

    def __init__(self, links: Iterable[RedisLink], hub: MemoryHub, owners: Owners, metrics: Metrics) -> None:
        self._hub = hub
        self._writers = tuple(BusWriter(link, hub, owners, metrics) for link in links)
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
            up = [writer for writer in self._writers if writer.link.up]
            for bus in self._hub.live():
                if up and bus.ended is not None and all(writer.delivered(bus.key) for writer in up):
                    self._hub.close(bus.key)
