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
