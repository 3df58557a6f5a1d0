"""An ingest among others: what it goes on with, and what it lets go of."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from contracts.errors import BusUnavailable, LivesElsewhere, OverCapacity, StorageUnavailable
from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.grid import SAMPLE_RATE, SEGMENT
from storage.take_record import SpeakerRecord, TakeRecord
from tests.holding import HEADER, KEY, ROOM, bus_of, story_of, with_orders
from tests.other_ingests import OtherIngests
from tests.waiting import until
from tests.world import WALL_US, World
from workers.archive.reading import read_story
from workers.guest_list import HostOrders
from workers.intake import START_BUFFER
from workers.take_memo import TakeMemo
from workers.take_store import TakeStore


async def test_a_take_that_another_ingest_left_goes_on_where_the_bus_ends(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    top = 9 * SAMPLE_RATE
    other_ingests.leave(KEY, HEADER, top, TakeEvent(0, 0, "join", speakers=("Ada",)))
    speaker = await shared_world.ingest.connect(ROOM, "Ada", 1)
    bus = bus_of(shared_world)
    assert bus.first == top
    assert bus.header == HEADER
    # It has been 10 s: the one without an owner is silence, and what comes now follows it.
    assert bus.top == 10 * SAMPLE_RATE
    assert not bus.read(top, bus.top).any()
    shared_world.say(speaker, START_BUFFER)
    shared_world.tick(30)
    assert bus.read(10 * SAMPLE_RATE, bus.top).any()
    assert [bus.key for bus in shared_world.hub.live()] == [KEY]


async def test_the_story_of_a_continued_take_tells_what_happened_before(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    top = 9 * SAMPLE_RATE
    told = [
        TakeEvent(0, 0, "join", speakers=("Ada",)),
        TakeEvent(0, 1, "start", speakers=("Ada",)),
        TakeEvent(top, 0, "chapter", title="News"),
    ]
    other_ingests.leave(KEY, HEADER, top, *told)
    await shared_world.ingest.connect(ROOM, "Eve", 1)
    bus = bus_of(shared_world)
    events = bus.events_from(0)
    assert list(events[:3]) == told  # a Redis that lost them is told again
    # Who was connected there is not connected here; at one sample, events have numbers of their own.
    assert TakeEvent(top, 1, "leave", speakers=("Ada",)) in events
    assert len({event.id for event in events}) == len(events)
    shared_world.tick(50)
    shared_world.ingest.end(ROOM)
    story = await story_of(shared_world)
    assert story.samples == bus.top
    assert story.speakers == (SpeakerRecord("Ada", ((0, top),), ((0, top),)),)
    assert [event.title for event in story.chapters] == ["News"]


async def test_what_the_host_ordered_holds_on_the_next_ingest(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    other_ingests.takes[KEY] = with_orders(other_ingests, HostOrders(muted=frozenset({"Ada"})))
    speaker = await shared_world.ingest.connect(ROOM, "Ada", 1)
    shared_world.say(speaker, START_BUFFER)
    shared_world.tick(20)
    bus = bus_of(shared_world)
    assert not bus.read(bus.first, bus.top).any()


@pytest.mark.parametrize(
    ("seconds", "why"), [(11.5, "the clock is behind it"), (-55.0, "nobody for longer than the idle timeout")]
)
async def test_a_take_that_the_clock_contradicts_ends_where_it_is_and_another_begins(
    shared_world: World, other_ingests: OtherIngests, seconds: float, why: str
) -> None:
    # It is 10 s after the epoch of `HEADER`; a top below 0 is that of a take that began earlier.
    begun = min(0.0, seconds)
    header = TakeHeader(WALL_US + int(begun * 1e6), TakeSettings(), "e")
    top = int((seconds - begun) * SAMPLE_RATE)
    other_ingests.leave(KEY, header, top)
    speaker = await shared_world.ingest.connect(ROOM, "Ada", 1)
    assert bus_of(shared_world).ended == top, why
    assert other_ingests.noted[KEY].ended == top
    shared_world.say(speaker, START_BUFFER)
    shared_world.tick()
    keys = [bus.key for bus in shared_world.hub.live()]
    assert keys[0] == KEY
    assert len(keys) == 2
    assert (await story_of(shared_world)).samples == top


async def test_a_clock_that_is_a_little_behind_waits(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    top = int(10.5 * SAMPLE_RATE)
    other_ingests.leave(KEY, HEADER, top)
    await shared_world.ingest.connect(ROOM, "Ada", 1)
    assert bus_of(shared_world).ended is None
    assert bus_of(shared_world).top == top
    shared_world.tick(50)
    assert bus_of(shared_world).top == 11 * SAMPLE_RATE


async def test_a_room_that_was_taken_over_is_forgotten_without_an_end(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    speaker, bus = await shared_world.live(name="Ada")
    await until(lambda: len(shared_world.on_disk()) == 1)
    top = bus.top
    other_ingests.take_over(ROOM)
    shared_world.tick()
    assert isinstance(speaker.closed, OverCapacity)
    assert "took this room over" in speaker.closed.message
    assert shared_world.hub.live() == ()
    assert (bus.top, bus.ended) == (top, None)
    assert shared_world.metric("longwave_rooms_deposed_total") == 1
    await until(lambda: shared_world.on_disk() == [])
    shared_world.ingest.leave(speaker)
    assert read_story(shared_world.stories._objects, bus.key) is None
    with pytest.raises(LivesElsewhere):
        await shared_world.ingest.connect(ROOM, "Ada", 1)


async def test_the_story_of_a_room_that_was_taken_over_is_not_told_late(
    shared_world: World, other_ingests: OtherIngests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(_: TakeRecord) -> bool:
        raise StorageUnavailable("the storage is gone")

    monkeypatch.setattr(shared_world.stories, "put", hangs)
    other_ingests.accepts = False
    _, bus = await shared_world.live(name="Ada")
    shared_world.ingest.end(ROOM)
    await shared_world.keeper.secure_end(bus.key)
    other_ingests.take_over(ROOM)  # and whoever has it may tell another end
    shared_world.tick()
    await until(lambda: shared_world.on_disk() == [])


async def test_the_story_of_a_take_that_was_over_is_told_also_after_its_room_was_taken_over(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.accepts = False
    _, bus = await shared_world.live(name="Ada")
    shared_world.ingest.end(ROOM)
    await shared_world.keeper.secure_end(bus.key)
    other_ingests.accepts = True
    other_ingests.take_over(ROOM)
    shared_world.tick()
    assert (await story_of(shared_world, bus.key)).samples == bus.top
    await until(lambda: shared_world.on_disk() == [])


async def test_an_owner_that_is_cut_off_ends_nothing(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    speaker, bus = await shared_world.live(name="Ada")
    shared_world.ingest.leave(speaker)  # for another ingest perhaps, where the take goes on
    other_ingests.down = True
    shared_world.tick(61 * 50)
    assert bus.ended is None
    with pytest.raises(BusUnavailable, match="can be ended when one does"):
        shared_world.ingest.end(ROOM)
    assert shared_world.ingest.live(ROOM) is not None
    other_ingests.down = False
    shared_world.tick()
    assert bus.ended == bus.top


async def test_a_story_is_told_once_a_bus_has_taken_the_end(
    shared_world: World, other_ingests: OtherIngests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.held_rooms._CONFIRM_SECONDS", 0.05)
    other_ingests.accepts = False
    _, bus = await shared_world.live(name="Ada")
    shared_world.ingest.end(ROOM)
    with pytest.raises(BusUnavailable, match="no redis has confirmed"):
        await shared_world.ingest.secure_end(bus.key)
    shared_world.tick(60)
    await asyncio.sleep(0.05)
    assert [taken.ended for taken in shared_world.on_disk()] == [True]
    assert read_story(shared_world.stories._objects, bus.key) is None
    other_ingests.accepts = True
    await shared_world.ingest.secure_end(bus.key)
    shared_world.tick(60)
    assert (await story_of(shared_world, bus.key)).samples == bus.top


async def test_a_take_that_comes_back_waits_until_what_was_there_is_removed(tmp_path: Path) -> None:
    class SlowToForget(TakeStore):
        asked, may = threading.Event(), threading.Event()

        def forget(self, key: TakeKey) -> None:
            self.asked.set()
            assert self.may.wait(5)
            super().forget(key)

    store = SlowToForget(tmp_path / "takes")
    world = World(tmp_path, store)
    world.keeper.keep(KEY, HEADER)
    await until(lambda: len(world.on_disk()) == 1)
    world.keeper.abandon(KEY)
    assert not world.keeper.keeps(KEY)
    await until(store.asked.is_set)
    world.keeper.keep(KEY, HEADER)
    await asyncio.sleep(0.02)
    store.may.set()
    await world.keeper.secure(KEY, 2 * SEGMENT)
    assert [taken.reserved for taken in world.on_disk()] == [3]
    assert world.keeper.keeps(KEY)
    await world.ingest.stop()


async def test_nobody_begins_a_take_in_a_room_that_was_taken_over(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    speaker = await shared_world.ingest.connect(ROOM, "Ada", 1)
    other_ingests.take_over(ROOM)
    shared_world.say(speaker, START_BUFFER)  # before the next tick
    assert shared_world.hub.live() == ()


async def test_a_take_that_comes_back_is_another_one_than_was_lost(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    _, bus = await shared_world.live(name="Ada")
    header, key = bus.header, bus.key
    shared_world.tick(100)
    other_ingests.take_over(ROOM)
    del other_ingests.owners[ROOM]  # and is gone itself, before this ingest has ticked once
    other_ingests.leave(key, header, SAMPLE_RATE)
    await shared_world.ingest.connect(ROOM, "Ada", 1)
    again = bus_of(shared_world, key)
    assert again is not bus
    assert again.first == SAMPLE_RATE
    await until(lambda: len(shared_world.on_disk()) == 1)
    assert not again.read(SAMPLE_RATE, again.top).any()


async def test_the_bus_is_told_what_the_next_ingest_needs(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    _, bus = await shared_world.live(name="Ada")
    assert other_ingests.noted[bus.key] == TakeMemo(bus.header, 1)
    shared_world.ingest.mute(ROOM, "Ada")
    shared_world.tick()
    assert other_ingests.noted[bus.key].orders == HostOrders(muted=frozenset({"Ada"}))
    shared_world.ingest.end(ROOM)
    assert other_ingests.noted[bus.key].ended == bus.top
    shared_world.hub.close(bus.key)
    shared_world.tick(60)
    assert other_ingests.noted == {}
