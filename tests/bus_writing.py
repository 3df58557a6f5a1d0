"""For tests of the bus: an ingest whose every sample is known, and what a Redis has of its takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from uuid import uuid4

import numpy as np
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeHeader, TakeKey
from tests.redis_server import RedisServer
from tests.takes import header
from workers.memory_bus import MemoryHub, MemoryTakeBus
from workers.redis_bus import keys
from workers.redis_bus.entries import Ended, Entry, Gap, Happened, Silence, Sound, decode
from workers.redis_bus.links import BusLinks, open_links
from workers.redis_bus.writers import BusWriters
from workers.take_memo import TakeMemo

BLOCK = 240
_numbers = count()


def new_metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def new_key() -> TakeKey:
    return TakeKey(f"room-{uuid4().hex[:12]}", f"20260101T000000Z-{next(_numbers):06}")


def pcm(start: int, stop: int) -> bytes:
    """Mono samples that say where they belong, and are never zero."""
    return (np.arange(start, stop) % 32_000 + 1).astype("<i2").tobytes()


@dataclass
class Owned:
    """An ingest that owns every room, until it is told otherwise."""

    current: int | None = 1
    header: TakeHeader = field(default_factory=header)
    told: list[tuple[str, int]] = field(default_factory=list)
    over: set[TakeKey] = field(default_factory=set)

    def generation(self, room: str) -> int | None:
        return self.current

    def memo(self, key: TakeKey) -> TakeMemo | None:
        return None if self.current is None else TakeMemo(self.header, self.current)

    def closed(self, key: TakeKey) -> None:
        self.over.add(key)

    def deposed(self, room: str, generation: int) -> None:
        self.told.append((room, generation))


@dataclass
class Stream:
    """All entries of a take in one Redis, with their IDs."""

    entries: list[tuple[str, Entry]]

    @property
    def spans(self) -> list[Sound | Silence | Gap]:
        return [entry for _, entry in self.entries if isinstance(entry, Sound | Silence | Gap)]

    @property
    def top(self) -> int:
        return self.spans[-1].stop if self.spans else -1

    @property
    def ended(self) -> list[int]:
        return [entry.samples for _, entry in self.entries if isinstance(entry, Ended)]

    @property
    def happened(self) -> list[str]:
        return [entry.event.id for _, entry in self.entries if isinstance(entry, Happened)]

    def check(self, first: int = 0) -> None:
        """Every sample is there once, where it belongs, from `first` on; IDs are what readers count on."""
        at = first
        for entry_id, entry in self.entries:
            match entry:
                case Sound(start, stop, sound):
                    assert start == at
                    assert sound == pcm(start, stop)
                    assert entry_id == f"{stop}-0"
                    at = stop
                case Silence(start, stop) | Gap(start, stop):
                    assert start == at
                    assert entry_id == f"{stop}-0"
                    at = stop
                case Happened(event):
                    assert event.sample <= at
                    assert entry_id.startswith(f"{at}-")
                case Ended(samples):
                    assert samples == at


def stream(server: RedisServer, key: TakeKey) -> Stream:
    with server.client() as client:
        found = client.xrange(keys.pcm(key))
    return Stream([(entry_id.decode(), decode(entry_id, fields)) for entry_id, fields in found])


def blocks(start: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """What the mixer appends from `start` to `stop`, block by block."""
    for at in range(start, stop, BLOCK):
        yield at, pcm(at, min(at + BLOCK, stop))


async def eventually(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Return once `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - tests look from outside
            await asyncio.sleep(0.01)


@dataclass
class Ingest:
    """An ingest with takes; each sample says where it belongs."""

    links: BusLinks
    hub: MemoryHub
    writers: BusWriters
    owned: Owned
    metrics: Metrics

    def open(self, key: TakeKey | None = None, first: int = 0) -> MemoryTakeBus:
        return self.hub.open(key or new_key(), self.owned.header, first)

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, {"bus": self.links[0].name, **labels}) or 0.0


@asynccontextmanager
async def open_ingest(
    *urls: str, generation: int = 1, sound_held: int = 60 * 48_000
) -> AsyncIterator[Ingest]:
    metrics, hub, owned = new_metrics(), MemoryHub(sound_held=sound_held), Owned(generation)
    links = open_links(urls, metrics)
    writers = BusWriters(links, hub, owned, metrics)
    writers.start()
    try:
        yield Ingest(links, hub, writers, owned, metrics)
    finally:
        await writers.stop(0)
        await links.close()


def play(bus: MemoryTakeBus, samples: int) -> None:
    for at, sound in blocks(bus.top, bus.top + samples):
        bus.append(at, sound)


async def written(server: RedisServer, bus: MemoryTakeBus) -> Stream:
    """Everything, once Redis has it but for the last tenth of a second."""
    await eventually(lambda: stream(server, bus.key).top > bus.top - 4800)
    return stream(server, bus.key)


def joins(bus: MemoryTakeBus, n: int) -> str:
    event = TakeEvent(bus.top, n, "join", speakers=("a",))
    bus.append_event(event)
    return event.id
