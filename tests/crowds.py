"""Simulated listeners in a test's own process, and a take that is fed to an origin in real time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from yarl import URL

from contracts.position import Position
from contracts.take import TakeHeader
from longwave.load.base import base_of
from longwave.load.crowd import Arrivals, Crowd, Target
from longwave.load.http_client import Dialer
from longwave.running import running as beside
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests.origins import ROOM, RunningOrigin
from tests.waiting import until

PAST = 4
"""Segments that are there already when a take is first heard of."""
_RATE = 48_000


@dataclass
class Feed:
    """A take in real time, to origins that all get the same; `hold` keeps it back until it is cleared."""

    origins: tuple[RunningOrigin, ...]
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    next: Position = field(default=Position(PAST, 0))
    epoch: float = 0.0

    async def begin(self) -> None:
        """All that is past at once; its last sample is of now."""
        settings = self.origins[0].settings
        self.epoch = time.time() - Grid(settings.parts).start_sample(self.next) / _RATE
        header = TakeHeader(int(self.epoch * 1e6), settings, "0" * 64)
        for room in self.origins:
            await room.put("take.json", json.dumps(header.to_json()).encode())
            for rendition in settings.renditions:
                await room.put(f"{rendition.name}/init.mp4", init_segment(settings, rendition))
            await room.feed(self.next)

    async def go_on(self) -> None:
        """Part after part, each when its last sample has passed."""
        grid = Grid(self.origins[0].settings.parts)
        while True:
            after = grid.after(self.next)
            due = self.epoch + grid.start_sample(after) / _RATE
            await asyncio.sleep(max(0.0, due - time.time()))
            await until(lambda: not self.hold.is_set())
            for room in self.origins:
                await room.feed(after)
            self.next = after


@asynccontextmanager
async def on_air(*origins: RunningOrigin) -> AsyncIterator[Feed]:
    """A take that goes on meanwhile."""
    feed = Feed(origins)
    await feed.begin()
    async with beside(feed.go_on(), "feed"):
        yield feed


@asynccontextmanager
async def listening(
    url: str, number: int, *, low_latency: bool = False, listen: str = "", every: float = 0.03
) -> AsyncIterator[Crowd]:
    """A crowd of `number`; when it is over all have left."""
    path = f"/live/{ROOM}/index.m3u8"
    target = Target(base_of(URL(url)), path.encode(), low_latency=low_latency, listen=listen.encode())
    dialer = Dialer(None)
    crowd, stop = Crowd(target, dialer), asyncio.Event()
    arrivals = Arrivals(time.monotonic(), every, number)
    running = asyncio.create_task(crowd.run(arrivals, stop))
    try:
        yield crowd
    finally:
        stop.set()
        await running
        await dialer.close()
