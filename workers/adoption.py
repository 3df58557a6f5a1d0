"""Takes whose ingest died and did not come back: some ingest ends them and tells their story."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import structlog

from contracts.errors import BusUnavailable, LivesElsewhere
from contracts.take import TakeKey
from workers.claims import RoomClaims
from workers.complaints import Complaints
from workers.held_rooms import HeldRooms
from workers.recovery import Recovery
from workers.take_keeper import TakeKeeper

log = structlog.get_logger()

# Ingests look at different times: the first who claims a room has it.
_LOOK_SECONDS: Final = (2.0, 4.0)
_TELL_AFTER_NS: Final = 5_000_000_000
"""Whoever ended a take has told its story long before that."""


class Adoption:
    """Looks for takes that nobody attends to, and waits `idle_ns` for a speaker to bring one back."""

    def __init__(
        self,
        claims: RoomClaims,
        held: HeldRooms,
        recovery: Recovery,
        keeper: TakeKeeper,
        idle_ns: int,
    ) -> None:
        self._claims = claims
        self._held_rooms = held
        self._recovery = recovery
        self._keeper = keeper
        self._idle_ns = idle_ns
        # Since when each is without anybody, in the time of whoever looks.
        self._since: dict[TakeKey, int] = {}
        self._told: set[TakeKey] = set()
        self._complaints = Complaints()

    async def run(self, monotonic_ns: Callable[[], int]) -> None:
        """Look every few seconds. Never returns."""
        while True:
            await asyncio.sleep(random.uniform(*_LOOK_SECONDS))  # noqa: S311 - no secret
            await self.look(monotonic_ns())

    async def look(self, now_ns: int) -> None:
        """See which takes are left alone; adopt those that were for too long."""
        try:
            found = await self._claims.unattended()
        except BusUnavailable:
            # Missing signs mean nothing now, and those of before are no beginning.
            self._since.clear()
            return
        alone = {take.key: take.closed for take in found if not self._keeper.keeps(take.key)}
        self._since = {key: self._since.get(key, now_ns) for key in alone}
        self._told &= alone.keys()
        for key, closed in alone.items():
            waited = now_ns - self._since[key]
            try:
                if not closed and waited >= self._idle_ns:
                    await self._close(key)
                elif closed and waited >= _TELL_AFTER_NS and key not in self._told:
                    await self._tell(key)
            except (LivesElsewhere, BusUnavailable) as error:
                log.debug("a take is not adopted", room=key.room, take=key.take, why=error.message)
            except Exception:
                # Whatever is wrong with one take: the others are looked after.
                if self._complaints.admit(key):
                    log.exception(
                        "unexpected error in a take without an ingest", room=key.room, take=key.take
                    )

    async def _close(self, key: TakeKey) -> None:
        """Mostly, whoever claims the room finds the take too old to go on, and it is done."""
        await self._held_rooms.hold(key.room)
        found = None if self._keeper.keeps(key) else await self._claims.recall(key)
        generation = self._claims.generation(key.room)
        if found is not None and not found.closed and generation is not None:
            self._recovery.close(found, generation)

    async def _tell(self, key: TakeKey) -> None:
        found = await self._claims.recall(key)
        if found is not None and found.closed:
            self._recovery.tell(found)
            self._told.add(key)
