"""What a writer of the bus has to know of the rooms that its ingest has claimed, and what it tells of it."""

from __future__ import annotations

from typing import Protocol

from contracts.take import TakeKey
from workers.take_memo import TakeMemo


class ClaimedRooms(Protocol):
    """The rooms that this ingest owns, as far as it knows. One event loop; nothing here waits."""

    def generation(self, room: str) -> int | None:
        """The generation of this ingest's claim on `room`; None where it owns it no more: nothing is written.

        It holds until the room's takes are closed on the hub, or their ends would never be written.
        """

    def memo(self, key: TakeKey) -> TakeMemo | None:
        """What a bus should know of a take; None while there is nothing to tell: it is not written yet."""

    def closed(self, key: TakeKey) -> None:
        """A bus has the take to its end, from this ingest; said again and again."""

    def deposed(self, room: str, generation: int) -> None:
        """A bus says that somebody with this higher generation owns `room`."""
