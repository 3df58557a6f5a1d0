"""What a process remembers of room records, how old that is, and which rooms it knows not to exist."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final

from storage.room_record import RoomRecord

_MOST_MISSING: Final = 1000
"""Names of rooms that nobody made: they come from anybody's requests."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The record of a room (None: there was none) at the monotonic instant `at`.

    `at` is None where it may be another by now, however short a time that is ago.
    """

    record: RoomRecord | None
    at: float | None


class RoomMemory:
    """Records by room; any number of threads use it. `fresh` is how long a look into the storage is good for.

    A record that was read while another was written is not kept: whoever reads notes the `turn` before.
    """

    def __init__(self, fresh: float) -> None:
        self._fresh = fresh
        self._lock = threading.Lock()
        self._turn = 0
        self._records: dict[str, Seen] = {}
        self._missing: dict[str, Seen] = {}

    @property
    def turn(self) -> int:
        """How often something was written from here."""
        return self._turn

    def seen(self, room: str) -> Seen | None:
        """What was seen last, however long ago."""
        with self._lock:
            return self._records.get(room) or self._missing.get(room)

    def fresh(self, room: str, now: float) -> Seen | None:
        """What was seen lately."""
        seen = self.seen(room)
        return None if seen is None or seen.at is None or now - seen.at > self._fresh else seen

    def read(self, room: str, seen: Seen, turn: int) -> None:
        """Keep what was read, unless something was written since `turn`."""
        with self._lock:
            if turn == self._turn:
                self._keep(room, seen)

    def wrote(self, room: str, seen: Seen) -> None:
        """Keep what was written: later than all that was read until now."""
        with self._lock:
            self._turn += 1
            self._keep(room, seen)

    def doubt(self, room: str) -> None:
        """Nobody knows what a write that failed has done: the record is still the last that was known."""
        with self._lock:
            self._turn += 1
            if (seen := self._records.get(room)) is not None:
                self._records[room] = Seen(seen.record, None)
            self._missing.pop(room, None)

    def _keep(self, room: str, seen: Seen) -> None:
        if seen.record is not None:
            self._missing.pop(room, None)
            self._records[room] = seen
            return
        self._records.pop(room, None)
        self._missing.pop(room, None)
        self._missing[room] = seen
        if len(self._missing) > _MOST_MISSING:
            del self._missing[next(iter(self._missing))]
