"""A server that is killed while takes end: when it is back, they are finished."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

from storage.objects import Objects
from tests.faults.counting import assert_nothing_is_left, count
from tests.faults.room import Room, finished, restart, speaking
from tests.server import Server
from workers.archive.verify import verify


async def kill_at_the_end(
    server: Server, objects: Objects, wav: Path, names: Sequence[str], *, after: float
) -> int:
    """Rooms that end, and a server that is killed so many seconds `after`; how many samples they have."""
    async with speaking(server, wav, *names) as rooms:
        for room in rooms:
            await room.hear(2)
        for room in rooms:
            # One that came back to a take that is over would begin another.
            await room.stop_sender()
        asking = [asyncio.create_task(_ask(room)) for room in rooms]
        await asyncio.sleep(after)
        await restart(server)
        answers = await asyncio.gather(*asking)
        for room, ended in zip(rooms, answers, strict=True):
            # What was asked in the server's last moment may be forgotten; what was answered, not.
            status = await room.ask_to_end()
            assert not ended or status == HTTPStatus.NOT_FOUND, f"{room.name} goes on"
        recordings = [await room.recordings() for room in rooms]
    keys = [room.key for room in rooms]
    await finished(server.data_dir, objects, *keys, seconds=120)
    samples = 0
    for key, recorded in zip(keys, recordings, strict=True):
        samples += count(objects, key, recorded).samples
        assert_nothing_is_left(objects, key, server.data_dir)
        assert verify(objects, key).whole
    return samples


async def _ask(room: Room) -> bool:
    """Whether the server said that the take has ended."""
    try:
        return await room.ask_to_end() == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
