"""An ingest among others: which rooms it may serve, and takes that nobody attends to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import BusUnavailable, Forbidden, LivesElsewhere, OverCapacity
from contracts.take import TakeEvent
from pipeline.grid import SAMPLE_RATE
from storage.take_record import SpeakerRecord
from tests.holding import HEADER, KEY, ROOM, bus_of, said_over, story_of, with_orders
from tests.other_ingests import OTHER, OtherIngests
from tests.waiting import until
from tests.world import SECOND, World
from workers.claims import Unattended
from workers.guest_list import HostOrders
from workers.ingest import IngestSettings
from workers.intake import START_BUFFER


@pytest.fixture
def others() -> OtherIngests:
    return OtherIngests()


@pytest.fixture
async def world(tmp_path: Path, others: OtherIngests) -> AsyncIterator[World]:
    made = World(tmp_path, claims=others)
    yield made
    await made.ingest.stop()


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
    others.takes[KEY] = with_orders(others, HostOrders(removed=frozenset({"Eve"})))
    with pytest.raises(Forbidden):
        await world.ingest.connect(ROOM, "Eve", 1)
    assert world.ingest.live(ROOM) is not None  # the take goes on, as its speakers are about to come back


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
    others.takes[KEY] = said_over(others, said)
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
    others.takes[KEY] = said_over(others, SAMPLE_RATE, closed=True)
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
