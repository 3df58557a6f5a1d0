"""Rooms in a storage that is away, behind a cache that servers share, and rooms that move into it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from contracts.errors import StorageUnavailable
from longwave.room_moving import move_rooms
from storage.disk_objects import DiskObjects
from storage.rooms import RoomRecord, RoomStore
from tests.over_takes import Watched
from tests.room_site import NEW, OLD, Shelf, Site, until, wait_for
from workers.wishes import recorded, wishes

# ---- the cache ---------------------------------------------------------------------------------------------


def test_the_cache_saves_looks_into_the_storage_and_hears_of_every_change() -> None:
    site = Site(Shelf())
    one, other = site.server(), site.server()
    one.put("news", OLD)
    site.reads.clear()
    assert other.get("news") == OLD
    one.put("news", NEW)
    site.reads.clear()
    site.later(4)
    assert site.server().get("news") == NEW
    assert site.reads == []
    one.delete("news")
    assert site.server().get("news") is None


def test_what_the_cache_missed_is_found_after_a_moment() -> None:
    site = Site(Shelf())
    site.server().put("news", OLD)
    site.cache, shelf = None, site.cache
    site.server().put("news", NEW)
    site.cache = shelf
    site.later(6)
    store = site.server()
    assert store.get("news") == OLD
    until(lambda: store.known("news") == NEW)
    assert site.server().get("news") == NEW


def test_rubbish_in_the_cache_is_not_believed() -> None:
    site = Site(Shelf())
    site.server().put("news", NEW)
    assert site.cache is not None
    site.cache.put("news", b"{")
    assert site.server().get("news") == NEW


# ---- a storage that is away --------------------------------------------------------------------------------


def test_while_the_storage_is_away_the_cache_and_the_memory_answer() -> None:
    site = Site(Shelf())
    knows = site.server()
    knows.put("news", NEW)
    site.away = True
    site.later(300)
    assert site.server().get("news") == NEW
    site.cache.held.clear()  # type: ignore[union-attr]
    assert knows.get("news") == NEW
    with pytest.raises(StorageUnavailable):
        site.server().get("news")
    with pytest.raises(StorageUnavailable):
        knows.put("news", OLD)
    assert knows.known("news") == NEW
    site.away = False
    assert knows.get("news") == NEW


def test_a_write_of_which_nobody_knows_whether_it_was_done_is_looked_up() -> None:
    site = Site()
    store = site.server(shared=False)
    store.put("news", OLD)

    class Ambiguous(Watched):
        def replace(self, name, data, etag):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            super().replace(name, data, etag)
            raise StorageUnavailable("the answer was lost")

    store._objects = Ambiguous(site.inner)
    with pytest.raises(StorageUnavailable):
        store.put("news", NEW)
    assert store.get("news") == NEW


async def test_who_connects_gets_what_is_known_or_the_defaults() -> None:
    site = Site()
    store = site.server()
    store.put("news", NEW)
    assert await wishes(store, "news") == NEW
    site.away = True
    site.later(60)
    assert await wishes(store, "news") == NEW
    assert await wishes(store, "sports") == RoomRecord()
    with pytest.raises(StorageUnavailable):
        await recorded(store, "sports")
    site.away = False
    assert await recorded(store, "sports") is None


async def test_who_connects_gets_what_the_host_wants_now() -> None:
    site = Site()
    one, other = site.server(), site.server()
    one.put("news", OLD)
    assert await wishes(other, "news") == OLD
    one.put("news", NEW)
    site.later(6)
    assert await wishes(other, "news") == NEW


async def test_who_connects_waits_but_a_moment_for_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.wishes._DISK_SECONDS", 0.02)
    site, let = Site(), threading.Event()
    store = site.server(hook=lambda *_: wait_for(let))
    assert await wishes(store, "news") == RoomRecord()
    with pytest.raises(StorageUnavailable, match="no answer"):
        await recorded(store, "news")
    assert len(site.reads) == 1  # both waited for the same look
    let.set()


def test_a_storage_that_hangs_collects_no_looks_for_ever() -> None:
    site, let = Site(), threading.Event()
    store = site.server(hook=lambda *_: wait_for(let))
    looks = [store.look(f"room-{number}") for number in range(256)]
    with pytest.raises(StorageUnavailable, match="too slow"):
        store.look("one-more")
    assert store.look("room-0") is looks[0]
    let.set()
    assert looks[0].result(30) is None
    until(looks[-1].done)
    assert store.look("one-more").result(30) is None
    store.close()
    with pytest.raises(StorageUnavailable, match="about to stop"):
        store.look("late")


def test_a_start_knows_all_rooms_and_does_not_fail_without_a_storage() -> None:
    site = Site()
    first = site.server()
    first.put("news", NEW)
    site.inner.put_new("rooms/broken/room.json", b"[]")
    site.inner.put_new("rooms/only.takes/t/story.json", b"{}")
    site.inner.put_new("rooms/takes/t/story.json", b"{}")
    store = site.server()
    store.load()
    assert store.names() == ["broken", "news", "takes"]
    assert (store.known("news"), store.fresh("takes")) == (NEW, True)
    site.away = True
    store = site.server()
    store.load()
    assert store.known("news") is None


def test_rooms_of_a_data_directory_move_into_the_storage_once(tmp_path: Path) -> None:
    before = DiskObjects(tmp_path)
    old = RoomStore(before)
    old.put("news", OLD)
    old.put("sports", OLD)
    before.put_new("rooms/broken/room.json", b"{")
    site = Site()
    rooms = site.server()
    rooms.put("sports", NEW)
    move_rooms(before, rooms)
    assert (rooms.get("news"), rooms.get("sports")) == (OLD, NEW)
    assert RoomStore(before).names() == ["broken", "sports"]
    rooms.delete("news")
    move_rooms(before, rooms)
    assert rooms.get("news") is None


def test_a_storage_that_is_the_data_directory_itself_keeps_its_rooms(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    before, storage = DiskObjects(tmp_path / "data"), DiskObjects(tmp_path / "link")
    RoomStore(before).put("news", OLD)
    move_rooms(before, RoomStore(storage, shared=True))
    assert RoomStore(storage).get("news") == OLD


def test_rooms_stay_where_they_are_while_the_storage_is_away(tmp_path: Path) -> None:
    before = DiskObjects(tmp_path)
    RoomStore(before).put("news", OLD)
    site = Site()
    site.away = True
    move_rooms(before, site.server())
    assert RoomStore(before).get("news") == OLD
