"""After the process stood still: what waits in the sockets is played before anything is called silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from workers.speaker import Speaker
from workers.stage import Stage
from workers.ticker import TURNS

Speakers = Collection[Speaker[Any]]


async def catch_up(stages: Sequence[Stage], eat: Callable[[Stage, Speakers], Speakers]) -> None:
    """Let connections be read, block by block, until there is nothing in them for what is due.

    `eat` writes what is due in a stage, up to a block that one of the given speakers may still have a part
    in, and says whom it waits for. Who is waited for and then brings nothing has been read dry.
    """
    unread = {speaker for stage in stages for speaker in stage.speakers}
    while hungry := [speaker for stage in stages for speaker in eat(stage, unread)]:
        before = [speaker.source.received for speaker in hungry]
        for _ in range(TURNS):
            await asyncio.sleep(0)
        unread.difference_update(
            speaker for speaker, was in zip(hungry, before, strict=True) if speaker.source.received == was
        )
