"""Which takes have something for a Redis: a task for each waits for the next sample that is worth a write."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from contracts.take import TakeKey
from workers.memory_bus import MemoryHub, MemoryTakeBus
from workers.redis_bus.claimed_rooms import ClaimedRooms
from workers.redis_bus.keys import EXPIRES_SECONDS
from workers.redis_bus.take_cursor import TakeCursor

_READY_SECONDS: Final = 0.02


class WrittenTake:
    """A take that is written to one Redis."""

    def __init__(self, bus: MemoryTakeBus) -> None:
        self.key = bus.key
        self.bus = bus
        self.cursor = TakeCursor(bus)
        self.listed = False
        """This Redis has been told that there is something to be had."""
        self.signed: int | None = None
        """The generation of the claim under which it is written: under another, it is another's by now."""
        self.written = asyncio.Event()
        """Set once there is nothing to write but what is to come."""
        self.watcher: asyncio.Task[None] | None = None


class DueTakes:
    """The takes of `hub` and what is due of them. One event loop; `clock` is monotonic.

    Whoever writes waits for `wake`, looks at `due`, `beat` and `gone`, and takes off what is done.
    """

    def __init__(
        self,
        hub: MemoryHub,
        claimed: ClaimedRooms,
        beat_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.takes: dict[TakeKey, WrittenTake] = {}
        self.due: dict[TakeKey, None] = {}
        """In the order in which they became so."""
        self.beat = False
        """It is time to say everything of every take."""
        self.wake = asyncio.Event()
        self._gone: dict[TakeKey, float] = {}
        self._hub = hub
        self._claimed = claimed
        self._beat_seconds = beat_seconds
        self._clock = clock

    @property
    def gone(self) -> tuple[TakeKey, ...]:
        """Takes that are delivered and closed, and this Redis has not been told. Their keys expire there."""
        oldest = self._clock() - EXPIRES_SECONDS
        self._gone = {key: since for key, since in self._gone.items() if since > oldest}
        return tuple(self._gone)

    def left(self, key: TakeKey) -> None:
        """Redis knows that this one is gone."""
        self._gone.pop(key, None)

    def generation(self, take: WrittenTake) -> int | None:
        """What to sign with; None where somebody else writes this take."""
        generation = self._claimed.generation(take.key.room)
        if take.signed is None:
            take.signed = generation
        return None if generation is None or generation < take.cursor.newer else generation

    def mark(self, key: TakeKey) -> None:
        """There is something to write."""
        self.due[key] = None
        self.wake.set()

    async def follow(self) -> None:
        """Know every take of the hub. Runs until it is cancelled."""
        seen = -1
        try:
            while True:
                seen = await self._hub.changed(seen)
                self._look({bus.key: bus for bus in self._hub.live()})
        finally:
            for take in self.takes.values():
                if take.watcher is not None:
                    take.watcher.cancel()

    async def tick(self) -> None:
        """Beat. Runs until it is cancelled."""
        while True:
            self.beat = True
            self.wake.set()
            await asyncio.sleep(self._beat_seconds)

    def _look(self, live: dict[TakeKey, MemoryTakeBus]) -> None:
        for key, take in [*self.takes.items()]:
            if live.get(key) is not take.bus:
                self._forget(take)
        for key, bus in live.items():
            if key not in self.takes:
                take = self.takes[key] = WrittenTake(bus)
                take.watcher = asyncio.create_task(
                    self._watch(take), name=f"bus writer {key.room}/{key.take}"
                )

    def _forget(self, take: WrittenTake) -> None:
        del self.takes[take.key]
        self.due.pop(take.key, None)
        if take.watcher is not None:
            take.watcher.cancel()
        # That of a room that was lost meanwhile may live on: its new owner says when it is delivered.
        if take.bus.ended is not None and take.signed is not None and self.generation(take) == take.signed:
            self._gone[take.key] = self._clock()
            self.wake.set()

    async def _watch(self, take: WrittenTake) -> None:
        while self.generation(take) is None or self._claimed.memo(take.key) is None:  # noqa: ASYNC110 - once
            await asyncio.sleep(_READY_SECONDS)
        while not take.cursor.complete:
            await take.bus.wait(take.cursor.due_at)
            self.mark(take.key)
            await take.written.wait()
            take.written.clear()
