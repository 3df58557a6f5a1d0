"""Room records that a data directory holds from before its server was given a storage."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from contracts.errors import ObjectDamaged, PreconditionFailed, StorageUnavailable
from storage.rooms import RoomStore

if TYPE_CHECKING:
    from storage.objects import Objects

log = structlog.get_logger()


def move_rooms(before: Objects, rooms: RoomStore) -> None:
    """Put the records that a data directory holds into the storage, and remove them there.

    What cannot be moved stays, for the next start; also where the storage has the room already, for that may
    be the same file under another name.
    """
    old = RoomStore(before)
    try:
        for room in old.names():
            with suppress(PreconditionFailed):
                _move(room, old, rooms)
    except StorageUnavailable as error:
        log.warning("rooms stay in the data directory for now", reason=error.message)
    finally:
        old.close()


def _move(room: str, old: RoomStore, rooms: RoomStore) -> None:
    try:
        record = old.get(room)
    except ObjectDamaged as error:
        log.warning("a room cannot be read", room=room, reason=error.message)
        return
    if record is not None:
        rooms.put(room, record, only_if=lambda etag: etag is None)
        old.delete(room)
        log.info("a room is in the storage now", room=room)
