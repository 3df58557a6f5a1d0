"""The room records of a process: in its storage, and what the data directory still holds from before."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import structlog

from contracts.errors import ObjectDamaged, PreconditionFailed, StorageUnavailable
from storage.disk_objects import DiskObjects
from storage.rooms import RoomCache, RoomStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from longwave.serve_replays import Kept
    from longwave.settings import StorageSettings

log = structlog.get_logger()

# A start waits no longer for a storage that others share: who asks for a room has it looked up.
_LOAD_SECONDS: Final = 5.0


@asynccontextmanager
async def opened_rooms(
    settings: StorageSettings, kept: Kept, cache: RoomCache | None = None
) -> AsyncIterator[RoomStore]:
    """The rooms of the storage, known already where it says so in time."""
    rooms = RoomStore(kept.objects, cache, shared=settings.shares_storage)
    loading = asyncio.create_task(asyncio.to_thread(_load, rooms, kept, settings), name="rooms")
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(
                asyncio.shield(loading), _LOAD_SECONDS if settings.shares_storage else None
            )
        yield rooms
    finally:
        loading.cancel()
        rooms.close()


def _load(rooms: RoomStore, kept: Kept, settings: StorageSettings) -> None:
    before = DiskObjects(settings.data_dir)
    if settings.shares_storage and before.name != kept.objects.name:
        move_rooms(before, rooms)
    rooms.load()


def move_rooms(before: DiskObjects, rooms: RoomStore) -> None:
    """Put the records that a data directory holds into the storage, which it was once; others' stay.

    What cannot be moved stays where it is, for the next start.
    """
    old = RoomStore(before)
    for room in old.names():
        try:
            record = old.get(room)
            if record is not None:
                with suppress(PreconditionFailed):
                    rooms.put(room, record, only_if=lambda etag: etag is None)
                    log.info("a room is in the storage now", room=room)
                old.delete(room)
        except ObjectDamaged as error:
            log.warning("a room cannot be read", room=room, reason=error.message)
        except StorageUnavailable as error:
            log.warning("rooms stay in the data directory for now", reason=error.message)
            break
    old.close()
