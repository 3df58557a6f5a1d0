"""What `storage.objects` promises of names, lists and deletions, of every storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from storage.objects import ObjectChanged, Objects
from tests.storages import names, storage, together

ODD = (
    "a/ü ä",
    "a/🎙",
    "a/x+y%20z",
    "a/'quoted\"",
    "a/~!$&()*,;=:@",
    "a/back\\slash",
    "a/…",
    "a/q?x=1#f",
    "a/-_.",
)
WRONG = (
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    "../a",
    "a/../../b",
    "a/.",
    ".a",
    "a/.b",
    "a\0",
    "a\n",
    "\ud83c",
)
BAD_PREFIXES = ("/", "../", "a/../", "a/./b", "a//", "a/.", "\0")


@pytest.fixture(params=["disk", "s3"])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Objects]]:
    with storage(request.param, tmp_path, monkeypatch) as another:
        yield another


@pytest.fixture
def objects(opened: Callable[[], Objects]) -> Objects:
    return opened()


# ---- list --------------------------------------------------------------------------------------------------


def test_names_are_listed_by_code_point(objects: Objects) -> None:
    # What sorts before "/" in a name sorts before what lies below, which no directory tells by itself.
    wanted = ["B", "a b/z", "a!", "a-b", "a-b.c/d", "a.b", "a/b", "a/b-c", "a/c/d", "a0", "ab", "é", "🎙"]
    for name in reversed(wanted):
        objects.put_new(name, b"")
    assert names(objects) == wanted == sorted(wanted)


def test_what_begins_with_a_prefix_is_listed(objects: Objects) -> None:
    for name in ("open/r/t1", "open/r/t2", "open/r2/t1", "opening", "rooms/r/room.json"):
        objects.put_new(name, b"")
    assert names(objects, "open/") == ["open/r/t1", "open/r/t2", "open/r2/t1"]
    assert names(objects, "open/r") == ["open/r/t1", "open/r/t2", "open/r2/t1"]
    assert names(objects, "open/r/") == ["open/r/t1", "open/r/t2"]
    assert names(objects, "open/r/t2") == ["open/r/t2"]
    assert names(objects, "open/r/t2/") == names(objects, "o/") == names(objects, "zebra/x") == []
    assert names(objects, "open") == ["open/r/t1", "open/r/t2", "open/r2/t1", "opening"]
    assert len(names(objects)) == 5


def test_an_empty_storage_is_empty(objects: Objects) -> None:
    assert names(objects) == names(objects, "a/") == []
    assert objects.head("a") is None
    objects.delete(["a", "b/c"])


def test_children_are_what_holds_objects_itself(objects: Objects) -> None:
    for name in ("rooms/a-b/t/1", "rooms/a/room.json", "rooms/a/t/1", "rooms/b/t/2", "rooms/index", "open/x"):
        objects.put_new(name, b"")
    assert [*objects.children("rooms/")] == ["a-b", "a", "b"]
    assert [*objects.children("rooms/a/")] == ["t"]
    assert [*objects.children("")] == ["open", "rooms"]
    assert [*objects.children("rooms/a/t/")] == [*objects.children("never/")] == []
    for wrong in ("rooms", "rooms/a", *BAD_PREFIXES):
        with pytest.raises(ValueError, match=r"called so|ends in /"):
            objects.children(wrong)


# ---- delete ------------------------------------------------------------------------------------------------


def test_only_the_version_that_was_named_is_removed(objects: Objects) -> None:
    first = objects.replace("a/b", b"first", None).etag
    second = objects.replace("a/b", b"second", first).etag
    with pytest.raises(ObjectChanged):
        objects.remove("a/b", first)
    assert objects.read("a/b").data == b"second"
    objects.remove("a/b", second)
    assert names(objects) == []
    for etag in (first, second):
        with pytest.raises(ObjectChanged):
            objects.remove("a/b", etag)


def test_of_16_who_remove_a_version_one_does(opened: Callable[[], Objects]) -> None:
    storages = [opened() for _ in range(4)]
    etag = storages[0].replace("a/b", b"x", None).etag

    def remove(number: int) -> bool:
        try:
            storages[number % 4].remove("a/b", etag)
        except ObjectChanged:
            return False
        return True

    assert together(16, remove).count(True) == 1
    assert names(storages[0]) == []


def test_what_is_deleted_is_gone_and_its_name_free(objects: Objects) -> None:
    for name in ("a/1", "a/2", "a/b/c", "b"):
        objects.put_new(name, b"old")
    objects.delete(["a/1", "a/b/c", "never/was", "a/b/c", "a"])
    assert names(objects) == ["a/2", "b"]
    assert objects.put_new("a/b/c", b"new") is True
    assert objects.read("a/b/c").data == b"new"


def test_a_listing_may_be_deleted_as_it_comes(objects: Objects) -> None:
    for number in range(12):
        objects.put_new(f"rooms/r/t/{number % 3}/{number}", b"x")
    objects.put_new("rooms/r/room.json", b"x")
    objects.delete(info.name for info in objects.list("rooms/r/t/"))
    objects.delete([])
    assert names(objects) == ["rooms/r/room.json"]


def test_writers_and_who_deletes_do_not_disturb_each_other(opened: Callable[[], Objects]) -> None:
    objects = opened()

    def work(number: int) -> None:
        for turn in range(6):
            name = f"a/b/{number}/{turn % 2}"
            assert objects.put_new(name, b"x") is True
            objects.delete([name])

    together(6, work)
    assert names(objects) == []


# ---- names -------------------------------------------------------------------------------------------------


def test_odd_names_are_names(objects: Objects) -> None:
    for name in ODD:
        assert objects.put_new(name, name.encode()) is True
    assert names(objects, "a/") == sorted(ODD)
    for name in ODD:
        assert objects.read(name).data == name.encode()
        assert names(objects, name) == [name]
    objects.delete(ODD)
    assert names(objects) == []


def test_no_name_leads_out_or_hides(objects: Objects) -> None:
    for name in (*WRONG, "x" * 201, "x/" * 451 + "x"):
        for use in (
            partial(objects.put_new, name, b""),
            partial(objects.replace, name, b"", None),
            partial(objects.write, name, []),
            partial(objects.read, name),
            partial(objects.head, name),
            partial(objects.delete, [name]),
        ):
            with pytest.raises(ValueError, match=r"called so|longer than|surrogates"):
                use()
    assert names(objects) == []


def test_no_prefix_leads_out_or_to_what_is_hidden(objects: Objects) -> None:
    for prefix in BAD_PREFIXES:
        with pytest.raises(ValueError, match="called so"):
            objects.list(prefix)
