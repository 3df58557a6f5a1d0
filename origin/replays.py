"""The replays that an origin serves: found by their take, or listed; read here, or to be found elsewhere.

What is found is kept for `fresh_seconds`, and so is what is not: names come from anybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, urlsplit

from contracts.errors import NotFound, NotReady, ObjectDamaged, StillLive, StorageUnavailable
from contracts.take import TakeKey, read_private
from origin.collapse import Collapse
from origin.replay import Replay, entry_digest, load_replay
from origin.replay_list import ReplayList, Rooms
from origin.replay_reader import Reader, Stored
from origin.weighed import Weighed
from storage.documents import from_bytes
from storage.entry import ReplayEntry
from storage.names import entry_name, open_name, take_prefix
from storage.objects import Objects
from storage.pooled import Pooled
from storage.reading import content, is_deleted

T = TypeVar("T")

PRESIGN: Final = "presign"
# Documents that are kept parsed, by the bytes that they were; a take without a replay counts as a little.
_KEPT_BYTES: Final = 32 * 2**20
_NOTHING_BYTES: Final = 1_024
# Nobody knows when a take ends; a finished one is a matter of seconds.
_LIVE_RETRY_SECONDS: Final = 10
_FINISHING_RETRY_SECONDS: Final = 2
# Longer than any redirect is kept, so that nobody is sent to an address that is over.
_PRESIGNED_SECONDS: Final = 3_600


class LiveHere(Protocol):
    """`origin.service.Origin.is_live`."""

    def __call__(self, key: TakeKey, *, private: bool) -> bool | None:
        """Whether a take is live here (True), over (False) or not known (None)."""


def _nowhere(key: TakeKey, *, private: bool) -> None:
    """Nobody knows of any window."""


class NoReplay(NotFound):
    """No such replay, or none for who asks: the same answer, so that nobody finds out which of them it is."""

    def __init__(self) -> None:
        super().__init__("there is no such replay")

    def headers(self) -> dict[str, str]:
        """A host gets another answer at the same address."""
        return {"Vary": "Authorization"}


class _View(NamedTuple):
    """A take as it is for everybody, or for those who hear of `private` ones."""

    key: TakeKey
    private: bool


class _Absent(Enum):
    """Why a take has no entry in the catalogue: there is nothing of it, it is in work, it was deleted."""

    UNKNOWN = 0
    OPEN = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class _Known:
    """What a look into the storage has found: a replay with its entry's digest, or why there is none."""

    until: float
    entry: str = ""
    replay: Replay | None = None
    absent: _Absent = _Absent.UNKNOWN


