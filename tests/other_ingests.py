"""Claims to rooms among ingests that are not there: a test says what they own and what the bus has."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine

from contracts.errors import BusUnavailable, LivesElsewhere
from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from workers.claims import Claim, Continued, Unattended
from workers.take_memo import TakeMemo

OTHER = "http://other:1"


class OtherIngests:
    """See `workers.claims.RoomClaims`. `down`: no bus answers. A claim waits for `gate`.

    `accepts`: the bus takes the ends of takes.
    """

    def __init__(self) -> None:
        self.down = False
        self.accepts = True
        self.owners: dict[str, str] = {}
        self.takes: dict[TakeKey, Continued] = {}
        self.alone: list[Unattended] = []
        self.asked: list[str] = []
        self.released: list[str] = []
        self.noted: dict[TakeKey, TakeMemo] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self._generations: dict[str, int] = {}
        self._owned: set[str] = set()
        self._lost: list[str] = []

    def take_over(self, room: str) -> None:
        """Another ingest owns `room` from here on."""
        self.owners[room] = OTHER
        self._owned.discard(room)
        self._lost.append(room)

    def leave(self, key: TakeKey, header: TakeHeader, top: int, *events: TakeEvent) -> Continued:
        """A take on the bus whose owner is gone."""
        self.takes[key] = left = Continued(key, TakeMemo(header, 1), top, events)
        return left

    def owns(self, room: str) -> bool:
        return room in self._owned

    def generation(self, room: str) -> int | None:
        return self._generations[room] if room in self._owned else None

    async def claim(self, room: str, known: int = 0) -> Claim:
        self.asked.append(room)
        await self.gate.wait()
        self._check()
        if room in self.owners:
            raise LivesElsewhere(self.owners[room])
        self._owned.add(room)
        self._generations[room] = max(known, self._generations.get(room, 0)) + 1
        live = [take for take in self.takes.values() if take.key.room == room and not take.over]
        return Claim(self._generations[room], live[-1] if live else None)

    def release(self, room: str) -> Coroutine[None, None, None]:
        self._owned.discard(room)
        return self._released(room)

    async def _released(self, room: str) -> None:
        self.released.append(room)

    async def owner_of(self, room: str) -> str | None:
        self._check()
        return self.owners.get(room)

    async def left(self, room: str) -> bool:
        self._check()
        free = room not in self._owned and room not in self.owners
        return free and any(key.room == room and not take.over for key, take in self.takes.items())

    async def recall(self, key: TakeKey) -> Continued | None:
        self._check()
        return self.takes.get(key)

    async def unattended(self) -> Collection[Unattended]:
        self._check()
        return self.alone

    def note(self, key: TakeKey, memo: TakeMemo) -> None:
        self.noted[key] = memo

    def retain(self, keys: Collection[TakeKey]) -> None:
        self.noted = {key: memo for key, memo in self.noted.items() if key in keys}

    def lost(self) -> list[str]:
        lost, self._lost = self._lost, []
        return lost

    @property
    def degraded(self) -> str | None:
        return None

    @property
    def in_touch(self) -> bool:
        return not self.down

    def accepted(self, key: TakeKey) -> bool:
        del key
        return self.accepts and not self.down

    def _check(self) -> None:
        if self.down:
            raise BusUnavailable("no redis answers")


def key_at(epoch_us: int, room: str = "room") -> tuple[TakeKey, TakeHeader]:
    """A take that began then, somewhere else."""
    return TakeKey(room, "20260131T200000Z-aaaaaa"), TakeHeader(epoch_us, TakeSettings(), "e")
