"""What a room's host wants: read when somebody connects, and never waited for longer than a moment."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from contracts.errors import DependencyError
from pipeline.mix.sound import AS_IT_IS, VOICE, Sound
from storage.rooms import RoomRecord, RoomSound, RoomStore

log = structlog.get_logger()

# What a sender waits for the disk to say what its room wants.
_DISK_SECONDS: Final = 1.0


async def wishes(rooms: RoomStore, room: str) -> RoomRecord:
    """The record of `room`; the defaults where there is none, or the disk does not say in time."""
    record = rooms.known(room)
    if record is None:
        try:
            async with asyncio.timeout(_DISK_SECONDS):
                record = await asyncio.to_thread(rooms.get, room)
        except (DependencyError, TimeoutError) as error:
            log.warning("room record cannot be read", room=room, reason=str(error) or "the disk hangs")
    return record or RoomRecord()


def treatment(room: RoomSound, asked: RoomSound | None, *, microphone: bool) -> Sound:
    """What is done to a speaker's sound: as its connection `asked`, else as the room says."""
    wanted = room if asked is None else asked
    if wanted == "auto":
        return VOICE if microphone else AS_IT_IS
    return VOICE if wanted == "voice" else AS_IT_IS
