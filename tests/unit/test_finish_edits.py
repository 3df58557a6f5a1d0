"""What hosts change of a replay after the fact, and what deleting leaves."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import pytest

from contracts.errors import DiskUnavailable, EditConflict, NotFound, StillLive, StorageUnavailable
from contracts.take import TakeKey
from storage.documents import to_bytes
from storage.entry import ReplayEntry
from storage.meta import Chapter, TakeMeta
from storage.names import (
    CHAPTERS,
    META,
    RECORD,
    REPLAY_M4A,
    deleted_name,
    entry_name,
    open_name,
    take_object,
)
from storage.objects import ObjectInfo, Objects
from tests.over_takes import KEY, Memory, Watched, archive, everything, header
from workers.archive.finish import Finisher
from workers.archive.verify import verify

NOW = 1_767_300_000.0
OTHER = TakeKey("talk", "20260102T000000Z-abc234")


def finisher(objects: Objects) -> Finisher:
    return Finisher(objects, None, clock=lambda: NOW)


@pytest.fixture
def objects() -> Memory:
    memory = Memory()
    archive(memory, header())
    finisher(memory).finish(KEY)
    return memory


def entry(objects: Objects) -> ReplayEntry:
    return ReplayEntry.from_json(json.loads(objects.read(entry_name(KEY)).data))


def meta(objects: Objects) -> TakeMeta:
    return TakeMeta.from_json(json.loads(objects.read(take_object(KEY, META)).data))


def test_a_new_title_and_new_chapters_are_in_every_file(objects: Memory) -> None:
    chapters = (Chapter(0, "One"), Chapter(500_000, "Zwei – 二"))
    after = finisher(objects).edit(KEY, lambda meta: replace(meta, title="Neu", chapters=chapters))
    assert after == entry(objects)
    assert (after.title, after.chapters) == ("Neu", 2)
    listed = json.loads(objects.read(take_object(KEY, CHAPTERS)).data)["chapters"]
    assert [each["title"] for each in listed] == ["One", "Zwei – 二"]
    m4a = objects.read(take_object(KEY, REPLAY_M4A)).data
    assert b"Neu" in m4a
    assert "Zwei – 二".encode() in m4a
    assert b"Radio Ada, 1 January" not in m4a
    assert verify(objects, KEY).problems == ()
    assert objects.head(open_name(KEY)) is None


def test_an_edit_leaves_what_was_archived_alone(objects: Memory) -> None:
    before = {info.name: info.etag for info in objects.list(take_object(KEY, ""))}
    finisher(objects).edit(KEY, lambda meta: replace(meta, title="Neu"))
    after = {info.name: info.etag for info in objects.list(take_object(KEY, ""))}
    changed = {name.rpartition("/")[2] for name in before if before[name] != after[name]}
    assert changed == {META, REPLAY_M4A, CHAPTERS, "derived.json"}


def test_publishing_writes_no_media(objects: Memory) -> None:
    written: list[str] = []
    watched = Watched(objects, lambda what, name: written.append(name) if what == "write" else None)
    assert finisher(watched).edit(KEY, lambda meta: replace(meta, published=False)).published is False
    assert written == []
    assert verify(objects, KEY).problems == ()
    assert finisher(watched).edit(KEY, lambda meta: replace(meta, published=True)).published is True
    assert written == []
    assert verify(objects, KEY).problems == ()


def test_what_is_unpublished_is_so_before_anything_is_derived(objects: Memory) -> None:
    def fail(what: str, _name: str) -> None:
        if what == "write":
            raise StorageUnavailable("gone")

    with pytest.raises(StorageUnavailable):
        finisher(Watched(objects, fail)).edit(KEY, lambda meta: replace(meta, title="Neu", published=False))
    assert entry(objects).published is False
    assert objects.head(open_name(KEY)) is not None
    finisher(objects).derive(KEY)
    assert entry(objects).title == "Neu"
    assert objects.head(open_name(KEY)) is None


def test_an_edit_that_changes_nothing_writes_nothing(objects: Memory) -> None:
    before = everything(objects)
    finisher(objects).edit(KEY, lambda meta: meta)
    assert everything(objects) == before


def test_nobody_sets_a_tombstone_by_an_edit(objects: Memory) -> None:
    finisher(objects).edit(KEY, lambda meta: replace(meta, deleted_at="2026-01-01T00:00:00Z"))
    assert meta(objects).deleted_at is None


def test_a_change_is_made_again_from_what_somebody_else_has_written(objects: Memory) -> None:
    seen = []

    def change(found: TakeMeta) -> TakeMeta:
        seen.append(found)
        if len(seen) == 1:
            objects.write(take_object(KEY, META), [to_bytes(TakeMeta(title="Theirs").to_json())])
        return replace(found, published=False)

    finisher(objects).edit(KEY, change)
    assert [each.title for each in seen] == ["", "Theirs"]
    assert meta(objects) == TakeMeta(title="Theirs", published=False)
    assert verify(objects, KEY).problems == ()


def test_somebody_who_is_always_quicker_is_a_conflict(objects: Memory) -> None:
    def change(found: TakeMeta) -> TakeMeta:
        theirs = replace(found, title=f"{found.title}x")
        objects.write(take_object(KEY, META), [to_bytes(theirs.to_json())])
        return replace(found, published=False)

    with pytest.raises(EditConflict):
        finisher(objects).edit(KEY, change)


def test_what_a_change_raises_comes_out_and_nothing_is_changed(objects: Memory) -> None:
    before = everything(objects)

    def change(_: TakeMeta) -> TakeMeta:
        raise EditConflict("not with me")

    with pytest.raises(EditConflict, match="not with me"):
        finisher(objects).edit(KEY, change)
    finisher(objects).derive(KEY)
    assert everything(objects) == before


def test_only_finished_takes_are_edited() -> None:
    memory = Memory()
    with pytest.raises(NotFound):
        finisher(memory).edit(KEY, lambda meta: meta)
    archive(memory, header())
    with pytest.raises(StillLive):
        finisher(memory).edit(KEY, lambda meta: meta)


def test_deleting_leaves_a_tombstone_without_anything_of_the_host_in_it(objects: Memory) -> None:
    finisher(objects).edit(KEY, lambda meta: replace(meta, title="Secret"))
    finisher(objects).delete(KEY)
    assert [*everything(objects)] == [deleted_name(KEY), take_object(KEY, META)]
    assert meta(objects) == TakeMeta(published=False, deleted_at="2026-01-01T20:40:00Z")


def test_the_entry_goes_before_what_it_speaks_of_and_after_the_tombstone(objects: Memory) -> None:
    order: list[str] = []
    finisher(Watched(objects, after=lambda _, name: order.append(name))).delete(KEY)
    tombstone, listed, record = (
        order.index(name) for name in (take_object(KEY, META), entry_name(KEY), take_object(KEY, RECORD))
    )
    assert order.index(deleted_name(KEY)) < tombstone < listed < record


def test_other_takes_stay(objects: Memory) -> None:
    objects.put_new(open_name(OTHER), b"{}")
    objects.put_new(take_object(OTHER, "64k/0.mp4"), b"x")
    finisher(objects).delete(KEY)
    assert objects.head(open_name(OTHER)) is not None
    assert objects.head(take_object(OTHER, "64k/0.mp4")) is not None


def test_what_is_not_there_or_deleted_is_not_found(objects: Memory) -> None:
    with pytest.raises(NotFound):
        finisher(objects).delete(OTHER)
    finisher(objects).delete(KEY)
    for work in (
        lambda: finisher(objects).delete(KEY),
        lambda: finisher(objects).derive(KEY),
        lambda: finisher(objects).edit(KEY, lambda meta: meta),
    ):
        with pytest.raises(NotFound):
            work()


def test_a_delete_is_completed_by_whoever_asks_for_it_again(objects: Memory) -> None:
    def fail(what: str, name: str) -> None:
        if what == "delete" and name == entry_name(KEY):
            raise StorageUnavailable("gone")

    with pytest.raises(StorageUnavailable):
        finisher(Watched(objects, fail)).delete(KEY)
    finisher(objects).delete(KEY)
    assert [*everything(objects)] == [deleted_name(KEY), take_object(KEY, META)]


def test_a_take_that_is_not_finished_can_be_deleted_and_is_not_finished_then() -> None:
    memory = Memory()
    archive(memory, header())
    finisher(memory).delete(KEY)
    archive(memory, header())  # a server that was cut off comes back with all that it has
    finisher(memory).finish(KEY)
    assert [*everything(memory)] == [deleted_name(KEY), take_object(KEY, META)]


def test_a_take_whose_meta_json_is_damaged_can_be_deleted(objects: Memory) -> None:
    objects.write(take_object(KEY, META), [b"?"])
    finisher(objects).delete(KEY)
    assert meta(objects).deleted_at is not None


class Full(Memory):
    """A disk without room for anything, as long as the m4a takes it."""

    def write(self, name: str, chunks: Iterable[bytes]) -> ObjectInfo:
        if self.head(take_object(KEY, REPLAY_M4A)) is not None:
            raise DiskUnavailable(f"{name}: the disk is full")
        return super().write(name, chunks)


def test_on_a_disk_that_is_full_a_take_can_be_deleted_to_make_room(objects: Memory) -> None:
    full = Full({name: (objects.read(name).data, objects.read(name).info) for name in everything(objects)})
    finisher(full).delete(KEY)
    assert set(everything(full)) == {take_object(KEY, META), deleted_name(KEY)}
    with pytest.raises(NotFound):
        finisher(full).delete(KEY)
