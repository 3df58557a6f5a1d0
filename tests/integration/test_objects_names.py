"""What `storage.objects` promises of names, lists and deletions, of every storage."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from storage.objects import ObjectChanged, Objects
from tests.storages import names, together

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


# ---- list --------------------------------------------------------------------------------------------------


def test_names_are_listed_by_code_point(each_storage: Objects) -> None:
    # What sorts before "/" in a name sorts before what lies below, which no directory tells by itself.
    wanted = ["B", "a b/z", "a!", "a-b", "a-b.c/d", "a.b", "a/b", "a/b-c", "a/c/d", "a0", "ab", "é", "🎙"]
    for name in reversed(wanted):
        each_storage.put_new(name, b"")
    assert names(each_storage) == wanted == sorted(wanted)


def test_what_begins_with_a_prefix_is_listed(each_storage: Objects) -> None:
    for name in ("open/r/t1", "open/r/t2", "open/r2/t1", "opening", "rooms/r/room.json"):
        each_storage.put_new(name, b"")
    assert names(each_storage, "open/") == ["open/r/t1", "open/r/t2", "open/r2/t1"]
    assert names(each_storage, "open/r") == ["open/r/t1", "open/r/t2", "open/r2/t1"]
    assert names(each_storage, "open/r/") == ["open/r/t1", "open/r/t2"]
    assert names(each_storage, "open/r/t2") == ["open/r/t2"]
    assert (
        names(each_storage, "open/r/t2/") == names(each_storage, "o/") == names(each_storage, "zebra/x") == []
    )
    assert names(each_storage, "open") == ["open/r/t1", "open/r/t2", "open/r2/t1", "opening"]
    assert len(names(each_storage)) == 5


def test_an_empty_storage_is_empty(each_storage: Objects) -> None:
    assert names(each_storage) == names(each_storage, "a/") == []
    assert each_storage.head("a") is None
    each_storage.delete(["a", "b/c"])


def test_children_are_what_holds_objects_itself(each_storage: Objects) -> None:
    for name in ("rooms/a-b/t/1", "rooms/a/room.json", "rooms/a/t/1", "rooms/b/t/2", "rooms/index", "open/x"):
        each_storage.put_new(name, b"")
    assert [*each_storage.children("rooms/")] == ["a-b", "a", "b"]
    assert [*each_storage.children("rooms/a/")] == ["t"]
    assert [*each_storage.children("")] == ["open", "rooms"]
    assert [*each_storage.children("rooms/a/t/")] == [*each_storage.children("never/")] == []
    for wrong in ("rooms", "rooms/a", *BAD_PREFIXES):
        with pytest.raises(ValueError, match=r"called so|ends in /"):
            each_storage.children(wrong)


# ---- delete ------------------------------------------------------------------------------------------------


def test_only_the_version_that_was_named_is_removed(each_storage: Objects) -> None:
    first = each_storage.replace("a/b", b"first", None).etag
    second = each_storage.replace("a/b", b"second", first).etag
    with pytest.raises(ObjectChanged):
        each_storage.remove("a/b", first)
    assert each_storage.read("a/b").data == b"second"
    each_storage.remove("a/b", second)
    assert names(each_storage) == []
    for etag in (first, second):
        with pytest.raises(ObjectChanged):
            each_storage.remove("a/b", etag)


def test_of_16_who_remove_a_version_one_does(open_storage: Callable[[], Objects]) -> None:
    storages = [open_storage() for _ in range(4)]
    etag = storages[0].replace("a/b", b"x", None).etag

    def remove(number: int) -> bool:
        try:
            storages[number % 4].remove("a/b", etag)
        except ObjectChanged:
            return False
        return True

    assert together(16, remove).count(True) == 1
    assert names(storages[0]) == []


def test_what_is_deleted_is_gone_and_its_name_free(each_storage: Objects) -> None:
    for name in ("a/1", "a/2", "a/b/c", "b"):
        each_storage.put_new(name, b"old")
    each_storage.delete(["a/1", "a/b/c", "never/was", "a/b/c", "a"])
    assert names(each_storage) == ["a/2", "b"]
    assert each_storage.put_new("a/b/c", b"new") is True
    assert each_storage.read("a/b/c").data == b"new"


def test_a_listing_may_be_deleted_as_it_comes(each_storage: Objects) -> None:
    for number in range(12):
        each_storage.put_new(f"rooms/r/t/{number % 3}/{number}", b"x")
    each_storage.put_new("rooms/r/room.json", b"x")
    each_storage.delete(info.name for info in each_storage.list("rooms/r/t/"))
    each_storage.delete([])
    assert names(each_storage) == ["rooms/r/room.json"]


def test_writers_and_who_deletes_do_not_disturb_each_other(open_storage: Callable[[], Objects]) -> None:
    objects = open_storage()

    def work(number: int) -> None:
        for turn in range(6):
            name = f"a/b/{number}/{turn % 2}"
            assert objects.put_new(name, b"x") is True
            objects.delete([name])

    together(6, work)
    assert names(objects) == []


# ---- names -------------------------------------------------------------------------------------------------


def test_odd_names_are_names(each_storage: Objects) -> None:
    for name in ODD:
        assert each_storage.put_new(name, name.encode()) is True
    assert names(each_storage, "a/") == sorted(ODD)
    for name in ODD:
        assert each_storage.read(name).data == name.encode()
        assert names(each_storage, name) == [name]
    each_storage.delete(ODD)
    assert names(each_storage) == []


def test_no_name_leads_out_or_hides(each_storage: Objects) -> None:
    for name in (*WRONG, "x" * 201, "x/" * 451 + "x"):
        for use in (
            partial(each_storage.put_new, name, b""),
            partial(each_storage.replace, name, b"", None),
            partial(each_storage.write, name, []),
            partial(each_storage.read, name),
            partial(each_storage.head, name),
            partial(each_storage.delete, [name]),
        ):
            with pytest.raises(ValueError, match=r"called so|longer than|surrogates"):
                use()
    assert names(each_storage) == []


def test_no_prefix_leads_out_or_to_what_is_hidden(each_storage: Objects) -> None:
    for prefix in BAD_PREFIXES:
        with pytest.raises(ValueError, match="called so"):
            each_storage.list(prefix)
