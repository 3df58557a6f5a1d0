"""Rooms in a storage that many servers share: conditions, ages, the cache, and a storage that is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import EditConflict, ObjectDamaged, PreconditionFailed, StorageUnavailable
from longwave.room_moving import move_rooms
from storage.disk_objects import DiskObjects
from storage.objects import Objects
from storage.room_record import etag_of
from storage.rooms import CachedRoom, RoomRecord, RoomStore
from tests.over_takes import Memory, Watched
from workers.wishes import recorded, wishes

OLD, NEW = RoomRecord(title="old"), RoomRecord(title="new")


class Shelf:
    """A cache that servers share, as Redis is one."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes | None, float]] = {}
        self.now = 0.0

    def get(self, room: str) -> CachedRoom | None:
        if room not in self.held:
            return None
        data, at = self.held[room]
        return CachedRoom(data, self.now - at)

    def put(self, room: str, data: bytes | None) -> None:
        self.held[room] = data, self.now


class Site:
    """A storage with any number of servers on it, a clock, and a list of what was read."""

    def __init__(self, cache: Shelf | None = None) -> None:
        self.inner = Memory()
        self.cache = cache
        self.now = 1000.0
        self.reads: list[str] = []
        self.away = False

    def server(self, *, shared: bool = True, hook: Callable[[str, str], None] | None = None) -> RoomStore:
        def notice(what: str, name: str) -> None:
            if self.away:
                raise StorageUnavailable("the storage is gone")
            if what == "read":
                self.reads.append(name)
            if hook is not None:
                hook(what, name)

        objects: Objects = Watched(self.inner, notice)
        return RoomStore(objects, self.cache, shared=shared, clock=lambda: self.now)

    def later(self, seconds: float) -> None:
        self.now += seconds
        if self.cache is not None:
            self.cache.now += seconds


def until(condition: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(2000):
        if condition():
            return
        waiting.wait(0.005)
    raise AssertionError("never")


def wait_for(event: threading.Event) -> None:
    assert event.wait(30)


# ---- conditions --------------------------------------------------------------------------------------------


def test_a_record_has_the_same_etag_on_every_server_and_another_one_when_it_changes() -> None:
    site = Site()
    one, other = site.server(), site.server()
    one.put("news", OLD)
    first = one.get("news")
    assert first is not None
    assert first.etag == etag_of(OLD.to_bytes())
    seen = other.get("news")
    assert seen is not None
    assert seen.etag == first.etag
    other.put("news", NEW)
    again = other.get("news")
    assert again is not None
    assert again.etag not in {"", first.etag}


def test_what_was_read_before_somebody_else_changed_it_is_not_written_back() -> None:
    site = Site()
    one, other = site.server(), site.server()
    one.put("news", OLD)
    mine = etag_of(OLD.to_bytes())
    assert not other.put("news", NEW, only_if=lambda etag: etag == mine)
    with pytest.raises(PreconditionFailed):
        one.put("news", OLD, only_if=lambda etag: etag == mine)
    with pytest.raises(PreconditionFailed):
        one.delete("news", only_if=lambda etag: etag == mine)
    assert site.server().get("news") == NEW


def test_without_a_condition_the_last_writer_wins_whoever_comes_between() -> None:
    site = Site()
    meddler = site.server()
    comers = iter([RoomRecord(title="between"), RoomRecord(title="again")])

    def meddle(what: str, _name: str) -> None:
        if what == "replace" and (record := next(comers, None)):
            meddler.put("news", record)

    assert site.server(hook=meddle).put("news", NEW) is False
    assert site.server().get("news") == NEW


def test_a_condition_is_asked_again_when_somebody_comes_between() -> None:
    site = Site()
    meddler = site.server()
    comers = iter([OLD])

    def meddle(what: str, _name: str) -> None:
        if what == "replace" and (record := next(comers, None)):
            meddler.put("news", record)

    with pytest.raises(PreconditionFailed):
        site.server(hook=meddle).put("news", NEW, only_if=lambda etag: etag is None)
    assert site.server().get("news") == OLD


def test_a_room_that_others_change_all_the_time_is_a_conflict_in_the_end() -> None:
    site = Site()
    meddler = site.server()

    def meddle(what: str, _name: str) -> None:
        if what == "replace":
            meddler.put("news", OLD)

    with pytest.raises(EditConflict):
        site.server(hook=meddle).put("news", NEW)


def test_a_deletion_takes_what_was_written_before_it_and_nothing_half() -> None:
    site = Site()
    meddler, comers = site.server(), iter([NEW])

    def meddle(what: str, _name: str) -> None:
        if what == "remove" and (record := next(comers, None)):
            meddler.put("news", record)

    site.server().put("news", OLD)
    assert site.server(hook=meddle).delete("news") is True
    assert site.server().get("news") is None
    assert site.server().delete("news") is False


def test_a_broken_record_can_be_replaced_and_deleted() -> None:
    site = Site()
    site.inner.put_new("rooms/news/room.json", b"{")
    with pytest.raises(ObjectDamaged):
        site.server().get("news")
    assert site.server().put("news", NEW) is False
    assert site.server().get("news") == NEW


# ---- ages --------------------------------------------------------------------------------------------------


def test_what_another_server_wrote_is_seen_after_five_seconds() -> None:
    site = Site()
    one, other = site.server(), site.server()
    one.put("news", OLD)
    assert other.get("news") == OLD
    one.put("news", NEW)
    site.later(4.9)
    assert (other.get("news"), other.fresh("news")) == (OLD, True)
    site.later(0.2)
    assert not other.fresh("news")
    assert other.get("news") == NEW


def test_what_is_old_is_read_again_in_the_background_for_who_cannot_wait() -> None:
    site = Site()
    one, other = site.server(), site.server()
    one.put("news", OLD)
    other.get("news")
    one.put("news", NEW)
    site.later(6)
    assert other.known("news") == OLD
    until(lambda: other.known("news") == NEW)


def test_a_room_that_was_never_asked_for_is_looked_up_for_who_cannot_wait() -> None:
    site = Site()
    site.server().put("news", NEW)
    other = site.server()
    assert other.known("news") is None
    until(lambda: other.known("news") == NEW)


def test_a_disk_of_ones_own_is_read_once() -> None:
    site = Site()
    store = site.server(shared=False)
    site.server().put("news", NEW)
    assert store.get("news") == NEW
    site.later(1e6)
    assert store.get("news") == store.known("news") == NEW
    assert store.fresh("news")
    assert len(site.reads) == 2  # the writer's own look, and this one


def test_names_that_anybody_asks_for_are_remembered_for_a_moment_and_not_all() -> None:
    site = Site()
    store = site.server()
    for number in range(1001):
        assert store.get(f"room-{number}") is None
    assert store.get("room-1000") is None
    assert len(site.reads) == 1001
    assert not store.fresh("room-0")
    site.later(6)
    store.get("room-1000")
    assert len(site.reads) == 1002


def test_what_was_read_before_a_write_does_not_hide_it() -> None:
    site = Site()
    late, writing = threading.Event(), threading.Event()

    class Slow(Memory):
        def read(self, name, start=0, stop=None, *, etag=None):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
            found = super().read(name, start, stop, etag=etag)
            if threading.current_thread() is not threading.main_thread():
                writing.set()
                assert late.wait(30)
            return found

    site.inner = Slow()
    store = site.server(shared=False)
    site.server().put("news", OLD)
    reader = threading.Thread(target=store.get, args=("news",))
    reader.start()
    assert writing.wait(30)
    store.put("news", NEW)
    late.set()
    reader.join()
    assert store.get("news") == NEW


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
