"""Readers of real Redis servers, and the owner of a take that writes to those."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.take import TakeHeader, TakeKey, TakeSettings
from tests.redis_server import RedisServer
from workers.redis_bus import keys
from workers.redis_bus.links import open_links
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors
from workers.redis_bus.reader import BusReader

HEADER = TakeHeader(0, TakeSettings(), "f")
SECOND = 48_000
RUN = 4800
SOUND = np.random.default_rng(2).integers(-9000, 9000, (100 * SECOND, 1)).astype("<i2")
NUMBERS = itertools.count()


@dataclass
class Worker:
    """The readers of a process, one for each server."""

    metrics: Metrics = field(default_factory=lambda: Metrics(CollectorRegistry()))
    mirrors: Mirrors = field(default_factory=Mirrors)

    def __post_init__(self) -> None:
        self.readers: list[BusReader] = []

    def start(self, *servers: RedisServer) -> None:
        self.links = open_links([server.url for server in servers], self.metrics)
        self.readers = [BusReader(link, self.mirrors, self.metrics) for link in self.links]
        for reader in self.readers:
            reader.start()

    async def stop(self) -> None:
        for reader in self.readers:
            await reader.stop()
        await self.links.close()

    def round_trips(self, index: int = 0, kind: str = "blocking") -> float:
        labels = {"bus": self.links[index].name, "kind": kind}
        return self.metrics.registry.get_sample_value("longwave_bus_round_trips_total", labels) or 0.0

    def take(self, first: int = 0) -> Mirror:
        return self.mirrors.follow(new_key(), HEADER, first)


def new_key() -> TakeKey:
    return TakeKey(f"reader-{next(NUMBERS)}", "20260131T200000Z-abc234")


def write(server: RedisServer, key: TakeKey, start: int, stop: int, run: int = RUN, gen: int = 1) -> None:
    """An owner writes the take's sound from `start` on."""
    with server.client() as client:
        pipeline = client.pipeline(transaction=False)
        for begin in range(start, stop, run):
            end = min(stop, begin + run)
            fields = {"kind": "pcm", "start": begin, "gen": gen, "pcm": SOUND[begin:end].tobytes()}
            pipeline.xadd(keys.pcm(key), fields, id=f"{end}-0")
        pipeline.execute()


def add(server: RedisServer, key: TakeKey, entry_id: str, **fields: str | bytes | int) -> None:
    with server.client() as client:
        client.xadd(keys.pcm(key), {"gen": 1, **fields}, id=entry_id)


def right(mirror: Mirror, start: int, stop: int) -> bool:
    return np.array_equal(mirror.read(start, stop), SOUND[start:stop])


async def read_all(mirror: Mirror, stop: int) -> None:
    """Read like a transcoder, and compare."""
    at = mirror.first
    while at < stop:
        await mirror.wait(min(stop, at + RUN))
        top = min(mirror.top, stop)
        assert right(mirror, at, top)
        at = top


@asynccontextmanager
async def reading(*servers: RedisServer) -> AsyncIterator[Worker]:
    """A process that reads from these servers."""
    worker = Worker()
    worker.start(*servers)
    try:
        yield worker
    finally:
        await worker.stop()
