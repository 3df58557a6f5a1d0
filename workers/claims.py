"""Who owns a room: what an ingest asks before it lets anybody in, and what it says of the takes it owns.

One ingest owns a room, mixes its take and writes it. An ingest that is alone owns every room (`NoCluster`);
among others it has to claim them (`workers.cluster.ownership`).
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from contracts.take import TakeEvent, TakeKey
from workers.take_memo import TakeMemo


@dataclass(frozen=True, slots=True)
class Continued:
    """A take as the bus has it, up to sample `top`; `events` are all that happened, as they were told.

    `closed`: the bus has its end. An owner that dies may have said `memo.ended` before the bus had it all.
    """

    key: TakeKey
    memo: TakeMemo
    top: int
    events: tuple[TakeEvent, ...] = ()
    closed: bool = False

    @property
    def over(self) -> bool:
        """Nobody goes on with it."""
        return self.closed or self.memo.ended is not None


@dataclass(frozen=True, slots=True)
class Claim:
    """A room that is owned here from now on, and the take of it that lives and wants to be continued."""

    generation: int
    take: Continued | None = None


class Unattended(NamedTuple):
    """A take on the bus that no ingest may be looking after. `closed`: the bus has its end."""

    key: TakeKey
    closed: bool


class RoomClaims(Protocol):
    """Rooms that this ingest owns, among all ingests. One event loop."""

    def owns(self, room: str) -> bool:
        """Whether `room` is this ingest's."""

    def generation(self, room: str) -> int | None:
        """The generation of this ingest's claim; None where it does not own `room`."""

    async def claim(self, room: str, known: int = 0) -> Claim:
        """Own `room`, with a generation above that which is `known` to have been there.

        Raises LivesElsewhere where another does, BusUnavailable where nobody can say.
        """

    def release(self, room: str) -> Coroutine[None, None, None]:
        """Give `room` up, with all that was noted of its takes: from this call on it is not owned.

        Once it is awaited, the next who claims the room has it at once.
        """

    async def owner_of(self, room: str) -> str | None:
        """The URL of another ingest that owns `room`, None where there is none. Raises BusUnavailable."""

    async def left(self, room: str) -> bool:
        """Whether a take lives in `room` that no ingest owns: its owner is gone. Raises BusUnavailable."""

    async def recall(self, key: TakeKey) -> Continued | None:
        """A take as the bus has it, live or ended; None where it is not known. Raises BusUnavailable."""

    async def unattended(self) -> Collection[Unattended]:
        """Takes on the bus that are not the live one of an owned room. Raises BusUnavailable."""

    def note(self, key: TakeKey, memo: TakeMemo) -> None:
        """What the bus should know of a take of this ingest; the newest counts."""

    def retain(self, keys: Collection[TakeKey]) -> None:
        """Forget what was noted of all other takes: they are delivered."""

    def lost(self) -> list[str]:
        """Rooms that another ingest took over since this was asked last."""

    @property
    def degraded(self) -> str | None:
        """Why no room can be claimed at all, in one line."""

    @property
    def in_touch(self) -> bool:
        """Whether anybody could tell this ingest that a room is its own no more."""

    def accepted(self, key: TakeKey) -> bool:
        """Whether the end that was written here is the take's: it may live on elsewhere until this is so."""


_FIRST: Final = 1


class NoCluster:
    """This ingest is the only one: every room is its own. See `RoomClaims`."""

    def owns(self, room: str) -> bool:
        """Always."""
        del room
        return True

    def generation(self, room: str) -> int | None:
        """There is only one."""
        del room
        return _FIRST

    async def claim(self, room: str, known: int = 0) -> Claim:
        """Nobody else is there to own it."""
        del room, known
        return Claim(_FIRST)

    async def release(self, room: str) -> None:
        """Nobody else wants it."""

    async def owner_of(self, room: str) -> str | None:
        """There is no other."""
        del room
        return None

    async def left(self, room: str) -> bool:
        """What lives here is owned here."""
        del room
        return False

    async def recall(self, key: TakeKey) -> Continued | None:
        """What lives here is known on disk alone."""
        del key
        return None

    async def unattended(self) -> Collection[Unattended]:
        """What lives here is attended here."""
        return ()

    def note(self, key: TakeKey, memo: TakeMemo) -> None:
        """Nobody else wants to know."""

    def retain(self, keys: Collection[TakeKey]) -> None:
        """Nothing was noted."""

    def lost(self) -> list[str]:
        """Nobody takes a room over."""
        return []

    @property
    def degraded(self) -> str | None:
        """Every room can."""
        return None

    @property
    def in_touch(self) -> bool:
        """Nobody has anything to tell."""
        return True

    def accepted(self, key: TakeKey) -> bool:
        """It lives nowhere else."""
        del key
        return True
