"""An ingest for tests: its ticker is the test, and its clocks stand still until they are moved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from contracts.errors import DiskUnavailable
from contracts.metrics import Metrics
from storage.disk_objects import DiskObjects
from storage.rooms import RoomStore
from storage.stories import Stories
from workers.claims import RoomClaims
from workers.ingest import Ingest, IngestSettings
from workers.intake import START_BUFFER
from workers.memory_bus import MemoryHub, MemoryTakeBus
from workers.speaker import PcmSpeaker
from workers.storyteller import Storyteller
from workers.take_clock import Clocks
from workers.take_keeper import TakeKeeper
from workers.take_store import Reservation, TakeStore

BLOCK = 960
TICK = 20_000_000
SECOND = 1_000_000_000
WALL_US = 1_769_889_600_000_000


class World:
    """An ingest whose ticker is the test."""

    def __init__(
        self,
        data: Path,
        store: TakeStore | None = None,
        remembered: Callable[[], bool] = lambda: True,
        *,
        block: int = BLOCK,
        claims: RoomClaims | None = None,
        **settings: float,
    ) -> None:
        self.now = 10 * SECOND
        self.wall_us = WALL_US
        self.tick_ns = TICK * block // BLOCK
        self.data = data
        self.registry = CollectorRegistry()
        self.hub = MemoryHub()
        self.rooms = RoomStore(DiskObjects(data))
        self.store = store or TakeStore(data / "takes")
        metrics = Metrics(self.registry)
        self.stories = Stories(DiskObjects(data))
        storyteller = Storyteller(self.store, self.stories, self.rooms)
        self.keeper = TakeKeeper(self.store, storyteller, metrics, linger=0.02, remembered=remembered)
        clocks = Clocks(lambda: self.now, lambda: self.wall_us + self.now // 1000, block)
        options = IngestSettings("f", **settings)  # type: ignore[arg-type]
        self.ingest = Ingest(self.hub, self.rooms, self.keeper, options, metrics, clocks, claims=claims)

    async def resume(self) -> None:
        """Start, with a ticker that never ticks by itself: the clock stands still."""
        await self.ingest.start()

    def say(self, speaker: PcmSpeaker, samples: int, value: int = 7) -> None:
        pcm = np.full((samples, speaker.intake.channels), value, "<i2")
        self.ingest.feed(speaker, pcm.tobytes())

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += self.tick_ns
            self.ingest.tick(self.now)

    async def live(self, room: str = "room", name: str | None = None) -> tuple[PcmSpeaker, MemoryTakeBus]:
        """A take with a speaker, one tick old."""
        speaker = await self.ingest.connect(room, name, 1)
        self.say(speaker, START_BUFFER)
        self.tick()
        (bus,) = [bus for bus in self.hub.live() if bus.key.room == room and bus.ended is None]
        return speaker, bus

    def present(self, room: str = "room") -> list[str | None]:
        """The names of all who are in the take."""
        live = self.ingest.live(room)
        return [] if live is None else [speaker.name for speaker in live.speakers]

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def on_disk(self) -> list[Reservation]:
        while True:
            with contextlib.suppress(DiskUnavailable):  # a take left while its directory was looked through
                return [take.reservation for take in TakeStore(self.data / "takes").stored()]
