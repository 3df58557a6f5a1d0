"""Takes on the disk of an ingest: what is reserved before it is served, slow disks, and restarts."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from contracts.errors import (
    DiskUnavailable,
    OverCapacity,
)
from contracts.take import TakeHeader, TakeKey, TakeSettings
from storage.disk_objects import DiskObjects
from tests.waiting import until
from tests.world import BLOCK, SECOND, WALL_US, World
from workers.take_store import Reservation, StoredTake, TakeFile, TakeStore
from workers.ticker import ticks


async def test_every_segment_is_reserved_before_it_begins(lone_world: World) -> None:
    """The disk is given as long as it needs for a tick: what it holds is above what is on the bus."""
    _, bus = await lone_world.live()
    kept = lone_world.keeper._takes[bus.key]

    def written() -> bool:
        return lone_world.on_disk() == [kept.wanted] and kept.safe == kept.wanted.reserved

    await until(written)
    for _ in range(350):
        lone_world.tick()
        assert bus.top <= 96_000 * kept.safe
        await until(written)
        assert bus.top - kept.wanted.heartbeat < 48_000 + BLOCK
    # No number is reserved long before it is needed: what is reserved is lost in a crash.
    assert lone_world.on_disk()[0].reserved == 4
    assert lone_world.metric("longwave_reservation_late_total") == 0


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


async def test_a_disk_that_hangs_keeps_no_sender_out(
    lone_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(DiskObjects, "read", lambda *_: let_go.wait(30) and None)
    monkeypatch.setattr("workers.wishes._DISK_SECONDS", 0.02)
    await lone_world.live()
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
    lone_world: World, tmp_path: Path
) -> None:
    speaker, bus = await lone_world.live()
    lone_world.tick(60)
    await lone_world.ingest.stop()
    assert isinstance(speaker.closed, OverCapacity)
    assert bus.ended is None
    assert lone_world.on_disk()[0].heartbeat > 0
    with pytest.raises(OverCapacity):
        await lone_world.ingest.connect("other", None, 1)


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


async def test_a_disk_that_cannot_be_read_does_not_stop_the_start(tmp_path: Path, lone_world: World) -> None:
    class Unreadable(TakeStore):
        def stored(self) -> list[StoredTake]:
            raise DiskUnavailable("takes: the disk is broken")

    other = World(tmp_path, Unreadable(tmp_path))
    await other.ingest.start()
    await other.ingest.connect("room", None, 1)
    await other.ingest.stop()


async def test_a_broken_room_record_does_not_stop_live_audio(lone_world: World, tmp_path: Path) -> None:
    (tmp_path / "rooms" / "room").mkdir(parents=True)
    (tmp_path / "rooms" / "room" / "room.json").write_text("{")
    _, bus = await lone_world.live()
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
