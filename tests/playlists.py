"""Reading playlists in tests: tags, attributes and URIs, as they stand in the text."""

from __future__ import annotations

import asyncio
import json
import re

from contracts.position import Position
from pipeline.grid import Grid
from tests.origins import Answer, RunningOrigin
from tests.waiting import until


def attribute(line: str, name: str) -> str:
    match = re.search(rf'(?:[:,]){name}=("[^"]*"|[^,]*)', line)
    assert match is not None, (line, name)
    return match[1].strip('"')


def tag(playlist: Answer, name: str) -> str:
    found = tags(playlist, name)
    assert len(found) == 1, found
    return found[0]


def tags(playlist: Answer, name: str) -> list[str]:
    return [line for line in playlist.lines if line == f"#{name}" or line.startswith(f"#{name}:")]


def segments(playlist: Answer) -> list[str]:
    return [line for line in playlist.lines if line and not line.startswith("#")]


async def blocked(room: RunningOrigin, query: str) -> asyncio.Task[Answer]:
    """A playlist request that is surely held."""
    task = asyncio.create_task(room.playlist(query))
    before = room.blocked
    await until(lambda: room.blocked > before)
    assert not task.done()
    return task


async def end(room: RunningOrigin, samples: int) -> Answer:
    return await room.put("end", json.dumps({"samples": samples}).encode(), "POST")


def samples_to(position: tuple[int, int], parts: int = 5) -> int:
    return Grid(parts).start_sample(Position(*position))
