"""Rooms, takes and speakers with clocks that stand still until they are moved."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from contracts.access import Grant
from contracts.errors import (
    Busy,
    Forbidden,
    LongwaveError,
    OverCapacity,
    UnknownRoom,
)
from contracts.take import Rendition, TakeHeader, TakeSettings
from storage.rooms import RoomRecord, RoomSound
from tests.world import BLOCK, WALL_US, World
from workers.intake import START_BUFFER


async def test_the_first_full_buffer_begins_a_take_with_the_rooms_settings(lone_world: World) -> None:
    settings = TakeSettings(channels=2, parts=10, renditions=(Rendition("32k"), Rendition("96k")))
    lone_world.rooms.put("room", RoomRecord(title="News", settings=settings))
    speaker = await lone_world.ingest.connect("room", None, 1)
    lone_world.say(speaker, START_BUFFER - 1)
    lone_world.tick(3)
    assert lone_world.hub.live() == ()
    lone_world.say(speaker, 1)
    (bus,) = lone_world.hub.live()
    assert bus.header == TakeHeader(bus.header.epoch_us, settings, "f")
    assert bus.key.room == "room"
    lone_world.tick()
    assert bus.top == BLOCK
    assert bus.read(0, 1).tolist() == [[7, 7]]


async def test_the_epoch_is_the_instant_of_the_tick_before(lone_world: World) -> None:
    lone_world.tick()
    speaker = await lone_world.ingest.connect("room", None, 1)
    ticked, lone_world.now = lone_world.now, lone_world.now + 7_000_000
    lone_world.say(speaker, START_BUFFER)
    (bus,) = lone_world.hub.live()
    assert bus.header.epoch_us == WALL_US + ticked // 1000
    assert bus.key.take.startswith("20260131T200010Z-")


async def test_a_short_sound_that_ends_before_the_buffer_is_full_is_played(lone_world: World) -> None:
    speaker = await lone_world.ingest.connect("room", None, 1)
    lone_world.say(speaker, 100)
    lone_world.ingest.finish(speaker)
    lone_world.tick()
    (bus,) = lone_world.hub.live()
    assert bus.read(0, BLOCK).sum() == 700
    await asyncio.wait_for(speaker.played(), 5)


async def test_an_empty_body_begins_nothing(lone_world: World) -> None:
    speaker = await lone_world.ingest.connect("room", None, 1)
    lone_world.ingest.finish(speaker)
    lone_world.ingest.leave(speaker)
    assert lone_world.hub.live() == ()
    assert lone_world.ingest.live("room") is None


@pytest.mark.parametrize(("there", "comes"), [(None, None), ("Ada", None), (None, "Ada"), ("Ada", "Eve")])
async def test_speakers_of_other_names_or_none_are_heard_together(
    lone_world: World, there: str | None, comes: str | None
) -> None:
    speaker, bus = await lone_world.live(name=there)
    other = await lone_world.ingest.connect("room", comes, 1)
    lone_world.say(other, START_BUFFER, 100)
    lone_world.tick(5)
    assert speaker.closed is other.closed is None
    assert bus.read(5 * BLOCK, 6 * BLOCK).tolist() == [[107]] * BLOCK
    assert lone_world.present() == [there, comes]


async def test_a_room_has_so_many_places_and_no_more(tmp_path: Path) -> None:
    world = World(tmp_path, max_speakers=2)
    one, _ = await world.live(name="one")
    await world.ingest.connect("room", None, 1)
    for name in ("three", None):
        with pytest.raises(OverCapacity, match="2 places"):
            await world.ingest.connect("room", name, 1)
    with pytest.raises(OverCapacity):
        await world.ingest.connect_voice("room", None)
    again = await world.ingest.connect("room", "one", 1)  # in its own place
    await world.ingest.connect("other", "three", 1)
    world.ingest.leave(one)
    world.ingest.leave(again)
    await world.ingest.connect("room", "three", 1)
    await world.ingest.stop()


async def test_the_host_mutes_a_speaker_also_on_the_next_connection(lone_world: World) -> None:
    _, bus = await lone_world.live(name="Ada")
    lone_world.ingest.mute("room", "Ada")
    again = await lone_world.ingest.connect("room", "Ada", 1)
    lone_world.say(again, START_BUFFER)
    lone_world.tick(5)
    assert not bus.read(4 * BLOCK, 6 * BLOCK).any()
    lone_world.ingest.unmute("room", "Ada")
    lone_world.tick(4)
    assert bus.read(bus.top - BLOCK, bus.top).all()


async def test_who_is_removed_is_told_and_refused_until_the_take_ends(lone_world: World) -> None:
    token = Grant("speaker", "room", None, "t1")
    speaker = await lone_world.ingest.connect("room", "Ada", 1, grant=token)
    lone_world.say(speaker, START_BUFFER)
    lone_world.tick()
    lone_world.ingest.remove("room", "Ada")
    assert isinstance(speaker.closed, Forbidden)
    lone_world.ingest.leave(speaker)
    for name, grant in (("Ada", Grant("admin")), ("Eve", token)):
        with pytest.raises(Forbidden, match="removed"):
            await lone_world.ingest.connect("room", name, 1, grant=grant)
        with pytest.raises(Forbidden, match="removed"):
            await lone_world.ingest.connect_voice("room", name, grant=grant)
    await lone_world.ingest.connect("other", "Ada", 1, grant=token)
    lone_world.ingest.end("room")
    await lone_world.ingest.connect("room", "Ada", 1, grant=token)


async def test_a_chapter_is_on_the_bus_at_the_current_instant(lone_world: World) -> None:
    _, bus = await lone_world.live()
    lone_world.tick(4)
    event = lone_world.ingest.chapter("room", "Weather")
    assert (event.sample, event.title) == (5 * BLOCK, "Weather")
    assert event in bus.events_from(0)


async def test_a_host_can_do_nothing_to_a_room_that_is_not_live(lone_world: World) -> None:
    await lone_world.ingest.connect("room", "Ada", 1)  # there, and no sound yet
    for room in ("room", "nobody"):
        for order in (
            lone_world.ingest.mute,
            lone_world.ingest.unmute,
            lone_world.ingest.remove,
            lone_world.ingest.chapter,
        ):
            with pytest.raises(UnknownRoom, match="no take"):
                order(room, "Ada")
        with pytest.raises(UnknownRoom, match="no take"):
            lone_world.ingest.end(room)


@pytest.mark.parametrize(
    ("room", "asked", "live", "filtered"),
    [
        ("auto", None, False, False),
        ("auto", None, True, True),
        ("auto", "voice", False, True),
        ("auto", "as-is", True, False),
        ("voice", None, False, True),
        ("as-is", None, True, False),
        ("as-is", "voice", True, True),
    ],
)
async def test_microphones_are_filtered_and_programmes_are_not_unless_otherwise_wanted(
    lone_world: World, room: RoomSound, asked: RoomSound | None, live: bool, filtered: bool
) -> None:
    lone_world.rooms.put("room", RoomRecord(sound=room))
    speaker = await lone_world.ingest.connect("room", None, 1, sound=asked, live=live)
    assert speaker.kind == ("ws" if live else "pcm")
    lone_world.say(speaker, START_BUFFER, 500)
    lone_world.tick(8)
    (bus,) = lone_world.hub.live()
    assert bus.read(0, BLOCK).any()
    assert int(abs(bus.read(5 * BLOCK, 6 * BLOCK)).max()) == (0 if filtered else 500)  # DC is rumble


async def test_all_who_wait_are_in_the_take_that_the_first_sound_begins(lone_world: World) -> None:
    first = await lone_world.ingest.connect("room", "first", 1)
    second = await lone_world.ingest.connect("room", "second", 1)
    lone_world.say(second, START_BUFFER, 100)
    lone_world.tick(2)
    lone_world.say(first, START_BUFFER, 7)
    lone_world.tick(5)
    (bus,) = lone_world.hub.live()
    assert bus.read(0, 1).tolist() == [[100]]
    assert bus.read(5 * BLOCK, 5 * BLOCK + 1).tolist() == [[107]]
    assert first.take == second.take == bus.key.take


async def test_the_end_by_request_closes_all_speakers_and_a_new_one_starts_another_take(
    lone_world: World,
) -> None:
    speaker, bus = await lone_world.live()
    other = await lone_world.ingest.connect("room", "Ada", 1)
    lone_world.tick(4)
    assert lone_world.ingest.end("room") == (bus.key, 5 * BLOCK)
    assert bus.ended == 5 * BLOCK
    assert isinstance(speaker.closed, Busy)
    assert isinstance(other.closed, Busy)
    lone_world.ingest.leave(other)
    lone_world.say(speaker, START_BUFFER)  # what still comes of the old connection is nothing
    lone_world.ingest.leave(speaker)
    lone_world.tick(5)
    assert len(lone_world.hub.live()) == 1
    _, another = await lone_world.live()
    assert another.key != bus.key
    with pytest.raises(UnknownRoom):
        lone_world.ingest.end("nobody")


async def test_there_are_so_many_rooms_and_no_more(tmp_path: Path) -> None:
    world = World(tmp_path, max_rooms=2)
    one = await world.ingest.connect("one", None, 1)
    await world.live("two")
    with pytest.raises(OverCapacity):
        await world.ingest.connect("three", None, 1)
    world.ingest.leave(one)
    await world.ingest.connect("three", None, 1)
    await world.ingest.stop()


async def test_a_room_that_fails_ends_and_the_others_go_on(
    lone_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, broken_bus = await lone_world.live("broken")
    _, bus = await lone_world.live("fine")

    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(broken_bus, "append", fail)
    top = bus.top
    lone_world.tick(3)
    assert bus.top == top + 3 * BLOCK
    assert broken_bus.ended == broken_bus.top
    assert type(broken.closed) is LongwaveError
    assert lone_world.metric("longwave_unexpected_errors_total", where="owner") == 1
    assert lone_world.ingest.live("broken") is None


async def test_samples_are_counted(lone_world: World) -> None:
    speaker, _ = await lone_world.live()
    lone_world.tick(14)
    lone_world.ingest.end("room")
    assert lone_world.metric("longwave_samples_total", kind="sound") == START_BUFFER
    assert lone_world.metric("longwave_samples_total", kind="silence") == 5 * BLOCK
    lone_world.ingest.leave(speaker)
    assert lone_world.metric("longwave_speakers") == 0
