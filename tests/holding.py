"""A room of an ingest among others: its take on the bus, and its story."""

from __future__ import annotations

from dataclasses import replace

from contracts.take import TakeKey
from storage.take_record import TakeRecord
from tests.other_ingests import OtherIngests, key_at
from tests.waiting import until
from tests.world import WALL_US, World
from workers.archive.reading import read_story
from workers.claims import Continued
from workers.guest_list import HostOrders
from workers.memory_bus import MemoryTakeBus

ROOM = "room"
# World's clocks begin 10 s after this instant.
KEY, HEADER = key_at(WALL_US)


def bus_of(world: World, key: TakeKey = KEY) -> MemoryTakeBus:
    (bus,) = [bus for bus in world.hub.live() if bus.key == key]
    return bus


def with_orders(others: OtherIngests, orders: HostOrders) -> Continued:
    left = others.takes[KEY]
    return replace(left, memo=replace(left.memo, orders=orders))


def said_over(others: OtherIngests, samples: int, key: TakeKey = KEY, *, closed: bool = False) -> Continued:
    left = others.takes[key]
    return replace(left, memo=replace(left.memo, ended=samples), closed=closed)


async def story_of(world: World, key: TakeKey = KEY) -> TakeRecord:
    """The story of a take, once it is told."""
    await until(lambda: read_story(world.stories._objects, key) is not None)
    story = read_story(world.stories._objects, key)
    assert story is not None
    return story
