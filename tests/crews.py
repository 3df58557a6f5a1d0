"""Workers that share takes; time is passed in, and what they publish is made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeKey
from contracts.take_state import RenditionState, TakeState
from pipeline.grid import Grid
from tests.on_the_bus import Clock, links_to, put_silence, put_take, take_key
from tests.redis_server import RedisServer
from workers.cluster.carrying import Carrying
from workers.cluster.directory import Directory
from workers.cluster.node import Node
from workers.cluster.nodes import BEAT_EVERY, Nodes
from workers.redis_bus.links import BusLinks
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors

KEY = take_key("room")


def state(following: Position | None, end: int | None = None) -> TakeState:
    """What an origin has that waits for this position; None: no media."""
    first = None if following is None else 0
    return TakeState({"64k": RenditionState(first, following or Position(0, 0))}, end)


@dataclass
class FakePublisher:
    """What origins say that they have, and how far they have takes from here."""

    origins: dict[TakeKey, list[TakeState | None]] = field(default_factory=dict)
    encoded: dict[TakeKey, Position] = field(default_factory=dict)
    asked: list[TakeKey] = field(default_factory=list)

    async def states(self, key: TakeKey) -> list[TakeState | None]:
        self.asked.append(key)
        return self.origins.get(key, [])

    def reached(self, key: TakeKey) -> Position | None:
        return self.encoded.get(key)


class Worker:
    """One worker; a `quick` one has encoded everything as soon as it follows a take.

    One that is `cut_off` reads the bus, and no origin takes anything from it.
    """

    def __init__(self, name: str, links: BusLinks, clock: Clock, redundancy: int) -> None:
        self.name = name
        self.quick = True
        self.cut_off = False
        self.mirrors = Mirrors(clock=clock)
        self.publisher = FakePublisher()
        self.metrics = Metrics(CollectorRegistry())
        self.directory = Directory(links, clock=clock)
        self.nodes = Nodes(links, self.me, clock=clock)
        self.carrying = Carrying(
            name,
            self.nodes,
            self.directory,
            self.mirrors,
            self.publisher,
            self.metrics,
            redundancy=redundancy,
            clock=clock,
        )

    def me(self) -> Node:
        carrying = self.carrying.carrying
        return Node(self.name, frozenset({"worker"}), encoder="fp", carrying=carrying, draining=self.cut_off)

    async def live(self) -> None:
        """One heartbeat, one look at what lives, and what follows from that."""
        await self.nodes.beat()
        await self.directory.refresh()
        self.carrying.look()
        await asyncio.gather(*self.carrying._taking_up.values(), *self.carrying._telling)
        for mirror in self.mirrors.live() if self.quick and not self.cut_off else ():
            self.encode(mirror)
        self.carrying.look()

    def encode(self, mirror: Mirror) -> None:
        mirror.brought("bus", all_of_it=True)
        self.publisher.encoded[mirror.key] = Grid(5).position_of_sample(mirror.top)

    def rooms(self) -> set[str]:
        return {mirror.key.room for mirror in self.mirrors.live()}


@dataclass
class Crew:
    """Workers, all of which live by the test's time."""

    clock: Clock
    workers: dict[str, Worker]
    servers: Sequence[RedisServer]

    def __getitem__(self, name: str) -> Worker:
        return self.workers[name]

    async def pass_time(self, seconds: float, *living: str) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until - 1e-9:
            self.clock.now += BEAT_EVERY
            for name in living or self.workers:
                await self.workers[name].live()

    def carriers(self, *among: str) -> dict[str, set[str]]:
        """Who carries each room."""
        names = among or tuple(self.workers)
        rooms = {room for name in names for room in self.workers[name].rooms()}
        return {room: {name for name in names if room in self.workers[name].rooms()} for room in rooms}


@asynccontextmanager
async def crew(servers: Sequence[RedisServer], *names: str, redundancy: int = 1) -> AsyncIterator[Crew]:
    clock = Clock()
    links = links_to(servers, clock)
    try:
        yield Crew(clock, {name: Worker(name, links, clock, redundancy) for name in names}, servers)
    finally:
        await links.close()


def put_takes(servers: Sequence[RedisServer], count: int) -> set[str]:
    rooms = {f"room{number}" for number in range(count)}
    for server in servers:
        for room in rooms:
            put_take(server, take_key(room))
            put_silence(server, take_key(room), 0, 9_600)
    return rooms


async def settled(clockwork: Crew, *living: str) -> None:
    """Everybody knows everybody, and takes are where they belong."""
    await clockwork.pass_time(4, *living)
