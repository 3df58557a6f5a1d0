"""Whether a take is private is settled when it begins, and stays so whatever becomes of its room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import StorageUnavailable
from storage.disk_objects import DiskObjects
from storage.rooms import RoomRecord
from tests.world import World
from workers.intake import START_BUFFER

PRIVATE, PUBLIC = RoomRecord(visibility="private"), RoomRecord(visibility="public")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path, private_rooms=True)
    yield made
    await made.ingest.stop()


async def private(world: World, room: str = "room") -> bool:
    """Whether the take that begins now is."""
    _, bus = await world.live(room)
    return bus.header.settings.private


async def test_the_next_take_is_as_private_as_its_room(world: World) -> None:
    for room, record in (("a", PRIVATE), ("b", PUBLIC), ("c", RoomRecord(visibility="unlisted"))):
        world.rooms.put(room, record)
        assert await private(world, room) == (record is PRIVATE)
    assert not await private(world, "nobody-made-it")


@pytest.mark.parametrize(("before", "after"), [(PUBLIC, PRIVATE), (PRIVATE, PUBLIC)])
async def test_a_host_who_changes_a_room_before_the_first_word_changes_this_take(
    world: World, before: RoomRecord, after: RoomRecord
) -> None:
    world.rooms.put("room", before)
    speaker = await world.ingest.connect("room", None, 1)
    world.say(speaker, START_BUFFER - 1)
    world.rooms.put("room", after)
    world.say(speaker, 1)
    (bus,) = world.hub.live()
    assert bus.header.settings.private == (after is PRIVATE)


async def test_a_room_that_is_deleted_before_the_first_word_stays_what_it_was(world: World) -> None:
    world.rooms.put("room", PRIVATE)
    speaker = await world.ingest.connect("room", None, 1)
    world.rooms.delete("room")
    world.say(speaker, START_BUFFER)
    (bus,) = world.hub.live()
    assert bus.header.settings.private


async def test_a_take_stays_private_when_its_room_is_opened_and_after_a_restart(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.rooms.put("room", PRIVATE)
    _, bus = await world.live()
    key = bus.key
    world.rooms.put("room", PUBLIC)
    world.tick(100)
    assert bus.header.settings.private
    await world.ingest.stop()

    again = World(tmp_path)
    again.rooms.load()
    await again.resume()
    (resumed,) = again.hub.live()
    assert (resumed.key, resumed.header.settings.private) == (key, True)
    await again.ingest.stop()


@pytest.mark.parametrize("may_be", [True, False], ids=["with tokens", "where everything is open"])
async def test_a_room_of_which_nobody_can_say_anything_is_taken_for_private_where_rooms_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_be: bool
) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable("the storage is gone")

    monkeypatch.setattr(DiskObjects, "read", away)
    world = World(tmp_path, private_rooms=may_be)
    assert await private(world) == may_be
    await world.ingest.stop()