class Replays:
    """The replays of one storage.

    `live` says whether a take is live here (True), over (False) or not known (None). `redirect` is where
    listeners are sent for media: None (nowhere), `presign`, or the address of a CDN before the storage.
    What is private is found and listed for those who ask for it (`private`), and is not there for others.
    """

    def __init__(
        self,
        objects: Objects,
        pooled: Pooled,
        *,
        fresh_seconds: float = 1.0,
        redirect: str | None = None,
        live: LiveHere = _nowhere,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reader = Reader(objects, pooled)
        self._objects = objects
        self._pooled = pooled
        self._fresh_seconds = fresh_seconds
        self._redirect = redirect
        self._live = live
        self._clock = clock
        self._list = ReplayList(objects, pooled, fresh_seconds, clock)
        self._known: Weighed[_View, _Known] = Weighed(_KEPT_BYTES)
        self._once: Collapse[tuple[_View, int], _Known] = Collapse()
        self._trouble: str | None = None
        self._changes = 0

    # ---- finding ----------------------------------------------------------------------------------------

    async def find(self, key: TakeKey, *, private: bool = False) -> Replay:
        """The replay of a take, published or not.

        Raises NotFound, StillLive while its take is live or being finished, StorageUnavailable,
        ObjectDamaged, and BadRequest where no take can be called so.
        """
        take_prefix(key)
        view = _View(key, private)
        known = self._known.get(view)
        if known is None or known.until <= self._clock():
            # Who asks after a change does not wait for what was asked before it.
            known = await self._once.run((view, self._changes), lambda: self._watched(self._look(view)))
        return self._found(view, known)

    async def newer(self, replay: Replay, error: ObjectDamaged) -> Replay:
        """What is there now, where the storage has not the bytes that `replay` speaks of.

        Raises NotReady while it is being changed, what `find` does, and `error` where nothing explains it.
        """
        # In this order: a change that is over now has left another version.
        changing = await self._watched(self._pooled.call(self._objects.head, open_name(replay.key)))
        view = _View(replay.key, replay.private)
        now = self._found(view, await self._watched(self._look(view)))
        if now.derived != replay.derived:
            return now
        if changing is not None:
            raise NotReady("this replay is being changed: try again in a moment")
        raise error

    def forget(self, key: TakeKey) -> None:
        """Something of this take has changed: it is read again when it is asked for next."""
        self._changes += 1
        for private in (False, True):
            self._known.drop(_View(key, private))
        self._list.expire()

    # ---- listing ----------------------------------------------------------------------------------------

    async def listed(self, room: str | None = None, *, private: bool = False) -> list[ReplayEntry]:
        """Published replays, of one room or of all, newest first. Raises StorageUnavailable."""
        rooms = await self._list.rooms(private=private)
        if room is not None:
            return [*rooms.get(room, ())]
        entries = (entry for found in rooms.values() for entry in found)
        return sorted(entries, key=lambda entry: (entry.epoch_us, entry.key.take), reverse=True)

    async def rooms(self) -> Rooms:
        """Published replays by room, for everybody. Raises StorageUnavailable."""
        return await self._list.rooms()

    # ---- elsewhere --------------------------------------------------------------------------------------

    async def elsewhere(self, stored: Stored, filename: str, *, private: bool) -> str | None:
        """The address where anybody may read an object, if listeners are to be sent to one.

        What is `private` has no address that is good for ever.
        """
        if self._redirect is None or (private and self._redirect != PRESIGN):
            return None
        if self._redirect != PRESIGN:
            return f"{self._redirect.rstrip('/')}/{quote(stored.name)}"
        return await self._pooled.call(
            self._objects.presign, stored.name, _PRESIGNED_SECONDS, filename=filename
        )

    @property
    def media_sources(self) -> tuple[str, ...]:
        """Where media may come from beside this origin, as a content security policy says it."""
        if self._redirect is None:
            return ()
        if self._redirect == PRESIGN:  # the storage alone knows its address
            return ("https:", "http:")
        where = urlsplit(self._redirect)
        return (f"{where.scheme}://{where.netloc}",)

    # ---- how it is --------------------------------------------------------------------------------------

    def degraded(self) -> list[str]:
        """What does not work although live audio does."""
        trouble = self._trouble or self._list.trouble
        return [f"replays: {trouble}"] if trouble else []

    async def close(self) -> None:
        """Ask the storage nothing any more."""
        await self._list.close()

    # ---- inside -----------------------------------------------------------------------------------------

    async def _look(self, view: _View) -> _Known:
        """Read what there is now, and keep it."""
        until, changes = self._clock() + self._fresh_seconds, self._changes
        entry = await self._pooled.call(content, self._objects, entry_name(view.key))
        if entry is None or _is_private(view.key, entry.data) > view.private:
            # The same looks for both: nobody is to find out how long it takes that there is nothing for them.
            why = _why_absent if entry is None else _why_hidden
            absent = await self._pooled.call(why, self._objects, view)
            known, weight = _Known(until, absent=absent), _NOTHING_BYTES
        else:
            known, weight = await self._load(view, entry.data, until)
        if changes == self._changes:  # else it may be what was there before
            self._known.put(view, known, weight)
        return known

    async def _load(self, view: _View, entry: bytes, until: float) -> tuple[_Known, int]:
        digest, before = entry_digest(entry), self._known.get(view)
        if before is not None and before.replay is not None and before.entry == digest:
            # An entry is written anew whenever anything that it speaks of changes.
            return _Known(until, digest, before.replay), self._known.weight_of(view)
        try:
            replay, size = await self._pooled.call(load_replay, self._objects, view.key, entry)
        except NotFound:
            return _Known(until, absent=_Absent.DELETED), _NOTHING_BYTES
        return _Known(until, digest, replay), size + _NOTHING_BYTES

    def _found(self, view: _View, known: _Known) -> Replay:
        """What was found. Raises NotFound or StillLive, which tell a listener why there is nothing."""
        if known.replay is not None:
            return known.replay
        deleted = known.absent is _Absent.DELETED
        live = None if deleted else self._live(view.key, private=view.private)
        if live:
            raise StillLive("this take is live: its replay comes when it has ended", _LIVE_RETRY_SECONDS)
        if known.absent is _Absent.OPEN or live is False:
            raise StillLive("this replay is being finished: try again", _FINISHING_RETRY_SECONDS)
        raise NoReplay

    async def _watched(self, work: Coroutine[Any, Any, T]) -> T:
        """The same, and how the storage is."""
        try:
            result = await work
        except StorageUnavailable as error:
            self._trouble = error.message
            raise
        self._trouble = None
        return result


def _why_absent(objects: Objects, view: _View) -> _Absent:
    """In a thread: whether a take without an entry was deleted, or is worked on."""
    if is_deleted(objects, view.key):
        return _Absent.DELETED
    mark = content(objects, open_name(view.key))
    if mark is None or from_bytes(open_name(view.key), mark.data, read_private) > view.private:
        return _Absent.UNKNOWN
    return _Absent.OPEN


def _why_hidden(objects: Objects, view: _View) -> _Absent:
    """In a thread: the same for one that is not to be heard of, nor that something of it is damaged."""
    with suppress(ObjectDamaged):
        _why_absent(objects, view)
    return _Absent.UNKNOWN


def _is_private(key: TakeKey, entry: bytes) -> bool:
    return from_bytes(entry_name(key), entry, read_private)
