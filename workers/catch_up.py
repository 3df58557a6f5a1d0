"""After the process stood still: what waits in the sockets is played before anything is called silence."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from workers.speaker import Speaker
from workers.stage import Stage
from workers.ticker import TURNS

Speakers = Collection[Speaker[Any]]

# Where so many speak that more arrives with every round, enough was read.
_ROUNDS: Final = 32
# A round brings a third of a second at least, of a stall of ten seconds at most: beyond this it is a flood.
_WAITS: Final = 128


async def catch_up(stages: Sequence[Stage], eat: Callable[[Stage, Speakers], Speakers]) -> None:
    """Let connections be read until there is nothing in them for what is due, and write that.

    First everything is read that a buffer takes: of a voice whose packets are all there it can be told which
    came late and which were only read late. Then `eat` writes what is due in a stage, up to a block that one
    of the given speakers may still have a part in, and says whom it waits for. Who is waited for and then
    brings nothing has been read dry, and nobody is waited for without end.
    """
    unread = {speaker for stage in stages for speaker in stage.speakers}
    for _ in range(_ROUNDS):
        if not await _read(unread):
            break
    waits: Counter[Speaker[Any]] = Counter()
    while hungry := {speaker for stage in stages for speaker in eat(stage, unread)}:
        waits.update(hungry)
        fed = await _read(hungry)
        unread -= {speaker for speaker in hungry if speaker not in fed or waits[speaker] >= _WAITS}


async def _read(speakers: Speakers) -> set[Speaker[Any]]:
    """Let connections be read for some turns of the loop; those that brought something."""
    before = {speaker: speaker.source.received for speaker in speakers}
    for _ in range(TURNS):
        await asyncio.sleep(0)
    return {speaker for speaker, was in before.items() if speaker.source.received != was}
