"""The rooms that this ingest holds: claimed once, however many come at once, and given up when all is done.

A room is held from the first connection on until nobody is connected, no take of it lives, and all that was
said in it is delivered. Rooms of which the disk has a take are taken up at the start, or as soon as a bus
says whose they are.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from contracts.errors import BusUnavailable, LivesElsewhere, OverCapacity
from contracts.take import TakeKey
from workers.bus import BusHub
from workers.claims import RoomClaims
from workers.recovery import Recovery
from workers.stages import Stages
from workers.take_keeper import TakeKeeper
from workers.take_store import StoredTake

log = structlog.get_logger()

_SWEEP_NS: Final = 1_000_000_000
_AGAIN_SECONDS: Final = 1.0
# A round trip to Redis, or a failover of it.
_CONFIRM_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.01


class HeldRooms:
    """Claims rooms for `stages`, with the take that lives there. One event loop."""

    def __init__(
        self, hub: BusHub, stages: Stages, keeper: TakeKeeper, claims: RoomClaims, recovery: Recovery
    ) -> None:
        self._hub = hub
        self._stages = stages
        self._keeper = keeper
        self._claims = claims
        self._recovery = recovery
        self._held: set[str] = set()
        # Rooms that a task claims at this moment, and how many wait for them.
        self._claiming: dict[str, asyncio.Task[None]] = {}
        self._coming: Counter[str] = Counter()
        self._stored: dict[str, list[StoredTake]] = {}
        self._releasing: set[asyncio.Task[None]] = set()
        self._sweep_ns = 0

    async def start(self) -> None:
        """Take up what the last process left. Where no bus answers, `run` does it later."""
        self._stored = await self._recovery.stored()
        await self._take_up_stored()

    async def run(self) -> None:
        """Take up what could not be taken up before. Never returns."""
        while True:
            await asyncio.sleep(_AGAIN_SECONDS)
            await self._take_up_stored()

    async def stop(self) -> None:
        """Let nothing go on that was begun. The rooms stay held: they are released when the bus has all."""
        claiming = [*self._claiming.values()]
        for task in claiming:
            task.cancel()
        await asyncio.gather(*claiming, return_exceptions=True)
        await asyncio.gather(*self._releasing, return_exceptions=True)

    async def hold(self, room: str) -> None:
        """Return when `room` is this ingest's, and its take goes on here if one lives.

        It stays so at least until whoever asked lets the event loop go on. Raises LivesElsewhere,
        BusUnavailable, and OverCapacity where this ingest stops.
        """
        self._coming[room] += 1
        try:
            while (task := self._claiming.get(room)) or not self._ready(room):
                if task is None:
                    task = asyncio.create_task(self._claim(room), name=f"claim {room}")
                    task.add_done_callback(_seen)
                    self._claiming[room] = task
                await asyncio.wait([task])
                if task.cancelled():
                    raise OverCapacity("this server goes down: connect again in a moment")
                task.result()
        finally:
            self._coming[room] -= 1
            if not self._coming[room]:
                del self._coming[room]

    async def confirm_end(self, key: TakeKey) -> None:
        """Return when the end of a take that was ended here counts everywhere.

        Raises BusUnavailable where no bus has taken it within 3 s, or the room is another ingest's now.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(_CONFIRM_SECONDS):
                while not self._claims.accepted(key):
                    if not self._claims.owns(key.room):
                        break
                    await asyncio.sleep(_LOOK_SECONDS)
                else:
                    return
        raise BusUnavailable("no redis has confirmed that the take is over: ask again in a moment")

    def sweep(self, now_ns: int) -> None:
        """Let go of rooms that another ingest took; once a second, of those in which all is done."""
        self._drop_lost()
        if now_ns < self._sweep_ns:
            return
        self._sweep_ns = now_ns + _SWEEP_NS
        self._keeper.settle(self._claims.accepted)
        takes = [bus.key for bus in self._hub.live()]
        self._claims.retain(takes)
        busy = {key.room for key in takes} | self._coming.keys() | self._claiming.keys()
        for room in self._held - busy:
            if self._stages.get(room) is None:
                self._release(room)
        for stage in self._stages:
            if not self._claims.owns(stage.room):
                # However that came about: nobody shall speak into a room whose sound is written nowhere.
                log.error("a room in use is not owned", room=stage.room)
                self._stages.depose(stage.room)

    def _release(self, room: str) -> None:
        """Give `room` up: whoever comes from here on has to claim it."""
        self._held.discard(room)
        task = asyncio.create_task(self._claims.release(room), name=f"release {room}")
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    def _ready(self, room: str) -> bool:
        return self._claims.owns(room) and room not in self._stored

    async def _take_up_stored(self) -> None:
        rooms = [*self._stored]
        outcomes = await asyncio.gather(*(self.hold(room) for room in rooms), return_exceptions=True)
        for room, outcome in zip(rooms, outcomes, strict=True):
            match outcome:
                case None | LivesElsewhere() | BusUnavailable():
                    pass
                case Exception():
                    log.error("room cannot be taken up", room=room, exc_info=outcome)

    async def _claim(self, room: str) -> None:
        try:
            stored = self._stored.get(room, ())
            known = max((take.reservation.generation for take in stored), default=0)
            claim = await self._claims.claim(room, known)
            # What was here before another ingest had the room must be gone: it is not the same sound.
            self._drop_lost()
            self._held.add(room)
            try:
                owner = await self._recovery.take_up(claim, stored)
            except BaseException:
                self._undo(room, stored)
                raise
            self._stored.pop(room, None)
            if owner is not None:
                self._stages.resume(owner)
        except LivesElsewhere:
            await self._recovery.leave(self._stored.get(room, ()))
            self._stored.pop(room, None)
            raise
        finally:
            del self._claiming[room]

    def _undo(self, room: str, stored: Sequence[StoredTake]) -> None:
        """A room without its take is worse than none: it is free. What is on disk is taken up next time."""
        mine = {take.key for take in stored}
        for bus in self._hub.live():
            if bus.key.room != room or (bus.ended is not None and bus.key in mine):
                continue
            self._hub.close(bus.key)
            if bus.key not in mine:
                self._keeper.abandon(bus.key)
        self._release(room)

    def _drop_lost(self) -> None:
        lost = self._claims.lost()
        if lost:
            self._keeper.settle(self._claims.accepted)  # what was over before is still to be told
        for room in lost:
            log.warning("another ingest took a room over", room=room)
            self._held.discard(room)
            self._stages.depose(room)


def _seen(task: asyncio.Task[None]) -> None:
    """Whoever waited for it may have left: what went wrong was for them alone."""
    if not task.cancelled():
        task.exception()
