"""The rooms of a storage: their records at `rooms/{room}/room.json`, whoever of many servers wrote them.

The storage alone is right: records are written there under a condition. What lies before it saves time, and
answers while it is away: a cache that servers share, and each process' own memory.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from contracts.errors import (
    BadRequest,
    DependencyError,
    EditConflict,
    ObjectDamaged,
    PreconditionFailed,
    StorageUnavailable,
)
from contracts.ids import check_room
from storage.names import ROOMS, room_name
from storage.objects import Content, ObjectChanged, Objects
from storage.reading import content
from storage.room_looks import Looks
from storage.room_memory import RoomMemory, Seen
from storage.room_record import RoomRecord, RoomSound, etag_of

__all__ = ["CachedRoom", "OnlyIf", "RoomCache", "RoomRecord", "RoomSound", "RoomStore"]

log = structlog.get_logger()

_FRESH_SECONDS: Final = 5.0
"""How long a look into a storage that others write to is good for."""
_TRIES: Final = 20
"""Writers of one room who come before; a host has one or two pages open."""
_LOOKERS: Final = 4
_REFRESHERS: Final = 2
"""Beside those whom somebody waits for, so that a storage that hangs keeps nobody from asking the cache."""
_LOADERS: Final = 16

OnlyIf = Callable[[str | None], bool]
"""Whether a record may be written over the one that has this etag, or where there is none (None)."""


@dataclass(frozen=True, slots=True)
class CachedRoom:
    """A record's document as somebody read or wrote it `age` seconds ago; None: the room was deleted."""

    data: bytes | None
    age: float


class RoomCache(Protocol):
    """What servers share of records, for a while. Blocking, called from threads; it never raises."""

    def get(self, room: str) -> CachedRoom | None:
        """What it has of a room."""

    def put(self, room: str, data: bytes | None) -> None:
        """Remember a document, or that a room was deleted."""


