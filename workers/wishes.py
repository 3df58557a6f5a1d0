"""What a room's host wants: read when somebody connects, and never waited for longer than a moment."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from contracts.errors import DependencyError, StorageUnavailable
from pipeline.mix.sound import AS_IT_IS, VOICE, Sound
from storage.rooms import RoomRecord, RoomSound, RoomStore

log = structlog.get_logger()

# What a sender waits for the storage to say what its room wants.
_DISK_SECONDS: Final = 1.0


_DEFAULTS: Final = RoomRecord()


async def wishes(rooms: RoomStore, room: str, *, unknown: RoomRecord = _DEFAULTS) -> RoomRecord:
    """The record of `room`; the defaults where there is none, `unknown` where the storage does not say it."""
    try:
        record = await recorded(rooms, room)
    except DependencyError as error:
        log.warning("room record cannot be read", room=room, reason=error.message)
        return unknown
    return record or _DEFAULTS


async def recorded(rooms: RoomStore, room: str) -> RoomRecord | None:
    """The record of `room`, None where nobody made one; as it was last known where nothing says it in time.

    Raises DependencyError where nothing was ever known.
    """
    if rooms.fresh(room):
        return rooms.known(room)
    try:
        async with asyncio.timeout(_DISK_SECONDS):
            return await asyncio.shield(asyncio.wrap_future(rooms.look(room)))
    except (DependencyError, TimeoutError) as error:
        if (record := rooms.known(room)) is not None:
            return record
        if isinstance(error, TimeoutError):
            raise StorageUnavailable("the storage gives no answer") from None
        raise


def treatment(room: RoomSound, asked: RoomSound | None, *, microphone: bool) -> Sound:
    """What is done to a speaker's sound: as its connection `asked`, else as the room says."""
    wanted = room if asked is None else asked
    if wanted == "auto":
        return VOICE if microphone else AS_IT_IS
    return VOICE if wanted == "voice" else AS_IT_IS
