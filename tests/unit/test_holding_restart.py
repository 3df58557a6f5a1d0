"""An ingest among others that starts again: what its disk has, and what the bus has meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import BusUnavailable, StorageUnavailable
from contracts.take import TakeKey
from pipeline.grid import SAMPLE_RATE, SEGMENT
from storage.take_record import TakeRecord
from tests.holding import ROOM, bus_of, said_over, story_of
from tests.other_ingests import OTHER, OtherIngests
from tests.waiting import until
from tests.world import SECOND, World
from workers.archive.reading import read_story
from workers.memory_bus import MemoryTakeBus
from workers.take_keeper import LEAD
from workers.take_store import Reservation

# A take of 2 s on disk: its second segment was reserved in time.
LEFT = Reservation(2, SEGMENT - LEAD, generation=1)


async def crashed(data: Path) -> TakeKey:
    """A take of 2 s that a process left on its disk."""
    world = World(data)
    _, bus = await world.live(name="Ada")
    world.tick(99)
    await until(lambda: world.on_disk() == [LEFT])
    await world.ingest.stop()
    return bus.key


def restarted(data: Path, others: OtherIngests) -> World:
    world = World(data, claims=others)
    world.now += 5 * SECOND
    return world


async def test_after_a_restart_a_take_goes_on_where_the_bus_ends(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, other_ingests)
    (stored,) = await world.keeper.stored()
    top = int(1.5 * SAMPLE_RATE)
    other_ingests.leave(key, stored.header, top)
    await world.resume()
    assert bus_of(world, key).first == top
    # What the bus was not told before the crash it is told now; then, everybody is gone.
    kinds = [event.kind for event in bus_of(world, key).events_from(0)]
    assert kinds[: len(stored.events)] == [event.kind for event in stored.events]
    assert kinds[-1] == "leave"
    assert world.ingest.live(ROOM) is not None
    await world.ingest.stop()


async def test_after_a_restart_a_take_goes_on_that_no_bus_heard_of_for_long(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    world = World(tmp_path, idle_timeout=3)
    _, bus = await world.live(name="Ada")
    world.tick(199)  # Ada speaks, and no bus takes any of it
    await until(lambda: any(taken.heartbeat > 3 * SAMPLE_RATE for taken in world.on_disk()))
    await world.ingest.stop()
    top = SAMPLE_RATE // 2
    other_ingests.leave(bus.key, bus.header, top)
    again = World(tmp_path, claims=other_ingests, idle_timeout=3)
    again.now = world.now + SECOND
    await again.resume()
    assert bus_of(again, bus.key).first == top
    assert again.ingest.live(ROOM) is not None
    await again.ingest.stop()


async def test_after_a_restart_a_take_that_no_bus_has_goes_on_above_all_that_was_served(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, other_ingests)
    await world.resume()
    assert bus_of(world, key).first == 2 * SEGMENT
    await world.ingest.stop()


async def test_after_a_restart_generations_rise_also_where_the_bus_lost_its_memory(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    other_ingests._generations[ROOM] = 6
    world = World(tmp_path, claims=other_ingests)
    await world.live(name="Ada")
    world.tick(99)
    await until(lambda: [taken.generation for taken in world.on_disk()] == [7])
    await world.ingest.stop()
    for generation in (8, 9):
        empty = OtherIngests()
        world = restarted(tmp_path, empty)
        await world.resume()
        assert empty.generation(ROOM) == generation
        assert [taken.generation for taken in world.on_disk()] == [generation]
        await world.ingest.stop()


async def test_after_a_restart_a_take_that_lives_elsewhere_is_forgotten_here(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    other_ingests.owners[ROOM] = OTHER
    world = restarted(tmp_path, other_ingests)
    await world.resume()
    assert world.hub.live() == ()
    await until(lambda: world.on_disk() == [])
    assert read_story(world.stories._objects, key) is None
    await world.ingest.stop()


async def ended(world: World) -> MemoryTakeBus:
    """A take of 2 s that ended in a process, which has gone since."""
    _, bus = await world.live(name="Ada")
    world.tick(99)
    world.ingest.end(ROOM)
    await world.ingest.secure_end(bus.key)
    await world.ingest.stop()
    return bus


async def ended_and_untold(data: Path) -> MemoryTakeBus:
    """A take that ended while the storage was away, and whose process went."""

    class Away:
        def put(self, _: TakeRecord) -> bool:
            raise StorageUnavailable("the storage is gone")

    world = World(data)
    world.keeper._writer._storyteller._stories = Away()  # type: ignore[assignment]
    return await ended(world)


@pytest.mark.parametrize("forgotten", [True, False])
async def test_after_a_restart_a_take_that_was_over_is_told_of_also_where_its_room_is_anothers(
    tmp_path: Path, other_ingests: OtherIngests, *, forgotten: bool
) -> None:
    bus = await ended_and_untold(tmp_path)
    other_ingests.owners[ROOM] = OTHER  # where the next take of the room lives
    if not forgotten:
        other_ingests.leave(bus.key, bus.header, bus.top)
        other_ingests.takes[bus.key] = said_over(other_ingests, bus.top, bus.key, closed=True)
    world = restarted(tmp_path, other_ingests)
    await world.resume()
    story = await story_of(world, bus.key)
    assert (story.samples, [speaker.name for speaker in story.speakers]) == (bus.top, ["Ada"])
    await until(lambda: world.on_disk() == [])
    assert world.hub.live() == ()
    await world.ingest.stop()


async def test_after_a_restart_an_end_is_not_told_where_the_take_lives_on(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    bus = await ended_and_untold(tmp_path)
    other_ingests.owners[ROOM] = OTHER
    other_ingests.leave(bus.key, bus.header, bus.top + SAMPLE_RATE)
    world = restarted(tmp_path, other_ingests)
    await world.resume()
    await until(lambda: world.on_disk() == [])
    assert read_story(world.stories._objects, bus.key) is None
    await world.ingest.stop()


async def test_after_a_restart_a_take_that_others_ended_is_told_of_with_what_the_disk_knows(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, other_ingests)
    (stored,) = await world.keeper.stored()
    left = other_ingests.leave(key, stored.header, 3 * SAMPLE_RATE)
    other_ingests.takes[key] = said_over(other_ingests, left.top, key, closed=True)
    await world.resume()
    story = await story_of(world, key)
    assert (story.samples, [speaker.name for speaker in story.speakers]) == (3 * SAMPLE_RATE, ["Ada"])
    await until(lambda: world.on_disk() == [])
    assert world.hub.live() == ()
    await world.ingest.stop()


async def test_after_a_restart_a_room_waits_for_a_bus_to_say_whose_it_is(
    tmp_path: Path, other_ingests: OtherIngests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.held_rooms._AGAIN_SECONDS", 0.01)
    key = await crashed(tmp_path)
    other_ingests.down = True
    world = restarted(tmp_path, other_ingests)
    await world.resume()
    assert world.hub.live() == ()
    with pytest.raises(BusUnavailable):
        await world.ingest.connect(ROOM, "Ada", 1)
    assert world.on_disk() == [LEFT]
    other_ingests.down = False
    await until(lambda: world.ingest.live(ROOM) is not None)
    assert [bus.key for bus in world.hub.live()] == [key]
    await world.ingest.stop()


async def test_after_a_restart_a_take_that_had_ended_here_ends_there_too(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    bus = await ended(World(tmp_path))
    other_ingests.leave(bus.key, bus.header, SAMPLE_RATE)  # its end had not reached the bus
    world = restarted(tmp_path, other_ingests)
    await world.resume()
    assert bus_of(world, bus.key).ended == bus.top
    await world.ingest.stop()


async def test_after_a_restart_an_end_beyond_which_another_ingest_went_on_is_none(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    bus = await ended(World(tmp_path))
    other_ingests.leave(bus.key, bus.header, 3 * SAMPLE_RATE)
    world = restarted(tmp_path, other_ingests)
    await world.resume()
    live = world.ingest.live(ROOM)
    assert live is not None
    assert live.key == bus.key
    assert [taken.ended for taken in world.on_disk()] == [False]
    await world.ingest.stop()


async def test_after_a_restart_an_end_that_the_bus_was_only_promised_is_written(
    tmp_path: Path, other_ingests: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, other_ingests)
    (stored,) = await world.keeper.stored()
    other_ingests.leave(key, stored.header, SAMPLE_RATE)
    other_ingests.takes[key] = said_over(other_ingests, SAMPLE_RATE + 4800, key)
    await world.resume()
    assert bus_of(world, key).ended == SAMPLE_RATE + 4800
    assert world.ingest.live(ROOM) is None
    await world.ingest.stop()
