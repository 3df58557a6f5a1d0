"""Writes what is to be kept of live takes to disk, in threads: one write at a time for each take.

What comes while one is under way is written as one, the newest. A disk that fails is tried again every few
seconds, for as long as that takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVarTuple

from contracts.errors import StorageUnavailable
from workers.kept_take import KeptTake
from workers.storyteller import Storyteller
from workers.take_store import StoredTake, TakeStore

Ts = TypeVarTuple("Ts")

_THREADS: Final = 4
_STORY_THREADS: Final = 2
_RETRY_SECONDS: Final = 5.0


class TakeWriter:
    """Threads that write to `store`, and those that let `storyteller` tell what happened."""

    def __init__(self, store: TakeStore, storyteller: Storyteller) -> None:
        self._store = store
        self._storyteller = storyteller
        self._pool = ThreadPoolExecutor(_THREADS, "take-store")
        # A storage may hang, and reservations do not wait for it.
        self._story_pool = ThreadPoolExecutor(_STORY_THREADS, "take-story")

    async def stored(self) -> list[StoredTake]:
        """The takes that the last process left. Raises StorageUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._store.stored)

    async def follow(self, kept: KeptTake) -> None:
        """Write whatever is new of a take, until it is removed from the disk, or its keeper closes."""
        while True:
            await kept.news.wait()
            kept.news.clear()
            try:
                if kept.over:
                    await self._in_thread(kept.remove, self._store)
                    return
                await self._write(kept)
                await self._write_story(kept)
                kept.recovered()
                if kept.done:
                    kept.news.set()
            except StorageUnavailable as error:
                kept.say(f"takes: {error.message}")
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, kept.news.set)
            if kept.closing and not kept.news.is_set():
                kept.close()
                return

    def close(self) -> None:
        """Begin no more writes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._story_pool.shutdown(wait=False, cancel_futures=True)

    async def _write(self, kept: KeptTake) -> None:
        wanted = kept.wanted
        # A heartbeat need not survive the machine, only the process; a reservation and an end do.
        sync = wanted.reserved > kept.safe or wanted.generation > kept.safe_generation or wanted.ended
        await self._in_thread(kept.put, self._store, wanted, sync)
        kept.safe, kept.safe_end, kept.safe_generation = wanted.reserved, wanted.ended, wanted.generation
        kept.written.set()

    async def _write_story(self, kept: KeptTake) -> None:
        """What has happened, what the host ordered, how loud it was; once the take is over, its story."""
        # Looked at first: before a take ends, all of it was told, but more may be told while the disk writes.
        over = kept.wanted.ended
        while kept.events:
            events = tuple(kept.events)
            await self._in_thread(kept.append, self._store, events)
            del kept.events[: len(events)]
        if kept.orders != kept.safe_orders:
            orders = kept.orders
            await self._in_thread(self._store.put_orders, kept.key, orders)
            kept.safe_orders = orders
        if kept.loudness != kept.safe_loudness:
            loudness = kept.loudness
            await self._in_thread(self._store.put_loudness, kept.key, loudness)
            kept.safe_loudness = loudness
        if over and kept.final and not kept.told:
            tell = partial(self._storyteller.tell, kept.key, kept.header, kept.wanted.heartbeat)
            await asyncio.get_running_loop().run_in_executor(self._story_pool, tell)
            kept.told = True

    async def _in_thread(self, work: Callable[[*Ts], None], *args: *Ts) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)
