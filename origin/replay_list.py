"""The catalogue in memory: every published replay of a storage, for lobbies and feeds.

It is read again when somebody asks and it is older than it may be, entries that changed alone; nobody waits
long for that. While the storage gives no answer, what was last known is what there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import structlog

from contracts.errors import ObjectDamaged, StorageUnavailable
from origin.weighed import Weighed
from storage.documents import from_bytes
from storage.entry import ReplayEntry
from storage.names import REPLAYS, key_of
from storage.objects import ObjectInfo, Objects
from storage.pooled import Pooled
from storage.reading import content

log = structlog.get_logger()

# Threads that the catalogue takes at most: the others are for who listens.
_STRIPES: Final = 3
_WAIT_SECONDS: Final = 1.0
_COMPLAINTS: Final = 1_000

Rooms = Mapping[str, tuple[ReplayEntry, ...]]
"""Published replays by room, newest first; the room of the newest one first."""


class _Published(NamedTuple):
    """What is for everybody, and the same with what is for those who were let in."""

    public: Rooms
    all: Rooms


class ReplayList:
    """All entries of one storage, at most `fresh_seconds` old when it is asked and can be read.

    `clock` is monotonic.
    """

    def __init__(
        self, objects: Objects, pooled: Pooled, fresh_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._objects = objects
        self._pooled = pooled
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._entries: dict[str, tuple[str, ReplayEntry | None]] = {}
        self._rooms: _Published | None = None
        self._stale_at = clock()
        self._refreshing: asyncio.Task[None] | None = None
        self._complained: Weighed[tuple[str, str], bool] = Weighed(_COMPLAINTS)
        self.trouble: str | None = None
        """Why it could not be read the last time; None where it could."""

    async def rooms(self, *, private: bool = False) -> Rooms:
        """Everything that is published; `private` takes for those who were let in.

        Raises StorageUnavailable while it was never read.
        """
        if self._refreshing is None and (self._rooms is None or self._clock() >= self._stale_at):
            self._refreshing = asyncio.create_task(self._refresh(), name="catalogue")
        if self._refreshing is not None and (self._rooms is None or self.trouble is None):
            # The first who come wait for as long as it takes: an empty list would be a lie.
            patience = None if self._rooms is None else _WAIT_SECONDS
            await asyncio.wait([self._refreshing], timeout=patience)
        if self._rooms is None:
            raise StorageUnavailable(self.trouble or "the catalogue of replays has not been read yet")
        return self._rooms.all if private else self._rooms.public

    def expire(self) -> None:
        """Something has changed: who asks next waits for it to be read."""
        self._stale_at = self._clock()

    async def close(self) -> None:
        """Read no more."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def _refresh(self) -> None:
        self._stale_at = self._clock() + self._fresh_seconds
        try:
            await self._read()
        except StorageUnavailable as error:
            if self.trouble is None:
                log.warning("the catalogue of replays cannot be read", reason=error.message)
            self.trouble = error.message
        else:
            self.trouble = None
        finally:
            self._refreshing = None

    async def _read(self) -> None:
        found = await self._pooled.call(lambda: list(self._objects.list(REPLAYS)))
        changed = [info for info in found if self._entries.get(info.name, ("",))[0] != info.etag]
        stripes = [changed[first::_STRIPES] for first in range(_STRIPES)]
        read = await asyncio.gather(
            *(self._pooled.call(_read_entries, self._objects, stripe) for stripe in stripes if stripe)
        )
        kept = {info.name for info in found}
        entries = {name: entry for name, entry in self._entries.items() if name in kept}
        for entry in read:
            entries.update(entry)
        if entries != self._entries or self._rooms is None:
            self._entries = entries
            self._rooms = _published(entry for _, entry in entries.values() if entry is not None)
            self._complain()

    def _complain(self) -> None:
        """Say once of each version that cannot be read that it cannot."""
        for name, (etag, entry) in self._entries.items():
            if entry is None and self._complained.get((name, etag)) is None:
                self._complained.put((name, etag), value=True, weight=1)
                log.error("an entry of the catalogue is damaged", object=name)


def _read_entries(
    objects: Objects, wanted: Iterable[ObjectInfo]
) -> dict[str, tuple[str, ReplayEntry | None]]:
    """In a thread: entries by name, each with the version that it is; None for one that is damaged."""
    entries: dict[str, tuple[str, ReplayEntry | None]] = {}
    for info in wanted:
        found = content(objects, info.name)
        if found is None:
            continue
        try:
            entry = from_bytes(info.name, found.data, ReplayEntry.from_json)
        except ObjectDamaged:
            entry = None
        whole = entry is not None and entry.key == key_of(info.name)
        entries[info.name] = (found.info.etag, entry if whole else None)
    return entries


def _published(entries: Iterable[ReplayEntry]) -> _Published:
    newest = sorted(
        (entry for entry in entries if entry.published),
        key=lambda entry: (entry.epoch_us, entry.key.take),
        reverse=True,
    )
    return _Published(_by_room(entry for entry in newest if not entry.private), _by_room(newest))


def _by_room(published: Iterable[ReplayEntry]) -> Rooms:
    rooms: dict[str, list[ReplayEntry]] = {}
    for entry in published:
        rooms.setdefault(entry.key.room, []).append(entry)
    return {room: tuple(found) for room, found in rooms.items()}
