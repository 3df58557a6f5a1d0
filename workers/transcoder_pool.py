"""All transcoders of a process: a task for each take on the bus, a bounded set of threads for all of them."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from contracts.cores import available_cores
from workers.backoff import Backoff
from workers.quarantine import Quarantine
from workers.transcoder import EncodingThreads, Transcoder

if TYPE_CHECKING:
    from contracts.metrics import Metrics
    from contracts.take import TakeKey
    from workers.archive.archiver import Archiver
    from workers.bus import BusTakes, TakeBus
    from workers.publisher import Publisher

logger = structlog.get_logger()


class _Carried(NamedTuple):
    """A take in work. The same take on another bus is another one: it left, and came back."""

    bus: TakeBus
    task: asyncio.Task[None]


class TranscoderPool:
    """Encodes and publishes every take of `hub`, until `stop`; the `archiver` keeps what is encoded.

    A take that every origin in reach has to its end is closed on the hub: its owner sees that and forgets it.
    One that leaves the hub before is somebody else's from then on: publisher and archiver let go of it.
    `threads` is how many parts are completed at once, by default as many as there are cores; as many more
    encode ahead. Takes that the `quarantine` holds get gaps; by default this process counts alone.
    """

    def __init__(
        self,
        hub: BusTakes,
        publisher: Publisher,
        metrics: Metrics,
        *,
        threads: int | None = None,
        archiver: Archiver | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._hub = hub
        self._publisher = publisher
        self._metrics = metrics
        self._archiver = archiver
        self._quarantine = quarantine or Quarantine(metrics, time.monotonic)
        count = threads or available_cores()
        self._threads = EncodingThreads(
            completing=ThreadPoolExecutor(count, thread_name_prefix="encode"),
            ahead=ThreadPoolExecutor(count, thread_name_prefix="encode-ahead"),
        )
        self._takes: dict[TakeKey, _Carried] = {}
        self._leaving: dict[TakeKey, asyncio.Task[None]] = {}
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
        carried = (each.task for each in self._takes.values())
        tasks = [*carried, *self._leaving.values(), *self.background]
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
            there = {bus.key: bus for bus in self._hub.live()}
            for key, carried in [*self._takes.items()]:
                if there.get(key) is not carried.bus:
                    self._leave(key, carried)
            for key, bus in there.items():
                if key not in self._takes:
                    name = f"transcode {key.room}/{key.take}"
                    task = asyncio.create_task(self._carry(bus, self._leaving.get(key)), name=name)
                    carried = self._takes[key] = _Carried(bus, task)
                    task.add_done_callback(partial(self._forget, carried))

    def _forget(self, carried: _Carried, _: asyncio.Task[None]) -> None:
        if self._takes.get(carried.bus.key) is carried:
            del self._takes[carried.bus.key]
        self._quarantine.release(carried.bus.key)

    def _leave(self, key: TakeKey, carried: _Carried) -> None:
        del self._takes[key]
        carried.task.cancel()
        before = self._leaving.get(key)
        task = asyncio.create_task(self._let_go(carried, before), name=f"let go of {key.room}/{key.take}")
        self._leaving[key] = task
        task.add_done_callback(partial(self._gone, key))

    async def _let_go(self, carried: _Carried, before: asyncio.Task[None] | None) -> None:
        """Nothing more of a take that left comes from here; what is in the spool is still stored."""
        await asyncio.wait([carried.task, *([] if before is None else [before])])
        key = carried.bus.key
        await self._publisher.release(key)
        if self._archiver is not None:
            self._archiver.release(key)
        logger.info("this process encodes a take no more", room=key.room, take=key.take)

    def _gone(self, key: TakeKey, task: asyncio.Task[None]) -> None:
        if self._leaving.get(key) is task:
            del self._leaving[key]

    async def _carry(self, bus: TakeBus, leaving: asyncio.Task[None] | None) -> None:
        """Carry one take to its end; what fails here concerns no other take."""
        if leaving is not None:
            await asyncio.wait([leaving])
        backoff = Backoff(first=0.25, longest=5.0)
        while not await self._transcode(bus):  # noqa: ASYNC110 - tries, no poll
            await asyncio.sleep(backoff.next())
        await self._publisher.delivered(bus.key)
        # Not one that leaves: it is archived to its end here.
        self._takes.pop(bus.key, None)
        self._hub.close(bus.key)

    async def _transcode(self, bus: TakeBus) -> bool:
        try:
            transcoder = Transcoder(
                bus,
                self._publisher,
                self._threads,
                self._metrics,
                quarantine=self._quarantine,
                archiver=self._archiver,
            )
            await transcoder.run()
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._unexpected(bus.key, "a take's task failed: it starts again")
            self._quarantine.failed(bus.key)
            return False
        return True

    def _unexpected(self, key: TakeKey, what: str) -> None:
        self._metrics.unexpected_errors.labels("transcoder").inc()
        logger.exception(what, room=key.room, take=key.take)  # noqa: LOG004 - called while it is handled
