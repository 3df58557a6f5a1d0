"""Rooms, takes and speakers with clocks that stand still until they are moved."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.access import Grant
from contracts.errors import (
    Busy,
    DiskUnavailable,
    Forbidden,
    LongwaveError,
    OverCapacity,
    SenderTimeout,
    UnknownRoom,
)
from contracts.take import Rendition, TakeHeader, TakeKey, TakeSettings
from storage.disk_objects import DiskObjects
from storage.rooms import RoomRecord, RoomSound
from tests.world import BLOCK, SECOND, WALL_US, World, until
from workers.intake import START_BUFFER
from workers.take_store import Reservation, StoredTake, TakeFile, TakeStore
from workers.ticker import ticks


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    yield made
    await made.ingest.stop()


async def test_the_first_full_buffer_begins_a_take_with_the_rooms_settings(world: World) -> None:
    settings = TakeSettings(channels=2, parts=10, renditions=(Rendition("32k"), Rendition("96k")))
    world.rooms.put("room", RoomRecord(title="News", settings=settings))
    speaker = await world.ingest.connect("room", None, 1)
    world.say(speaker, START_BUFFER - 1)
    world.tick(3)
    assert world.hub.live() == ()
    world.say(speaker, 1)
    (bus,) = world.hub.live()
    assert bus.header == TakeHeader(bus.header.epoch_us, settings, "f")
    assert bus.key.room == "room"
    world.tick()
    assert bus.top == BLOCK
    assert bus.read(0, 1).tolist() == [[7, 7]]


async def test_the_epoch_is_the_instant_of_the_tick_before(world: World) -> None:
    world.tick()
    speaker = await world.ingest.connect("room", None, 1)
    ticked, world.now = world.now, world.now + 7_000_000
    world.say(speaker, START_BUFFER)
    (bus,) = world.hub.live()
    assert bus.header.epoch_us == WALL_US + ticked // 1000
    assert bus.key.take.startswith("20260131T200010Z-")


async def test_a_short_sound_that_ends_before_the_buffer_is_full_is_played(world: World) -> None:
    speaker = await world.ingest.connect("room", None, 1)
    world.say(speaker, 100)
    world.ingest.finish(speaker)
    world.tick()
    (bus,) = world.hub.live()
    assert bus.read(0, BLOCK).sum() == 700
    await asyncio.wait_for(speaker.played(), 5)


async def test_an_empty_body_begins_nothing(world: World) -> None:
    speaker = await world.ingest.connect("room", None, 1)
    world.ingest.finish(speaker)
    world.ingest.leave(speaker)
    assert world.hub.live() == ()
    assert world.ingest.live("room") is None


@pytest.mark.parametrize(("there", "comes"), [(None, None), ("Ada", None), (None, "Ada"), ("Ada", "Eve")])
async def test_speakers_of_other_names_or_none_are_heard_together(
    world: World, there: str | None, comes: str | None
) -> None:
    speaker, bus = await world.live(name=there)
    other = await world.ingest.connect("room", comes, 1)
    world.say(other, START_BUFFER, 100)
    world.tick(5)
    assert speaker.closed is other.closed is None
    assert bus.read(5 * BLOCK, 6 * BLOCK).tolist() == [[107]] * BLOCK
    assert world.present() == [there, comes]


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


async def test_the_host_mutes_a_speaker_also_on_the_next_connection(world: World) -> None:
    _, bus = await world.live(name="Ada")
    world.ingest.mute("room", "Ada")
    again = await world.ingest.connect("room", "Ada", 1)
    world.say(again, START_BUFFER)
    world.tick(5)
    assert not bus.read(4 * BLOCK, 6 * BLOCK).any()
    world.ingest.unmute("room", "Ada")
    world.tick(4)
    assert bus.read(bus.top - BLOCK, bus.top).all()


async def test_who_is_removed_is_told_and_refused_until_the_take_ends(world: World) -> None:
    token = Grant("speaker", "room", None, "t1")
    speaker = await world.ingest.connect("room", "Ada", 1, grant=token)
    world.say(speaker, START_BUFFER)
    world.tick()
    world.ingest.remove("room", "Ada")
    assert isinstance(speaker.closed, Forbidden)
    world.ingest.leave(speaker)
    for name, grant in (("Ada", Grant("admin")), ("Eve", token)):
        with pytest.raises(Forbidden, match="removed"):
            await world.ingest.connect("room", name, 1, grant=grant)
        with pytest.raises(Forbidden, match="removed"):
            await world.ingest.connect_voice("room", name, grant=grant)
    await world.ingest.connect("other", "Ada", 1, grant=token)
    world.ingest.end("room")
    await world.ingest.connect("room", "Ada", 1, grant=token)


async def test_a_chapter_is_on_the_bus_at_the_current_instant(world: World) -> None:
    _, bus = await world.live()
    world.tick(4)
    event = world.ingest.chapter("room", "Weather")
    assert (event.sample, event.title) == (5 * BLOCK, "Weather")
    assert event in bus.events_from(0)


async def test_a_host_can_do_nothing_to_a_room_that_is_not_live(world: World) -> None:
    await world.ingest.connect("room", "Ada", 1)  # there, and no sound yet
    for room in ("room", "nobody"):
        for order in (world.ingest.mute, world.ingest.unmute, world.ingest.remove, world.ingest.chapter):
            with pytest.raises(UnknownRoom, match="no take"):
                order(room, "Ada")
        with pytest.raises(UnknownRoom, match="no take"):
            world.ingest.end(room)


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
    world: World, room: RoomSound, asked: RoomSound | None, live: bool, filtered: bool
) -> None:
    world.rooms.put("room", RoomRecord(sound=room))
    speaker = await world.ingest.connect("room", None, 1, sound=asked, live=live)
    assert speaker.kind == ("ws" if live else "pcm")
    world.say(speaker, START_BUFFER, 500)
    world.tick(8)
    (bus,) = world.hub.live()
    assert bus.read(0, BLOCK).any()
    assert int(abs(bus.read(5 * BLOCK, 6 * BLOCK)).max()) == (0 if filtered else 500)  # DC is rumble


async def test_a_speaker_that_breaks_is_dropped_and_the_room_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, bus = await world.live(name="Ada")
    other = await world.ingest.connect("room", "Bo", 1)
    world.say(other, START_BUFFER, 100)

    def fail(_now: int) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(broken.source, "pull", fail)
    world.tick(5)
    assert type(broken.closed) is LongwaveError
    assert bus.ended is None
    assert bus.read(bus.top - BLOCK, bus.top).min() == 100
    assert world.present() == ["Bo"]
    assert world.metric("longwave_speakers_dropped_total", reason="error") == 1
    assert world.metric("longwave_unexpected_errors_total", where="speaker") == 1


async def test_after_a_stall_everybody_is_read_to_the_end_before_anything_is_silence(world: World) -> None:
    """One has nothing more to say; the other's bytes come out of its socket a little at a time."""
    dry, bus = await world.live(name="dry")
    full = await world.ingest.connect("room", "full", 1)
    world.say(dry, 15 * BLOCK, 7)
    world.say(full, START_BUFFER, 100)
    world.tick(8)

    async def read() -> None:
        for _ in range(200):
            await full.paced()  # two seconds do not fit into its buffer at once
            await asyncio.sleep(0)
            world.say(full, BLOCK // 2, 100)

    world.now += 95 * world.tick_ns
    reading = asyncio.create_task(read())
    await world.ingest._catch_up(world.now)
    world.ingest.tick(world.now)
    await reading
    assert bus.top == 104 * BLOCK
    assert bus.read(4 * BLOCK, bus.top).min() == 100  # of both, then of the one
    assert bus.read(10 * BLOCK, 11 * BLOCK).min() == 107


async def test_after_a_stall_nobody_is_waited_for_who_floods_while_muted(world: World) -> None:
    """Nothing of it is kept, so that nothing of it is ever whole, and it is never too much to be read."""
    ada, bus = await world.live(name="Ada")
    flooding = await world.ingest.connect("room", "Bo", 1)
    flooding.intake.mute()
    world.say(ada, 20 * BLOCK)

    async def flood() -> None:
        while True:
            await asyncio.sleep(0)
            world.say(flooding, BLOCK)

    task = asyncio.create_task(flood())
    world.now += 10 * world.tick_ns
    async with asyncio.timeout(10):
        await world.ingest._catch_up(world.now)
    task.cancel()
    assert bus.top == 11 * BLOCK
    assert bus.read(0, bus.top).min() == 7


async def test_a_take_that_is_ended_while_it_catches_up_is_over(world: World) -> None:
    """The host's request may be among what is read after a stall, and so may the next take's first sound."""
    ada, bus = await world.live(name="Ada")
    world.say(ada, 4 * BLOCK)

    async def end() -> None:
        await asyncio.sleep(0)
        world.ingest.end("room")
        again = await world.ingest.connect("room", "Ada", 1)
        world.say(again, START_BUFFER)

    world.now += 10 * world.tick_ns
    ending = asyncio.create_task(end())
    await world.ingest._catch_up(world.now)
    await ending
    following = world.hub.live()[-1]
    assert bus.ended == bus.top
    assert following.key != bus.key
    world.tick(2)
    assert following.top > 0
    assert world.metric("longwave_unexpected_errors_total", where="owner") == 0


async def test_all_who_wait_are_in_the_take_that_the_first_sound_begins(world: World) -> None:
    first = await world.ingest.connect("room", "first", 1)
    second = await world.ingest.connect("room", "second", 1)
    world.say(second, START_BUFFER, 100)
    world.tick(2)
    world.say(first, START_BUFFER, 7)
    world.tick(5)
    (bus,) = world.hub.live()
    assert bus.read(0, 1).tolist() == [[100]]
    assert bus.read(5 * BLOCK, 5 * BLOCK + 1).tolist() == [[107]]
    assert first.take == second.take == bus.key.take


async def test_the_same_name_replaces_its_old_connection(world: World) -> None:
    old, bus = await world.live(name="Ada")
    new = await world.ingest.connect("room", "Ada", 1)
    assert isinstance(old.closed, Busy)
    world.ingest.leave(old)
    world.say(new, START_BUFFER, 9)
    world.tick(5)
    assert bus.read(5 * BLOCK, 6 * BLOCK).tolist() == [[9]] * BLOCK
    assert world.metric("longwave_speakers") == 1


async def test_a_closed_speakers_task_sees_why(world: World) -> None:
    speaker, _ = await world.live(name="Ada")

    async def connection() -> None:
        with speaker.attached():
            await asyncio.sleep(3600)

    task = asyncio.create_task(connection())
    await asyncio.sleep(0)
    await world.ingest.connect("room", "Ada", 1)
    with pytest.raises(Busy, match="newer connection"):
        await task
    with pytest.raises(Busy, match="newer connection"), speaker.attached():
        pass


async def test_a_cancelled_connection_is_just_cancelled(world: World) -> None:
    speaker, _ = await world.live()

    async def connection() -> None:
        with speaker.attached():
            await asyncio.sleep(3600)

    task = asyncio.create_task(connection())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_fast_connection_waits_for_room_and_goes_on(world: World) -> None:
    speaker, _ = await world.live()
    world.say(speaker, 48_000)
    waiting = asyncio.create_task(speaker.paced())
    await asyncio.sleep(0)
    world.tick(5)
    await asyncio.sleep(0)
    assert not waiting.done()
    world.tick(6)
    await asyncio.wait_for(waiting, 5)


async def test_the_end_by_request_closes_all_speakers_and_a_new_one_starts_another_take(world: World) -> None:
    speaker, bus = await world.live()
    other = await world.ingest.connect("room", "Ada", 1)
    world.tick(4)
    assert world.ingest.end("room") == (bus.key, 5 * BLOCK)
    assert bus.ended == 5 * BLOCK
    assert isinstance(speaker.closed, Busy)
    assert isinstance(other.closed, Busy)
    world.ingest.leave(other)
    world.say(speaker, START_BUFFER)  # what still comes of the old connection is nothing
    world.ingest.leave(speaker)
    world.tick(5)
    assert len(world.hub.live()) == 1
    _, another = await world.live()
    assert another.key != bus.key
    with pytest.raises(UnknownRoom):
        world.ingest.end("nobody")


async def test_a_take_without_a_speaker_ends_after_the_idle_timeout(tmp_path: Path) -> None:
    world = World(tmp_path, idle_timeout=2.0)
    speaker, bus = await world.live()
    world.ingest.leave(speaker)
    world.tick(99)
    ended = [bus.ended]
    world.tick()
    assert [*ended, bus.ended] == [None, bus.top] == [None, 101 * BLOCK]
    await world.ingest.stop()


async def test_a_speaker_that_comes_in_time_keeps_the_take_alive(tmp_path: Path) -> None:
    world = World(tmp_path, idle_timeout=2.0)
    speaker, bus = await world.live()
    world.ingest.leave(speaker)
    world.tick(99)
    speaker = await world.ingest.connect("room", None, 1)
    world.tick(200)
    world.ingest.leave(speaker)
    world.tick(99)
    ended = [bus.ended]
    world.tick()
    assert [*ended, bus.ended] == [None, bus.top]
    await world.ingest.stop()


async def test_who_sends_nothing_is_let_go(tmp_path: Path) -> None:
    world = World(tmp_path, sender_timeout=1.0)
    speaker, bus = await world.live()
    world.tick(48)
    closed = [speaker.closed]
    world.tick(3)
    assert [type(error) for error in (*closed, speaker.closed)] == [type(None), SenderTimeout]
    world.ingest.leave(speaker)
    world.tick(10)
    assert bus.ended is None
    assert world.metric("longwave_speakers_dropped_total", reason="timeout") == 1
    await world.ingest.stop()


async def test_who_is_paced_or_muted_or_done_is_not_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path, sender_timeout=1.0)
    (paced, _), (muted, _), (done, _) = [await world.live(room) for room in "abc"]
    muted.intake.mute()
    world.ingest.finish(done)
    for _ in range(20):
        world.say(paced, 10 * BLOCK + 48_000 - paced.intake.held)
        world.tick(10)
    assert paced.closed is muted.closed is done.closed is None
    await world.ingest.stop()


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
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, broken_bus = await world.live("broken")
    _, bus = await world.live("fine")

    def fail(*_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(broken_bus, "append", fail)
    top = bus.top
    world.tick(3)
    assert bus.top == top + 3 * BLOCK
    assert broken_bus.ended == broken_bus.top
    assert type(broken.closed) is LongwaveError
    assert world.metric("longwave_unexpected_errors_total", where="owner") == 1
    assert world.ingest.live("broken") is None


async def test_samples_are_counted(world: World) -> None:
    speaker, _ = await world.live()
    world.tick(14)
    world.ingest.end("room")
    assert world.metric("longwave_samples_total", kind="sound") == START_BUFFER
    assert world.metric("longwave_samples_total", kind="silence") == 5 * BLOCK
    world.ingest.leave(speaker)
    assert world.metric("longwave_speakers") == 0


async def test_every_segment_is_reserved_before_it_begins(world: World) -> None:
    """The disk is given as long as it needs for a tick: what it holds is above what is on the bus."""
    _, bus = await world.live()
    kept = world.keeper._takes[bus.key]

    def written() -> bool:
        return world.on_disk() == [kept.wanted] and kept.safe == kept.wanted.reserved

    await until(written)
    for _ in range(350):
        world.tick()
        assert bus.top <= 96_000 * kept.safe
        await until(written)
        assert bus.top - kept.wanted.heartbeat < 48_000 + BLOCK
    # No number is reserved long before it is needed: what is reserved is lost in a crash.
    assert world.on_disk()[0].reserved == 4
    assert world.metric("longwave_reservation_late_total") == 0


class SlowStore(TakeStore):
    """A disk that answers when it is let, or not at all."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.let = threading.Event()
        self.broken = False

    def create(self, key: TakeKey, header: TakeHeader, reservation: Reservation) -> TakeFile:
        if self.broken:
            raise DiskUnavailable("the disk is full: make room")
        assert self.let.wait(30)
        return super().create(key, header, reservation)


async def test_a_disk_that_hangs_keeps_no_sender_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(DiskObjects, "read", lambda *_: let_go.wait(30) and None)
    monkeypatch.setattr("workers.wishes._DISK_SECONDS", 0.02)
    await world.live()
    let_go.set()


async def test_a_slow_disk_does_not_stop_live_audio_and_is_said(tmp_path: Path) -> None:
    store = SlowStore(tmp_path / "takes")
    world = World(tmp_path, store)
    speaker, bus = await world.live()
    world.say(speaker, 96_000)
    world.tick(150)
    assert bus.top == 151 * BLOCK
    assert world.metric("longwave_reservation_late_total") == 2
    assert "reserved" in (world.ingest.degraded or "")
    store.let.set()
    await until(lambda: world.ingest.degraded is None)
    assert world.on_disk()[0].reserved == 2
    await world.ingest.stop()


async def test_a_full_disk_does_not_stop_live_audio_and_is_tried_again(tmp_path: Path) -> None:
    store = SlowStore(tmp_path / "takes")
    store.broken = True
    store.let.set()
    world = World(tmp_path, store)
    _, bus = await world.live()
    await until(lambda: world.ingest.degraded is not None)
    assert "the disk is full" in (world.ingest.degraded or "")
    world.tick(60)
    assert bus.top == 61 * BLOCK
    store.broken = False
    world.tick(60)
    await until(lambda: world.ingest.degraded is None)
    assert len(world.on_disk()) == 1
    await world.ingest.stop()


async def test_a_killed_ingest_goes_on_with_its_take(tmp_path: Path) -> None:
    world = World(tmp_path)
    _, bus = await world.live()
    world.tick(150)
    await until(lambda: world.on_disk() != [] and world.on_disk()[0].reserved == 2)
    # Killed: nothing is closed. The next process finds the take 10 s later.
    successor = World(tmp_path)
    successor.now = world.now + 10 * SECOND
    await successor.resume()
    # Another crash at this point would use none of the numbers again.
    assert successor.on_disk()[0].reserved * 96_000 > (151 + 500) * BLOCK
    (again,) = successor.hub.live()
    assert (again.key, again.header) == (bus.key, bus.header)
    assert again.first == again.top == 2 * 96_000
    successor.tick()
    assert again.top == (151 + 500 + 1) * BLOCK
    assert not again.read(again.first, again.top).any()
    speaker, heard = await successor.live()
    assert heard is again
    successor.tick(2)  # past the mixer's block of looking ahead, and the fade of a sound after silence
    assert speaker.take == bus.key.take
    assert again.read(again.top - BLOCK, again.top).all()
    await world.ingest.stop()
    await successor.ingest.stop()


async def test_a_server_that_goes_down_in_order_leaves_its_takes_to_the_next(
    world: World, tmp_path: Path
) -> None:
    speaker, bus = await world.live()
    world.tick(60)
    await world.ingest.stop()
    assert isinstance(speaker.closed, OverCapacity)
    assert bus.ended is None
    assert world.on_disk()[0].heartbeat > 0
    with pytest.raises(OverCapacity):
        await world.ingest.connect("other", None, 1)


async def test_a_take_that_ended_while_down_is_on_the_bus_with_its_end(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.live()
    world.tick(60)
    await until(lambda: bool(world.on_disk()) and world.on_disk()[0].heartbeat > 0)
    successor = World(tmp_path)
    successor.now = world.now + 100 * SECOND
    await successor.resume()
    (bus,) = successor.hub.live()
    assert bus.first == bus.top == bus.ended == world.on_disk()[0].heartbeat
    assert successor.ingest.live("room") is None
    await world.ingest.stop()
    await successor.ingest.stop()


async def test_an_end_is_kept_until_it_is_published(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.ingest.start()
    await world.live()
    _, samples = world.ingest.end("room")
    await until(lambda: bool(world.on_disk()) and world.on_disk()[0].ended)
    assert world.on_disk()[0].heartbeat == samples
    successor = World(tmp_path)  # a crash before anybody heard of the end
    await successor.resume()
    (bus,) = successor.hub.live()
    assert bus.ended == samples
    world.hub.close(bus.key)
    await until(lambda: world.on_disk() == [])
    await world.ingest.stop()
    await successor.ingest.stop()


async def test_an_end_is_kept_while_origins_have_trouble_with_their_disks(tmp_path: Path) -> None:
    asked: list[bool] = []

    def remembered() -> bool:
        asked.append(len(asked) >= 2)
        (stored,) = TakeStore(tmp_path / "takes").stored()  # still there whenever it is asked for
        assert stored.reservation.ended
        return asked[-1]

    world = World(tmp_path, remembered=remembered)
    await world.ingest.start()
    _, bus = await world.live()
    world.ingest.end("room")
    await until(lambda: bool(world.on_disk()) and world.on_disk()[0].ended)
    world.hub.close(bus.key)
    await until(lambda: world.on_disk() == [])
    assert asked == [False, False, True]
    await world.ingest.stop()


async def test_of_two_live_takes_of_a_room_one_goes_on(tmp_path: Path) -> None:
    store = TakeStore(tmp_path / "takes")
    header = TakeHeader(WALL_US, TakeSettings(), "f")
    for take in ("20260131T200000Z-aaaaaa", "20260131T200001Z-bbbbbb"):
        store.create(TakeKey("room", take), header, Reservation(1, 48_000)).close()
    world = World(tmp_path)
    await world.resume()
    assert {bus.key.take[-6:]: bus.ended for bus in world.hub.live()} == {"bbbbbb": None, "aaaaaa": 48_000}
    await world.ingest.stop()


async def test_a_disk_that_cannot_be_read_does_not_stop_the_start(tmp_path: Path, world: World) -> None:
    class Unreadable(TakeStore):
        def stored(self) -> list[StoredTake]:
            raise DiskUnavailable("takes: the disk is broken")

    other = World(tmp_path, Unreadable(tmp_path))
    await other.ingest.start()
    await other.ingest.connect("room", None, 1)
    await other.ingest.stop()


async def test_a_broken_room_record_does_not_stop_live_audio(world: World, tmp_path: Path) -> None:
    (tmp_path / "rooms" / "room").mkdir(parents=True)
    (tmp_path / "rooms" / "room" / "room.json").write_text("{")
    _, bus = await world.live()
    assert bus.header.settings == TakeSettings()


async def test_the_ticker_keeps_its_schedule_and_leaves_out_what_it_missed() -> None:
    """It began at 0; woken at these instants it says how late each is, and no lateness adds up."""
    instants = iter([0, 20, 43, 61, 175, 180])
    seen = []
    async for now, late in ticks(lambda: next(instants) * 1_000_000):
        seen.append((now // 1_000_000, late // 1_000_000))
        if now == 180_000_000:
            break
    assert seen == [(20, 0), (43, 3), (61, 1), (175, 95), (180, 0)]
