"""Rooms in a storage that many servers share: conditions, and how old an answer may be."""

from __future__ import annotations

import threading

import pytest

from contracts.errors import EditConflict, ObjectDamaged, PreconditionFailed
from storage.room_record import etag_of
from storage.rooms import RoomRecord
from tests.over_takes import Memory
from tests.room_site import NEW, OLD, Site, until

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
