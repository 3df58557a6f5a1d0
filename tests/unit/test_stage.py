"""A room in use: how many it holds, and how soon a host's word is safe."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from contracts.errors import DiskUnavailable, OverCapacity
from tests.waiting import until
from tests.world import World
from workers.guest_list import HostOrders
from workers.intake import READ_AHEAD
from workers.take_store import TakeStore


async def test_who_comes_and_goes_at_once_takes_a_place_until_it_is_played(tmp_path: Path) -> None:
    # With a name of its own each time, nobody replaces anybody: without a bound all would be mixed.
    world = World(tmp_path, max_speakers=2)
    await world.live(name="Ada")
    for number in range(3):
        speaker = await world.ingest.connect("room", f"n{number}", 1)
        world.say(speaker, READ_AHEAD)
        world.ingest.leave(speaker)
    with pytest.raises(OverCapacity, match="come and gone"):
        await world.ingest.connect("room", "n3", 1)
    await world.ingest.connect("other", "n3", 1)
    world.tick(60)
    await world.ingest.connect("room", "n3", 1)
    await world.ingest.stop()


async def test_what_a_host_orders_is_stored_with_the_next_block(tmp_path: Path) -> None:
    # The host is told that it is done: a server that is killed a moment later must still know.
    world = World(tmp_path)
    await world.live(name="Ada")

    def stored() -> tuple[HostOrders, list[str]]:
        while True:
            with contextlib.suppress(DiskUnavailable):  # half of it is there
                for take in TakeStore(tmp_path / "takes").stored():
                    return take.orders, [event.title for event in take.events if event.kind == "chapter"]
                return HostOrders(), []

    world.ingest.chapter("room", "One")
    world.tick()
    await until(lambda: stored() == (HostOrders(), ["One"]))
    world.ingest.mute("room", "Ada")
    world.tick()
    await until(lambda: stored()[0] == HostOrders(muted=frozenset({"Ada"})))
    world.ingest.unmute("room", "Ada")
    world.tick()
    await until(lambda: stored()[0] == HostOrders())
    world.ingest.remove("room", "Ada")
    world.tick()
    await until(lambda: stored()[0] == HostOrders(removed=frozenset({"Ada"})))
    await world.ingest.stop()
