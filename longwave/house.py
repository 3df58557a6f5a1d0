"""What rooms stand on in every role: their records, where their takes are kept, and the process' metrics."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longwave.room_moving import move_rooms
from longwave.serve_replays import opened_storage
from storage.disk_objects import DiskObjects
from storage.rooms import RoomStore
from workers.redis_bus.room_cache import RedisRoomCache
from workers.wishes import recorded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from contracts.metrics import Metrics
    from longwave.cluster import Cluster
    from longwave.serve_replays import Kept
    from longwave.settings import StorageSettings
    from storage.rooms import RoomRecord


@dataclass(frozen=True, slots=True)
class House:
    """Room records, the storage, and metrics.

    `shared`: other processes write into the storage, too. `knows_rooms`: what hosts say of rooms is in there.
    """

    rooms: RoomStore
    kept: Kept
    metrics: Metrics
    shared: bool
    knows_rooms: bool

    def record_of(self, room: str) -> RoomRecord | None:
        """What its host says of a room, from memory."""
        return self.rooms.known(room) if self.knows_rooms else None

    async def look_up(self, room: str) -> RoomRecord | None:
        """The same, read where it never was. Raises DependencyError where nobody can say."""
        if self.shared and not self.rooms.looked_up(room):
            return await recorded(self.rooms, room)
        return self.record_of(room)

    def title_of(self, room: str) -> str | None:
        """A room's title for the lobby, from memory; None for one that is not to be listed."""
        if not self.knows_rooms:
            return None
        record = self.rooms.known(room)
        if record is None:
            # One that nobody made is listed by its id; of one that was not looked up yet it is not known.
            return "" if not self.shared or self.rooms.looked_up(room) else None
        return record.title if record.visibility == "public" else None


@asynccontextmanager
async def opened_house(
    settings: StorageSettings, metrics: Metrics, cluster: Cluster | None = None, *, hosts: bool = True
) -> AsyncIterator[House]:
    """The storage of the settings, and the rooms in it; `hosts` says that this process lets hosts in.

    Raises UsageError, StorageUnavailable.
    """
    shared = settings.shares_storage
    async with opened_storage(settings) as kept:
        cache = None if cluster is None else RedisRoomCache(cluster.links)
        rooms = RoomStore(kept.objects, cache, shared=shared)
        before = DiskObjects(settings.data_dir)
        if not shared:
            await asyncio.to_thread(rooms.load)
        elif before.name != kept.objects.name:
            await asyncio.to_thread(move_rooms, before, rooms)
        try:
            yield House(rooms, kept, metrics, shared, knows_rooms=shared or hosts)
        finally:
            await asyncio.to_thread(rooms.close)