class RoomStore:
    """Room records. Blocking, but for `known`, `fresh` and `look`: call it from a thread.

    `shared` says that other servers write to the storage, too. Then what is remembered is looked up again
    after 5 s. `clock` is monotonic.
    """

    def __init__(
        self,
        objects: Objects,
        cache: RoomCache | None = None,
        *,
        shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._objects = objects
        self._cache = cache
        self._shared = shared
        self._clock = clock
        self._memory = RoomMemory(_FRESH_SECONDS if shared else math.inf)
        self._looks = Looks(self.get, _LOOKERS)
        self._refreshes = Looks(self._refresh, _REFRESHERS)

    # ---- without waiting -----------------------------------------------------------------------------------

    def known(self, room: str) -> RoomRecord | None:
        """The record of `room` as it was last seen; where that was long ago, it is read again meanwhile."""
        seen = self._memory.seen(room)
        if self._shared and self._memory.fresh(room, self._clock()) is None:
            with suppress(StorageUnavailable):
                if seen is None:
                    self.look(room)
                else:
                    self._refreshes.begin(room)
        return None if seen is None else seen.record

    def looked_up(self, room: str) -> bool:
        """Whether what `known` says is what the storage said once, however long ago."""
        return self._memory.seen(room) is not None

    def fresh(self, room: str) -> bool:
        """Whether what `known` says is what the storage says, or was so a moment ago."""
        return self._memory.fresh(room, self._clock()) is not None

    def look(self, room: str) -> Future[RoomRecord | None]:
        """What `get` returns or raises, for those who cannot wait. Nobody may cancel it: others ask it, too.

        Raises StorageUnavailable where too many looks are under way, and after `close`.
        """
        return self._looks.begin(room)

    # ---- blocking ------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read every room; one that cannot be read is logged and left out."""
        away = threading.Event()

        def load_one(room: str) -> None:
            if away.is_set():
                return
            try:
                self._fetch(room)
            except DependencyError as error:
                if not isinstance(error, ObjectDamaged):
                    away.set()
                log.warning("a room cannot be read", room=room, reason=error.message)

        try:
            with ThreadPoolExecutor(_LOADERS) as pool:
                for _ in pool.map(load_one, self.names()):
                    pass
        except StorageUnavailable as error:
            log.warning("rooms cannot be listed", reason=error.message)

    def names(self) -> list[str]:
        """Every room of which something is kept: a record, or takes. Raises StorageUnavailable."""
        found = []
        for room in self._objects.children(ROOMS):
            with suppress(BadRequest):  # others may keep things of their own here
                found.append(check_room(room))
        return found

    def get(self, room: str) -> RoomRecord | None:
        """The record of `room`, None where nobody made one; while the storage is away, as it was last known.

        Raises StorageUnavailable where nothing is known, ObjectDamaged where what is stored is no record.
        """
        seen = self._memory.fresh(room, self._clock())
        if seen is not None:
            return seen.record
        cached = self._cached(room)
        if cached is not None:
            # All who write tell the cache: what is old in there is still right, unless the cache was away.
            if not self.fresh(room):
                with suppress(StorageUnavailable):
                    self._refreshes.begin(room)
            return cached.record
        return self._fetch(room)

    def put(self, room: str, record: RoomRecord, only_if: OnlyIf | None = None) -> bool:
        """Keep `record`, durably; True where the room is new.

        Raises PreconditionFailed where `only_if` says so, EditConflict, StorageUnavailable.
        """
        data = record.to_bytes()

        def write(there: Content | None) -> None:
            self._objects.replace(room_name(room), data, None if there is None else there.info.etag)

        there = self._change(room, write, only_if)
        self._wrote(room, replace(record, etag=etag_of(data)), data)
        return there is None

    def delete(self, room: str, only_if: OnlyIf | None = None) -> bool:
        """Forget `room`; False where there was none. Raises what `put` does."""

        def write(there: Content | None) -> None:
            if there is not None:
                self._objects.remove(room_name(room), there.info.etag)

        there = self._change(room, write, only_if)
        self._wrote(room, None, None)
        return there is not None

    def close(self) -> None:
        """Look for nothing any more; what hangs is not waited for."""
        self._looks.close()
        self._refreshes.close()

    # ---- inside --------------------------------------------------------------------------------------------

    def _cached(self, room: str) -> Seen | None:
        turn = self._memory.turn
        cached = None if self._cache is None else self._cache.get(room)
        if cached is None:
            return None
        try:
            record = None if cached.data is None else RoomRecord.from_bytes(room_name(room), cached.data)
        except ObjectDamaged:
            return None
        seen = Seen(record, self._clock() - cached.age)
        self._memory.read(room, seen, turn)
        return seen

    def _fetch(self, room: str) -> RoomRecord | None:
        turn, name = self._memory.turn, room_name(room)
        try:
            there = content(self._objects, name)
        except StorageUnavailable as error:
            seen = self._memory.seen(room)
            if seen is None or seen.record is None:
                raise
            log.warning("a room is as it was last known", room=room, reason=error.message)
            self._memory.read(room, Seen(seen.record, self._clock()), turn)
            return seen.record
        record = None if there is None else RoomRecord.from_bytes(name, there.data)
        if record is not None or self._shared:
            self._memory.read(room, Seen(record, self._clock()), turn)
        if there is not None and self._cache is not None:
            self._cache.put(room, there.data)
        return record

    def _change(
        self, room: str, write: Callable[[Content | None], None], only_if: OnlyIf | None
    ) -> Content | None:
        """`write` over what is there, which is returned, once nobody else does so in the same moment."""
        try:
            for _ in range(_TRIES):
                there = content(self._objects, room_name(room))
                if only_if is not None and not only_if(None if there is None else etag_of(there.data)):
                    raise PreconditionFailed(
                        "the room is not (any more) the one that was named: read it again"
                    )
                with suppress(ObjectChanged):
                    write(there)
                    return there
        except StorageUnavailable:
            self._memory.doubt(room)
            raise
        raise EditConflict("others change this room in the same moment: try again")

    def _wrote(self, room: str, record: RoomRecord | None, data: bytes | None) -> None:
        self._memory.wrote(room, Seen(record, self._clock()))
        if self._cache is not None:
            self._cache.put(room, data)

    def _refresh(self, room: str) -> None:
        cached = self._cached(room)
        if cached is not None and self.fresh(room):
            return
        try:
            self._fetch(room)
        except DependencyError as error:
            log.warning("a room cannot be read again", room=room, reason=error.message)
