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
    """Rooms, and in each its takes. A room's current take is its newest running one, else its newest.

    Private takes are there for those who ask as `private`, and as if they were not for all others.
    """

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

    def line(self, room: str, take: str, rendition: str, *, private: bool = False) -> Line:
        """A rendition. Raises NotFound, or BadRequest where `room` cannot be a room's id."""
        live = self._rooms.get(check_room(room), {}).get(take)
        if live is None or live.private > private:
            raise NotFound("this take is not here (any more)")
        return live.line(rendition)

    def current(self, room: str, *, private: bool = False) -> LiveTake:
        """A room's current take. Raises NotFound, or BadRequest where `room` cannot be a room's id."""
        take = self.find_current(check_room(room), private=private)
        if take is None:
            raise NotFound("this room is not live")
        return take

    def find_current(self, room: str, *, private: bool = False) -> LiveTake | None:
        """A room's current take, if there is one."""
        return _current(self._rooms.get(room, {}), private=private)

    def running(self, room: str, *, private: bool = False) -> LiveTake | None:
        """A room's running take, if there is one."""
        take = self.find_current(room, private=private)
        return None if take is None or take.window.ended else take

    def of_each_room(self, *, private: bool = False) -> list[LiveTake]:
        """Each room's current take."""
        newest = (_current(takes, private=private) for takes in self._rooms.values())
        return [take for take in newest if take is not None]

    def live(self, *, private: bool = False) -> list[LiveTake]:
        """Each room's running take."""
        return [take for take in self.of_each_room(private=private) if not take.window.ended]

    def listeners(self, room: str) -> int:
        """How many listen to a room's current take, private or not, as far as can be told."""
        take = self.find_current(room, private=True)
        return 0 if take is None else take.listeners()

    def count(self, *, ended: bool) -> int:
        """How many have ended, or go on."""
        return sum(take.window.ended is ended for take in self)

    @property
    def size(self) -> int:
        """Bytes of media held."""
        return sum(take.window.size for take in self)


def _current(takes: Mapping[str, LiveTake], *, private: bool) -> LiveTake | None:
    heard = (take for take in takes.values() if private or not take.private)
    return max(heard, key=lambda take: take.order, default=None)
