"""All transcoders of a process: a task for each take on the bus, a bounded set of threads for all of them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import structlog

from contracts.cores import available_cores
from workers.backoff import Backoff
from workers.transcoder import EncodingThreads, Transcoder

if TYPE_CHECKING:
    from contracts.metrics import Metrics
    from contracts.take import TakeKey
    from workers.archive.archiver import Archiver
    from workers.bus import BusHub, TakeBus
    from workers.publisher import Publisher

logger = structlog.get_logger()


class TranscoderPool:
    """Encodes and publishes every take of `hub`, until `stop`; the `archiver` keeps what is encoded.

    A take that every origin in reach has to its end is closed on the hub: its owner sees that and forgets it.
    `threads` is how many parts are completed at once, by default as many as there are cores; as many more
    encode ahead.
    """

    def __init__(
        self,
        hub: BusHub,
        publisher: Publisher,
        metrics: Metrics,
        *,
        threads: int | None = None,
        archiver: Archiver | None = None,
    ) -> None:
        self._hub = hub
        self._publisher = publisher
        self._metrics = metrics
        self._archiver = archiver
        count = threads or available_cores()
        self._threads = EncodingThreads(
            completing=ThreadPoolExecutor(count, thread_name_prefix="encode"),
            ahead=ThreadPoolExecutor(count, thread_name_prefix="encode-ahead"),
        )
        self._takes: dict[TakeKey, asyncio.Task[None]] = {}
        self._follower: asyncio.Task[None] | None = None

    @property
    def background(self) -> tuple[asyncio.Task[None], ...]:
        """The task that follows the hub, which never returns by itself."""
        return () if self._follower is None else (self._follower,)

    def start(self) -> None:
        """Follow the hub from now on. Needs a running event loop."""
        self._follower = asyncio.create_task(self._follow(), name="transcoder pool")

    async def stop(self) -> None:
        """Stop encoding; what is encoded stays with the publisher."""
        tasks = [*self._takes.values(), *self.background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # At most a few milliseconds: the piece that each thread is at.
        for executor in self._threads:
            executor.shutdown(wait=True, cancel_futures=True)

    async def _follow(self) -> None:
        seen = -1
        while True:
            seen = await self._hub.changed(seen)
            for bus in self._hub.live():
                if bus.key not in self._takes:
                    name = f"transcode {bus.key.room}/{bus.key.take}"
                    task = self._takes[bus.key] = asyncio.create_task(self._carry(bus), name=name)
                    task.add_done_callback(partial(self._forget, bus.key))

    def _forget(self, key: TakeKey, _: asyncio.Task[None]) -> None:
        self._takes.pop(key, None)

    async def _carry(self, bus: TakeBus) -> None:
        """Carry one take to its end; what fails here concerns no other take."""
        backoff = Backoff(first=0.25, longest=5.0)
        while not await self._transcode(bus):  # noqa: ASYNC110 - tries, no poll
            await asyncio.sleep(backoff.next())
        await self._publisher.delivered(bus.key)
        self._hub.close(bus.key)

    async def _transcode(self, bus: TakeBus) -> bool:
        try:
            transcoder = Transcoder(
                bus, self._publisher, self._threads, self._metrics, archiver=self._archiver
            )
            await transcoder.run()
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._unexpected(bus.key, "a take's task failed: it starts again")
            return False
        return True

    def _unexpected(self, key: TakeKey, what: str) -> None:
        self._metrics.unexpected_errors.labels("transcoder").inc()
        logger.exception(what, room=key.room, take=key.take)  # noqa: LOG004 - called while it is handled
