"""An ingest among others: what it goes on with, and what it lets go of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
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


@pytest.fixture
def others() -> OtherIngests:
    return OtherIngests()


@pytest.fixture
async def world(tmp_path: Path, others: OtherIngests) -> AsyncIterator[World]:
    made = World(tmp_path, claims=others)
    yield made
    await made.ingest.stop()


async def test_a_take_that_another_ingest_left_goes_on_where_the_bus_ends(
    world: World, others: OtherIngests
) -> None:
    top = 9 * SAMPLE_RATE
    others.leave(KEY, HEADER, top, TakeEvent(0, 0, "join", speakers=("Ada",)))
    speaker = await world.ingest.connect(ROOM, "Ada", 1)
    bus = bus_of(world)
    assert bus.first == top
    assert bus.header == HEADER
    # It has been 10 s: the one without an owner is silence, and what comes now follows it.
    assert bus.top == 10 * SAMPLE_RATE
    assert not bus.read(top, bus.top).any()
    world.say(speaker, START_BUFFER)
    world.tick(30)
    assert bus.read(10 * SAMPLE_RATE, bus.top).any()
    assert [bus.key for bus in world.hub.live()] == [KEY]


async def test_the_story_of_a_continued_take_tells_what_happened_before(
    world: World, others: OtherIngests
) -> None:
    top = 9 * SAMPLE_RATE
    told = [
        TakeEvent(0, 0, "join", speakers=("Ada",)),
        TakeEvent(0, 1, "start", speakers=("Ada",)),
        TakeEvent(top, 0, "chapter", title="News"),
    ]
    others.leave(KEY, HEADER, top, *told)
    await world.ingest.connect(ROOM, "Eve", 1)
    bus = bus_of(world)
    events = bus.events_from(0)
    assert list(events[:3]) == told  # a Redis that lost them is told again
    # Who was connected there is not connected here; at one sample, events have numbers of their own.
    assert TakeEvent(top, 1, "leave", speakers=("Ada",)) in events
    assert len({event.id for event in events}) == len(events)
    world.tick(50)
    world.ingest.end(ROOM)
    story = await story_of(world)
    assert story.samples == bus.top
    assert story.speakers == (SpeakerRecord("Ada", ((0, top),), ((0, top),)),)
    assert [event.title for event in story.chapters] == ["News"]


async def test_what_the_host_ordered_holds_on_the_next_ingest(world: World, others: OtherIngests) -> None:
    others.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    others.takes[KEY] = with_orders(others, HostOrders(muted=frozenset({"Ada"})))
    speaker = await world.ingest.connect(ROOM, "Ada", 1)
    world.say(speaker, START_BUFFER)
    world.tick(20)
    bus = bus_of(world)
    assert not bus.read(bus.first, bus.top).any()


@pytest.mark.parametrize(
    ("seconds", "why"), [(11.5, "the clock is behind it"), (-55.0, "nobody for longer than the idle timeout")]
)
async def test_a_take_that_the_clock_contradicts_ends_where_it_is_and_another_begins(
    world: World, others: OtherIngests, seconds: float, why: str
) -> None:
    # It is 10 s after the epoch of `HEADER`; a top below 0 is that of a take that began earlier.
    begun = min(0.0, seconds)
    header = TakeHeader(WALL_US + int(begun * 1e6), TakeSettings(), "e")
    top = int((seconds - begun) * SAMPLE_RATE)
    others.leave(KEY, header, top)
    speaker = await world.ingest.connect(ROOM, "Ada", 1)
    assert bus_of(world).ended == top, why
    assert others.noted[KEY].ended == top
    world.say(speaker, START_BUFFER)
    world.tick()
    keys = [bus.key for bus in world.hub.live()]
    assert keys[0] == KEY
    assert len(keys) == 2
    assert (await story_of(world)).samples == top


async def test_a_clock_that_is_a_little_behind_waits(world: World, others: OtherIngests) -> None:
    top = int(10.5 * SAMPLE_RATE)
    others.leave(KEY, HEADER, top)
    await world.ingest.connect(ROOM, "Ada", 1)
    assert bus_of(world).ended is None
    assert bus_of(world).top == top
    world.tick(50)
    assert bus_of(world).top == 11 * SAMPLE_RATE


async def test_a_room_that_was_taken_over_is_forgotten_without_an_end(
    world: World, others: OtherIngests
) -> None:
    speaker, bus = await world.live(name="Ada")
    await until(lambda: len(world.on_disk()) == 1)
    top = bus.top
    others.take_over(ROOM)
    world.tick()
    assert isinstance(speaker.closed, OverCapacity)
    assert "took this room over" in speaker.closed.message
    assert world.hub.live() == ()
    assert (bus.top, bus.ended) == (top, None)
    assert world.metric("longwave_rooms_deposed_total") == 1
    await until(lambda: world.on_disk() == [])
    world.ingest.leave(speaker)
    assert read_story(world.stories._objects, bus.key) is None
    with pytest.raises(LivesElsewhere):
        await world.ingest.connect(ROOM, "Ada", 1)


async def test_the_story_of_a_room_that_was_taken_over_is_not_told_late(
    world: World, others: OtherIngests, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(_: TakeRecord) -> bool:
        raise StorageUnavailable("the storage is gone")

    monkeypatch.setattr(world.stories, "put", hangs)
    others.accepts = False
    _, bus = await world.live(name="Ada")
    world.ingest.end(ROOM)
    await world.keeper.secure_end(bus.key)
    others.take_over(ROOM)  # and whoever has it may tell another end
    world.tick()
    await until(lambda: world.on_disk() == [])


async def test_the_story_of_a_take_that_was_over_is_told_also_after_its_room_was_taken_over(
    world: World, others: OtherIngests
) -> None:
    others.accepts = False
    _, bus = await world.live(name="Ada")
    world.ingest.end(ROOM)
    await world.keeper.secure_end(bus.key)
    others.accepts = True
    others.take_over(ROOM)
    world.tick()
    assert (await story_of(world, bus.key)).samples == bus.top
    await until(lambda: world.on_disk() == [])


async def test_an_owner_that_is_cut_off_ends_nothing(world: World, others: OtherIngests) -> None:
    speaker, bus = await world.live(name="Ada")
    world.ingest.leave(speaker)  # for another ingest perhaps, where the take goes on
    others.down = True
    world.tick(61 * 50)
    assert bus.ended is None
    with pytest.raises(BusUnavailable, match="can be ended when one does"):
        world.ingest.end(ROOM)
    assert world.ingest.live(ROOM) is not None
    others.down = False
    world.tick()
    assert bus.ended == bus.top


async def test_a_story_is_told_once_a_bus_has_taken_the_end(
    world: World, others: OtherIngests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.held_rooms._CONFIRM_SECONDS", 0.05)
    others.accepts = False
    _, bus = await world.live(name="Ada")
    world.ingest.end(ROOM)
    with pytest.raises(BusUnavailable, match="no redis has confirmed"):
        await world.ingest.secure_end(bus.key)
    world.tick(60)
    await asyncio.sleep(0.05)
    assert [taken.ended for taken in world.on_disk()] == [True]
    assert read_story(world.stories._objects, bus.key) is None
    others.accepts = True
    await world.ingest.secure_end(bus.key)
    world.tick(60)
    assert (await story_of(world, bus.key)).samples == bus.top


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


async def test_nobody_begins_a_take_in_a_room_that_was_taken_over(world: World, others: OtherIngests) -> None:
    speaker = await world.ingest.connect(ROOM, "Ada", 1)
    others.take_over(ROOM)
    world.say(speaker, START_BUFFER)  # before the next tick
    assert world.hub.live() == ()


async def test_a_take_that_comes_back_is_another_one_than_was_lost(
    world: World, others: OtherIngests
) -> None:
    _, bus = await world.live(name="Ada")
    header, key = bus.header, bus.key
    world.tick(100)
    others.take_over(ROOM)
    del others.owners[ROOM]  # and is gone itself, before this ingest has ticked once
    others.leave(key, header, SAMPLE_RATE)
    await world.ingest.connect(ROOM, "Ada", 1)
    again = bus_of(world, key)
    assert again is not bus
    assert again.first == SAMPLE_RATE
    await until(lambda: len(world.on_disk()) == 1)
    assert not again.read(SAMPLE_RATE, again.top).any()


async def test_the_bus_is_told_what_the_next_ingest_needs(world: World, others: OtherIngests) -> None:
    _, bus = await world.live(name="Ada")
    assert others.noted[bus.key] == TakeMemo(bus.header, 1)
    world.ingest.mute(ROOM, "Ada")
    world.tick()
    assert others.noted[bus.key].orders == HostOrders(muted=frozenset({"Ada"}))
    world.ingest.end(ROOM)
    assert others.noted[bus.key].ended == bus.top
    world.hub.close(bus.key)
    world.tick(60)
    assert others.noted == {}
