"""An ingest among others: which rooms it may serve, and takes that nobody attends to."""

from __future__ import annotations

import asyncio
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


async def test_a_room_of_another_ingest_lets_nobody_in(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.owners[ROOM] = OTHER
    for connect in (
        shared_world.ingest.connect(ROOM, "Ada", 1),
        shared_world.ingest.connect_voice(ROOM, "Ada"),
    ):
        with pytest.raises(LivesElsewhere) as caught:
            await connect
        assert caught.value.url == OTHER
    assert not shared_world.ingest.owns(ROOM)
    assert await shared_world.ingest.owner_of(ROOM) == OTHER


async def test_two_who_connect_at_once_claim_their_room_once(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.gate.clear()
    connects = [asyncio.create_task(shared_world.ingest.connect(ROOM, name, 1)) for name in ("Ada", "Eve")]
    await until(lambda: other_ingests.asked == [ROOM])
    for _ in range(5):
        await asyncio.sleep(0)
    other_ingests.gate.set()
    await asyncio.gather(*connects)
    assert other_ingests.asked == [ROOM]


async def test_who_waits_for_a_room_when_the_ingest_stops_is_told_so(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.gate.clear()
    connect = asyncio.create_task(shared_world.ingest.connect(ROOM, "Ada", 1))
    await until(lambda: other_ingests.asked == [ROOM])
    await shared_world.ingest.stop()
    with pytest.raises(OverCapacity, match="goes down"):
        await connect


async def test_who_leaves_while_a_room_is_claimed_does_no_harm(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.gate.clear()
    other_ingests.owners[ROOM] = OTHER
    connects = [asyncio.create_task(shared_world.ingest.connect(ROOM, None, 1)) for _ in range(2)]
    await until(lambda: other_ingests.asked == [ROOM])
    connects[0].cancel()
    other_ingests.gate.set()
    gone, refused = await asyncio.gather(*connects, return_exceptions=True)
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(refused, LivesElsewhere)


async def test_a_new_take_is_for_the_encoder_that_most_have_at_that_moment(shared_world: World) -> None:
    names = iter(("old", "new"))
    shared_world.ingest._stages._settings = IngestSettings(lambda: next(names))
    for room, encoder in (("one", "old"), ("two", "new")):
        _, bus = await shared_world.live(room)
        assert bus.header.encoder == encoder


async def test_without_a_bus_only_rooms_that_are_held_take_speakers(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    await shared_world.live(name="Ada")
    other_ingests.down = True
    await shared_world.ingest.connect(ROOM, "Eve", 1)
    with pytest.raises(BusUnavailable):
        await shared_world.ingest.connect("new", "Eve", 1)
    other_ingests.down = False
    await shared_world.ingest.connect("new", "Eve", 1)


async def test_a_room_over_the_limit_is_not_claimed(tmp_path: Path, other_ingests: OtherIngests) -> None:
    world = World(tmp_path, claims=other_ingests, max_rooms=1)
    await world.live()
    with pytest.raises(OverCapacity, match="all 1 rooms"):
        await world.ingest.connect("new", None, 1)
    assert other_ingests.asked == [ROOM]
    await world.ingest.stop()


async def test_a_room_is_released_when_it_is_empty_and_all_of_it_is_delivered(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    speaker, bus = await shared_world.live()
    shared_world.ingest.end(ROOM)
    shared_world.ingest.leave(speaker)
    shared_world.tick(60)
    await asyncio.sleep(0)
    # Its end is not delivered: until then nobody else may say what follows.
    assert other_ingests.released == []
    shared_world.hub.close(bus.key)
    shared_world.tick(60)
    await until(lambda: other_ingests.released == [ROOM])
    await shared_world.ingest.connect(ROOM, None, 1)
    assert other_ingests.asked == [ROOM, ROOM]


async def test_a_room_is_not_released_between_its_claim_and_its_first_speaker(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.gate.clear()
    connect = asyncio.create_task(shared_world.ingest.connect(ROOM, "Ada", 1))
    await until(lambda: other_ingests.asked == [ROOM])
    other_ingests.gate.set()
    while not connect.done():
        shared_world.tick(60)
        await asyncio.sleep(0)
    assert other_ingests.released == []
    assert shared_world.ingest.owns(ROOM)


async def test_nobody_speaks_in_a_room_that_is_not_owned(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    speaker, _ = await shared_world.live(name="Ada")
    other_ingests._owned.clear()  # for whatever reason
    shared_world.tick(60)
    assert isinstance(speaker.closed, OverCapacity)
    assert shared_world.hub.live() == ()


@pytest.mark.parametrize("error", [RuntimeError("ours"), asyncio.CancelledError()])
async def test_a_room_whose_take_cannot_be_taken_up_is_not_kept_without_it(
    shared_world: World, other_ingests: OtherIngests, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    other_ingests.leave(KEY, HEADER, 9 * SAMPLE_RATE)

    def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("workers.recovery.TakeOwner", fails)  # when the take is on the hub already
        with pytest.raises((RuntimeError, OverCapacity)):
            await shared_world.ingest.connect(ROOM, "Ada", 1)
    assert not shared_world.ingest.owns(ROOM)
    assert shared_world.hub.live() == ()
    await until(lambda: other_ingests.released == [ROOM])
    speaker = await shared_world.ingest.connect(ROOM, "Ada", 1)
    shared_world.say(speaker, START_BUFFER)
    shared_world.tick()
    assert [bus.key for bus in shared_world.hub.live()] == [KEY]


async def test_who_may_not_come_in_does_not_keep_the_room(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    other_ingests.takes[KEY] = with_orders(other_ingests, HostOrders(removed=frozenset({"Eve"})))
    with pytest.raises(Forbidden):
        await shared_world.ingest.connect(ROOM, "Eve", 1)
    # The take goes on, as its speakers are about to come back.
    assert shared_world.ingest.live(ROOM) is not None


# ---- takes that nobody attends to --------------------------------------------------------------------------


async def test_a_take_without_anybody_is_ended_after_the_idle_timeout(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    top = 9 * SAMPLE_RATE
    other_ingests.leave(KEY, HEADER, top, TakeEvent(0, 0, "join", speakers=("Ada",)))
    other_ingests.alone = [Unattended(KEY, closed=False)]
    adoption = shared_world.ingest._adoption
    await adoption.look(shared_world.now)
    assert other_ingests.asked == []
    shared_world.now += 62 * SECOND
    await adoption.look(shared_world.now)
    assert bus_of(shared_world).ended == top
    story = await story_of(shared_world)
    assert (story.samples, story.speakers) == (top, (SpeakerRecord("Ada", ((0, top),)),))
    shared_world.hub.close(KEY)
    shared_world.tick(60)
    await until(lambda: other_ingests.released == [ROOM])


async def test_time_without_a_bus_leaves_no_take_alone(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    other_ingests.alone = [Unattended(KEY, closed=False)]
    adoption = shared_world.ingest._adoption
    await adoption.look(shared_world.now)
    shared_world.now += 62 * SECOND
    other_ingests.down = True
    await adoption.look(shared_world.now)
    other_ingests.down = False
    await adoption.look(shared_world.now)
    assert other_ingests.asked == []


async def test_an_end_that_its_owner_could_not_write_is_written(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.leave(KEY, HEADER, 9 * SAMPLE_RATE)
    said = 9 * SAMPLE_RATE + 4800
    other_ingests.takes[KEY] = said_over(other_ingests, said)
    other_ingests.alone = [Unattended(KEY, closed=False)]
    adoption = shared_world.ingest._adoption
    await adoption.look(shared_world.now)
    shared_world.now += 62 * SECOND
    await adoption.look(shared_world.now)
    assert bus_of(shared_world).ended == said


async def test_the_story_of_an_ended_take_is_told_by_others_if_its_owner_does_not(
    shared_world: World, other_ingests: OtherIngests
) -> None:
    other_ingests.leave(KEY, HEADER, SAMPLE_RATE, TakeEvent(0, 0, "join", speakers=("Ada",)))
    other_ingests.takes[KEY] = said_over(other_ingests, SAMPLE_RATE, closed=True)
    other_ingests.alone = [Unattended(KEY, closed=True)]
    adoption = shared_world.ingest._adoption
    await adoption.look(shared_world.now)
    assert not shared_world.keeper.keeps(KEY)
    shared_world.now += 6 * SECOND
    await adoption.look(shared_world.now)
    assert (await story_of(shared_world)).speakers == (SpeakerRecord("Ada", ((0, SAMPLE_RATE),)),)
    await until(lambda: not shared_world.keeper.keeps(KEY))
    assert other_ingests.asked == []  # it needs no owner for that
    assert shared_world.hub.live() == ()
