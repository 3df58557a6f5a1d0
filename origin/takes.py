"""The takes of an origin by room. Nothing of HTTP, of workers or of the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.errors import NotFound, UnknownTake
from contracts.ids import check_room, check_take

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contracts.take import TakeKey
    from origin.line import Line
    from origin.live_take import LiveTake


class Takes:
    """Rooms, and in each its takes. A room's current take is its newest running one, else its newest."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, LiveTake]] = {}

    def __iter__(self) -> Iterator[LiveTake]:
        return (take for takes in self._rooms.values() for take in takes.values())

    def __len__(self) -> int:
        return sum(map(len, self._rooms.values()))

    def add(self, take: LiveTake) -> None:
        """Add a take, in the place of one with the same key. Raises BadRequest for a key that cannot be."""
        room, name = check_room(take.key.room), check_take(take.key.take)
        self._rooms.setdefault(room, {})[name] = take

    def remove(self, take: LiveTake) -> None:
        """Let go of a take."""
        takes = self._rooms[take.key.room]
        del takes[take.key.take]
        if not takes:
            del self._rooms[take.key.room]

    def find(self, key: TakeKey) -> LiveTake | None:
        """A take, if it is here."""
        return self._rooms.get(key.room, {}).get(key.take)

    def known(self, key: TakeKey) -> LiveTake:
        """A take that workers were to put first. Raises UnknownTake."""
        take = self.find(key)
        if take is None:
            raise UnknownTake("put take.json first")
        return take

    def line(self, room: str, take: str, rendition: str) -> Line:
        """A rendition. Raises NotFound, or BadRequest where `room` cannot be a room's id."""
        live = self._rooms.get(check_room(room), {}).get(take)
        if live is None:
            raise NotFound("this take is not here (any more)")
        return live.line(rendition)

    def current(self, room: str) -> LiveTake:
        """A room's current take. Raises NotFound, or BadRequest where `room` cannot be a room's id."""
        takes = self._rooms.get(check_room(room))
        if not takes:
            raise NotFound("this room is not live")
        return _current(takes)

    def live(self) -> list[LiveTake]:
        """Each room's running take."""
        newest = (_current(takes) for takes in self._rooms.values())
        return [take for take in newest if not take.window.ended]

    def listeners(self, room: str) -> int:
        """How many listen to a room's current take, as far as can be told."""
        takes = self._rooms.get(room)
        return _current(takes).listeners() if takes else 0

    def count(self, *, ended: bool) -> int:
        """How many have ended, or go on."""
        return sum(take.window.ended is ended for take in self)

    @property
    def size(self) -> int:
        """Bytes of media held."""
        return sum(take.window.size for take in self)


def _current(takes: Mapping[str, LiveTake]) -> LiveTake:
    return max(takes.values(), key=lambda take: take.order)
