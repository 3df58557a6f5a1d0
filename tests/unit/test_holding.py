"""An ingest among others: which rooms it may serve, what it goes on with, and what it lets go of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import BusUnavailable, Forbidden, LivesElsewhere, OverCapacity, StorageUnavailable
from contracts.take import TakeEvent, TakeHeader, TakeKey, TakeSettings
from pipeline.grid import SAMPLE_RATE, SEGMENT
from storage.take_record import SpeakerRecord, TakeRecord
from tests.other_ingests import OTHER, OtherIngests, key_at
from tests.world import SECOND, WALL_US, World, until
from workers.archive.reading import read_story
from workers.claims import Continued, Unattended
from workers.guest_list import HostOrders
from workers.ingest import IngestSettings
from workers.intake import START_BUFFER
from workers.memory_bus import MemoryTakeBus
from workers.take_keeper import LEAD
from workers.take_memo import TakeMemo
from workers.take_store import Reservation, TakeStore

ROOM = "room"
# World's clocks begin 10 s after this instant.
KEY, HEADER = key_at(WALL_US)
# A take of 2 s on disk: its second segment was reserved in time.
LEFT = Reservation(2, SEGMENT - LEAD, generation=1)


@pytest.fixture
def others() -> OtherIngests:
    return OtherIngests()


@pytest.fixture
async def world(tmp_path: Path, others: OtherIngests) -> AsyncIterator[World]:
    made = World(tmp_path, claims=others)
    yield made
    await made.ingest.stop()


def bus_of(world: World, key: TakeKey = KEY) -> MemoryTakeBus:
    (bus,) = [bus for bus in world.hub.live() if bus.key == key]
    return bus


def _ordered(others: OtherIngests, orders: HostOrders) -> Continued:
    left = others.takes[KEY]
    return replace(left, memo=replace(left.memo, orders=orders))


def _over(others: OtherIngests, samples: int, key: TakeKey = KEY, *, closed: bool = False) -> Continued:
    left = others.takes[key]
    return replace(left, memo=replace(left.memo, ended=samples), closed=closed)


async def story_of(world: World, key: TakeKey = KEY) -> TakeRecord:
    """The story of a take, once it is told."""
    await until(lambda: read_story(world.stories._objects, key) is not None)
    story = read_story(world.stories._objects, key)
    assert story is not None
    return story


async def test_a_room_of_another_ingest_lets_nobody_in(world: World, others: OtherIngests) -> None:
    others.owners[ROOM] = OTHER
    for connect in (world.ingest.connect(ROOM, "Ada", 1), world.ingest.connect_voice(ROOM, "Ada")):
        with pytest.raises(LivesElsewhere) as caught:
            await connect
        assert caught.value.url == OTHER
    assert not world.ingest.owns(ROOM)
    assert await world.ingest.owner_of(ROOM) == OTHER


async def test_two_who_connect_at_once_claim_their_room_once(world: World, others: OtherIngests) -> None:
    others.gate.clear()
    connects = [asyncio.create_task(world.ingest.connect(ROOM, name, 1)) for name in ("Ada", "Eve")]
    await until(lambda: others.asked == [ROOM])
    for _ in range(5):
        await asyncio.sleep(0)
    others.gate.set()
    await asyncio.gather(*connects)
    assert others.asked == [ROOM]


async def test_who_waits_for_a_room_when_the_ingest_stops_is_told_so(
    world: World, others: OtherIngests
) -> None:
    others.gate.clear()
    connect = asyncio.create_task(world.ingest.connect(ROOM, "Ada", 1))
    await until(lambda: others.asked == [ROOM])
    await world.ingest.stop()
    with pytest.raises(OverCapacity, match="goes down"):
        await connect


async def test_who_leaves_while_a_room_is_claimed_does_no_harm(world: World, others: OtherIngests) -> None:
    others.gate.clear()
    others.owners[ROOM] = OTHER
    connects = [asyncio.create_task(world.ingest.connect(ROOM, None, 1)) for _ in range(2)]
    await until(lambda: others.asked == [ROOM])
    connects[0].cancel()
    others.gate.set()
    gone, refused = await asyncio.gather(*connects, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(refused, LivesElsewhere)


async def test_a_new_take_is_for_the_encoder_that_most_have_at_that_moment(world: World) -> None:
    names = iter(("old", "new"))
    world.ingest._stages._settings = IngestSettings(lambda: next(names))
    for room, encoder in (("one", "old"), ("two", "new")):
        _, bus = await world.live(room)
        assert bus.header.encoder == encoder


async def test_without_a_bus_only_rooms_that_are_held_take_speakers(
    world: World, others: OtherIngests
) -> None:
    await world.live(name="Ada")
    others.down = True
    await world.ingest.connect(ROOM, "Eve", 1)
    with pytest.raises(BusUnavailable):
        await world.ingest.connect("new", "Eve", 1)
    others.down = False
    await world.ingest.connect("new", "Eve", 1)


async def test_a_room_over_the_limit_is_not_claimed(tmp_path: Path, others: OtherIngests) -> None:
    world = World(tmp_path, claims=others, max_rooms=1)
    await world.live()
    with pytest.raises(OverCapacity, match="all 1 rooms"):
        await world.ingest.connect("new", None, 1)
    assert others.asked == [ROOM]
    await world.ingest.stop()


async def test_a_room_is_released_when_it_is_empty_and_all_of_it_is_delivered(
    world: World, others: OtherIngests
) -> None:
    speaker, bus = await world.live()
    world.ingest.end(ROOM)
    world.ingest.leave(speaker)
    world.tick(60)
    await asyncio.sleep(0)
    assert others.released == []  # its end is not delivered: until then nobody else may say what follows
    world.hub.close(bus.key)
    world.tick(60)
    await until(lambda: others.released == [ROOM])
    await world.ingest.connect(ROOM, None, 1)
    assert others.asked == [ROOM, ROOM]


async def test_a_room_is_not_released_between_its_claim_and_its_first_speaker(
    world: World, others: OtherIngests
) -> None:
    others.gate.clear()
    connect = asyncio.create_task(world.ingest.connect(ROOM, "Ada", 1))
    await until(lambda: others.asked == [ROOM])
    others.gate.set()
    while not connect.done():
        world.tick(60)
        await asyncio.sleep(0)
    assert others.released == []
    assert world.ingest.owns(ROOM)


async def test_nobody_speaks_in_a_room_that_is_not_owned(world: World, others: OtherIngests) -> None:
    speaker, _ = await world.live(name="Ada")
    others._owned.clear()  # for whatever reason
    world.tick(60)
    assert isinstance(speaker.closed, OverCapacity)
    assert world.hub.live() == ()


@pytest.mark.parametrize("error", [RuntimeError("ours"), asyncio.CancelledError()])
async def test_a_room_whose_take_cannot_be_taken_up_is_not_kept_without_it(
    world: World, others: OtherIngests, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    others.leave(KEY, HEADER, 9 * SAMPLE_RATE)

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("workers.recovery.TakeOwner", fails)  # when the take is on the hub already
        with pytest.raises((RuntimeError, OverCapacity)):
            await world.ingest.connect(ROOM, "Ada", 1)
    assert not world.ingest.owns(ROOM)
    assert world.hub.live() == ()
    await until(lambda: others.released == [ROOM])
    speaker = await world.ingest.connect(ROOM, "Ada", 1)
    world.say(speaker, START_BUFFER)
    world.tick()
    assert [bus.key for bus in world.hub.live()] == [KEY]


async def test_who_may_not_come_in_does_not_keep_the_room(world: World, others: OtherIngests) -> None:
    others.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    others.takes[KEY] = _ordered(others, HostOrders(removed=frozenset({"Eve"})))
    with pytest.raises(Forbidden):
        await world.ingest.connect(ROOM, "Eve", 1)
    assert world.ingest.live(ROOM) is not None  # the take goes on, as its speakers are about to come back


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
    others.takes[KEY] = _ordered(others, HostOrders(muted=frozenset({"Ada"})))
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
    monkeypatch.setattr("workers.holding._CONFIRM_SECONDS", 0.05)
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


# ---- after a restart ---------------------------------------------------------------------------------------


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
    tmp_path: Path, others: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, others)
    (stored,) = await world.keeper.stored()
    top = int(1.5 * SAMPLE_RATE)
    others.leave(key, stored.header, top)
    await world.resume()
    assert bus_of(world, key).first == top
    # What the bus was not told before the crash it is told now; then, everybody is gone.
    kinds = [event.kind for event in bus_of(world, key).events_from(0)]
    assert kinds[: len(stored.events)] == [event.kind for event in stored.events]
    assert kinds[-1] == "leave"
    assert world.ingest.live(ROOM) is not None
    await world.ingest.stop()


async def test_after_a_restart_a_take_goes_on_that_no_bus_heard_of_for_long(
    tmp_path: Path, others: OtherIngests
) -> None:
    world = World(tmp_path, idle_timeout=3)
    _, bus = await world.live(name="Ada")
    world.tick(199)  # Ada speaks, and no bus takes any of it
    await until(lambda: any(taken.heartbeat > 3 * SAMPLE_RATE for taken in world.on_disk()))
    await world.ingest.stop()
    top = SAMPLE_RATE // 2
    others.leave(bus.key, bus.header, top)
    again = World(tmp_path, claims=others, idle_timeout=3)
    again.now = world.now + SECOND
    await again.resume()
    assert bus_of(again, bus.key).first == top
    assert again.ingest.live(ROOM) is not None
    await again.ingest.stop()


async def test_after_a_restart_a_take_that_no_bus_has_goes_on_above_all_that_was_served(
    tmp_path: Path, others: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, others)
    await world.resume()
    assert bus_of(world, key).first == 2 * SEGMENT
    await world.ingest.stop()


async def test_after_a_restart_generations_rise_also_where_the_bus_lost_its_memory(
    tmp_path: Path, others: OtherIngests
) -> None:
    others._generations[ROOM] = 6
    world = World(tmp_path, claims=others)
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
    tmp_path: Path, others: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    others.owners[ROOM] = OTHER
    world = restarted(tmp_path, others)
    await world.resume()
    assert world.hub.live() == ()
    await until(lambda: world.on_disk() == [])
    assert read_story(world.stories._objects, key) is None
    await world.ingest.stop()


async def ended_and_untold(data: Path) -> MemoryTakeBus:
    """A take that ended while the storage was away, and whose process went."""

    class Away:
        def put(self, _: TakeRecord) -> bool:
            raise StorageUnavailable("the storage is gone")

    world = World(data)
    world.keeper._storyteller._stories = Away()  # type: ignore[assignment]
    _, bus = await world.live(name="Ada")
    world.tick(99)
    world.ingest.end(ROOM)
    await world.ingest.secure_end(bus.key)
    await world.ingest.stop()
    return bus


@pytest.mark.parametrize("forgotten", [True, False])
async def test_after_a_restart_a_take_that_was_over_is_told_of_also_where_its_room_is_anothers(
    tmp_path: Path, others: OtherIngests, *, forgotten: bool
) -> None:
    bus = await ended_and_untold(tmp_path)
    others.owners[ROOM] = OTHER  # where the next take of the room lives
    if not forgotten:
        others.leave(bus.key, bus.header, bus.top)
        others.takes[bus.key] = _over(others, bus.top, bus.key, closed=True)
    world = restarted(tmp_path, others)
    await world.resume()
    story = await story_of(world, bus.key)
    assert (story.samples, [speaker.name for speaker in story.speakers]) == (bus.top, ["Ada"])
    await until(lambda: world.on_disk() == [])
    assert world.hub.live() == ()
    await world.ingest.stop()


async def test_after_a_restart_an_end_is_not_told_where_the_take_lives_on(
    tmp_path: Path, others: OtherIngests
) -> None:
    bus = await ended_and_untold(tmp_path)
    others.owners[ROOM] = OTHER
    others.leave(bus.key, bus.header, bus.top + SAMPLE_RATE)
    world = restarted(tmp_path, others)
    await world.resume()
    await until(lambda: world.on_disk() == [])
    assert read_story(world.stories._objects, bus.key) is None
    await world.ingest.stop()


async def test_after_a_restart_a_take_that_others_ended_is_told_of_with_what_the_disk_knows(
    tmp_path: Path, others: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, others)
    (stored,) = await world.keeper.stored()
    left = others.leave(key, stored.header, 3 * SAMPLE_RATE)
    others.takes[key] = _over(others, left.top, key, closed=True)
    await world.resume()
    story = await story_of(world, key)
    assert (story.samples, [speaker.name for speaker in story.speakers]) == (3 * SAMPLE_RATE, ["Ada"])
    await until(lambda: world.on_disk() == [])
    assert world.hub.live() == ()
    await world.ingest.stop()


async def test_after_a_restart_a_room_waits_for_a_bus_to_say_whose_it_is(
    tmp_path: Path, others: OtherIngests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.holding._AGAIN_SECONDS", 0.01)
    key = await crashed(tmp_path)
    others.down = True
    world = restarted(tmp_path, others)
    await world.resume()
    assert world.hub.live() == ()
    with pytest.raises(BusUnavailable):
        await world.ingest.connect(ROOM, "Ada", 1)
    assert world.on_disk() == [LEFT]
    others.down = False
    await until(lambda: world.ingest.live(ROOM) is not None)
    assert [bus.key for bus in world.hub.live()] == [key]
    await world.ingest.stop()


async def test_after_a_restart_a_take_that_had_ended_here_ends_there_too(
    tmp_path: Path, others: OtherIngests
) -> None:
    world = World(tmp_path)
    _, bus = await world.live(name="Ada")
    world.tick(99)
    world.ingest.end(ROOM)
    await world.ingest.secure_end(bus.key)
    await world.ingest.stop()
    others.leave(bus.key, bus.header, SAMPLE_RATE)  # its end had not reached the bus
    world = restarted(tmp_path, others)
    await world.resume()
    assert bus_of(world, bus.key).ended == bus.top
    await world.ingest.stop()


async def test_after_a_restart_an_end_beyond_which_another_ingest_went_on_is_none(
    tmp_path: Path, others: OtherIngests
) -> None:
    world = World(tmp_path)
    _, bus = await world.live(name="Ada")
    world.tick(99)
    world.ingest.end(ROOM)
    await world.ingest.secure_end(bus.key)
    await world.ingest.stop()
    others.leave(bus.key, bus.header, 3 * SAMPLE_RATE)
    world = restarted(tmp_path, others)
    await world.resume()
    live = world.ingest.live(ROOM)
    assert live is not None
    assert live.key == bus.key
    assert [taken.ended for taken in world.on_disk()] == [False]
    await world.ingest.stop()


async def test_after_a_restart_an_end_that_the_bus_was_only_promised_is_written(
    tmp_path: Path, others: OtherIngests
) -> None:
    key = await crashed(tmp_path)
    world = restarted(tmp_path, others)
    (stored,) = await world.keeper.stored()
    others.leave(key, stored.header, SAMPLE_RATE)
    others.takes[key] = _over(others, SAMPLE_RATE + 4800, key)
    await world.resume()
    assert bus_of(world, key).ended == SAMPLE_RATE + 4800
    assert world.ingest.live(ROOM) is None
    await world.ingest.stop()


# ---- takes that nobody attends to --------------------------------------------------------------------------


async def test_a_take_without_anybody_is_ended_after_the_idle_timeout(
    world: World, others: OtherIngests
) -> None:
    top = 9 * SAMPLE_RATE
    others.leave(KEY, HEADER, top, TakeEvent(0, 0, "join", speakers=("Ada",)))
    others.alone = [Unattended(KEY, closed=False)]
    adoption = world.ingest._adoption
    await adoption.look(world.now)
    assert others.asked == []
    world.now += 62 * SECOND
    await adoption.look(world.now)
    assert bus_of(world).ended == top
    story = await story_of(world)
    assert (story.samples, story.speakers) == (top, (SpeakerRecord("Ada", ((0, top),)),))
    world.hub.close(KEY)
    world.tick(60)
    await until(lambda: others.released == [ROOM])


async def test_time_without_a_bus_leaves_no_take_alone(world: World, others: OtherIngests) -> None:
    others.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    others.alone = [Unattended(KEY, closed=False)]
    adoption = world.ingest._adoption
    await adoption.look(world.now)
    world.now += 62 * SECOND
    others.down = True
    await adoption.look(world.now)
    others.down = False
    await adoption.look(world.now)
    assert others.asked == []


async def test_an_end_that_its_owner_could_not_write_is_written(world: World, others: OtherIngests) -> None:
    others.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    said = 9 * SAMPLE_RATE + 4800
    others.takes[KEY] = _over(others, said)
    others.alone = [Unattended(KEY, closed=False)]
    adoption = world.ingest._adoption
    await adoption.look(world.now)
    world.now += 62 * SECOND
    await adoption.look(world.now)
    assert bus_of(world).ended == said


async def test_the_story_of_an_ended_take_is_told_by_others_if_its_owner_does_not(
    world: World, others: OtherIngests
) -> None:
    others.leave(KEY, HEADER, SAMPLE_RATE, TakeEvent(0, 0, "join", speakers=("Ada",)))
    others.takes[KEY] = _over(others, SAMPLE_RATE, closed=True)
    others.alone = [Unattended(KEY, closed=True)]
    adoption = world.ingest._adoption
    await adoption.look(world.now)
    assert not world.keeper.keeps(KEY)
    world.now += 6 * SECOND
    await adoption.look(world.now)
    assert (await story_of(world)).speakers == (SpeakerRecord("Ada", ((0, SAMPLE_RATE),)),)
    await until(lambda: not world.keeper.keeps(KEY))
    assert others.asked == []  # it needs no owner for that
    assert world.hub.live() == ()
