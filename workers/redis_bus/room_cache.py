"""Room records in Redis: a cache before the storage, which alone is right.

Everybody who writes a record, or reads one from the storage, puts it here. An entry's age is told by the
time it has left: no two clocks are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, TypeVar

from contracts.errors import BusUnavailable
from storage.rooms import CachedRoom
from workers.redis_bus import keys
from workers.redis_bus.links import RedisLink

T = TypeVar("T")

_KIND: Final = "coordinate"
_PATIENCE_SECONDS: Final = 1.0
_DELETED: Final = b""


class RedisRoomCache:
    """A `RoomCache` on every Redis that answers. Make it on the event loop of its links.

    Its methods block, and are for other threads than the loop's.
    """

    def __init__(self, links: Sequence[RedisLink]) -> None:
        self._links = links
        self._loop = asyncio.get_running_loop()

    def get(self, room: str) -> CachedRoom | None:
        """The youngest entry of any Redis."""
        return self._wait(self._youngest(room))

    def put(self, room: str, data: bytes | None) -> None:
        """Remember a document, or that a room was deleted, for some minutes."""
        self._wait(self._put(room, _DELETED if data is None else data))

    async def _youngest(self, room: str) -> CachedRoom | None:
        found = await asyncio.gather(*(self._ask(link, room) for link in self._links if link.up))
        return min((each for each in found if each is not None), key=lambda each: each.age, default=None)

    async def _ask(self, link: RedisLink, room: str) -> CachedRoom | None:
        pipe = link.client.pipeline(transaction=False)
        pipe.get(keys.room(room))
        pipe.pttl(keys.room(room))
        try:
            data, left_ms = await link.call(_KIND, pipe.execute())
        except BusUnavailable:
            return None
        if data is None:
            return None
        age = keys.EXPIRES_SECONDS - max(0, left_ms) / 1000
        return CachedRoom(None if data == _DELETED else data, max(0.0, age))

    async def _put(self, room: str, data: bytes) -> None:
        async def put(link: RedisLink) -> None:
            with suppress(BusUnavailable):
                setting = link.client.set(keys.room(room), data, ex=keys.EXPIRES_SECONDS)
                await link.call(_KIND, setting)

        await asyncio.gather(*(put(link) for link in self._links if link.up))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` gives on the loop; None where it takes long, or the loop is over."""
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is self._loop:
                work.close()
                raise AssertionError("a room cache is asked from a thread: the loop would wait for itself")
        try:
            answer = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop is closed
            work.close()
            return None
        try:
            return answer.result(_PATIENCE_SECONDS)
        except (TimeoutError, CancelledError):
            answer.cancel()
            return None
