"""What `storage.objects` promises of single objects, of every storage: a directory, and S3 over real HTTP."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from storage.objects import Content, ObjectChanged, ObjectMissing, Objects
from tests.s3_server import CREDENTIALS
from tests.storages import names, together

MB = 1_000_000


def test_its_name_is_a_url_without_a_secret(each_storage: Objects) -> None:
    assert each_storage.name.startswith(("file:///", "s3://"))
    assert not any(secret in each_storage.name for secret in CREDENTIALS.values())


# ---- put_new -----------------------------------------------------------------------------------------------


def test_what_is_put_is_there_for_others(open_storage: Callable[[], Objects]) -> None:
    assert open_storage().put_new("rooms/r/t/64k/0.mp4", b"audio") is True
    assert open_storage().read("rooms/r/t/64k/0.mp4").data == b"audio"


def test_a_name_that_is_taken_stays_as_it_is(each_storage: Objects) -> None:
    assert each_storage.put_new("a", b"first") is True
    before = each_storage.head("a")
    assert each_storage.put_new("a", b"second") is False
    assert each_storage.put_new("a", b"first") is False
    assert each_storage.read("a").data == b"first"
    assert each_storage.head("a") == before


def test_of_16_writers_one_wins(open_storage: Callable[[], Objects]) -> None:
    storages = [open_storage() for _ in range(4)]
    won = together(16, lambda number: storages[number % 4].put_new("a/b", b"%d" % number))
    assert won.count(True) == 1
    assert storages[0].read("a/b").data == b"%d" % won.index(True)
    assert names(storages[0]) == ["a/b"]


def test_an_object_may_be_empty(each_storage: Objects) -> None:
    assert each_storage.put_new("open/r/t", b"") is True
    assert each_storage.write("w", []).size == 0
    assert each_storage.replace("r", b"", None).size == 0
    assert {info.name: info.size for info in each_storage.list("")} == {"open/r/t": 0, "r": 0, "w": 0}
    assert (
        each_storage.read("open/r/t").data
        == each_storage.read("w", 0, 5).data
        == each_storage.read("r", 0).data
        == b""
    )


# ---- replace -----------------------------------------------------------------------------------------------


def test_a_version_is_replaced_by_whoever_knows_it(each_storage: Objects) -> None:
    first = each_storage.replace("meta", b"1", None)
    second = each_storage.replace("meta", b"2", first.etag)
    third = each_storage.replace("meta", b"333", second.etag)
    found = each_storage.read("meta")
    assert (found.data, found.info.etag, found.info.size) == (b"333", third.etag, 3)
    assert (third.name, third.size) == ("meta", 3)


@pytest.mark.parametrize("there", [None, b"x"])
def test_nothing_is_replaced_by_who_expects_something_else(
    each_storage: Objects, there: bytes | None
) -> None:
    stale = each_storage.replace("meta", b"old", None).etag
    each_storage.delete(["meta"])
    if there is not None:
        each_storage.put_new("meta", there)
    for etag in {stale, '"abc"', None if there else stale}:
        with pytest.raises(ObjectChanged):
            each_storage.replace("meta", b"new", etag)
    found = each_storage.head("meta")
    assert (found and each_storage.read("meta").data) == there
    assert names(each_storage) == (["meta"] if there else [])


def test_of_16_who_count_together_none_is_lost(open_storage: Callable[[], Objects]) -> None:
    storages = [open_storage() for _ in range(4)]
    storages[0].replace("count", b"0", None)

    def count(number: int) -> None:
        objects = storages[number % 4]
        while True:
            found = objects.read("count")
            try:
                objects.replace("count", b"%d" % (int(found.data) + 1), found.info.etag)
            except ObjectChanged:
                continue
            return

    together(16, count)
    assert storages[0].read("count").data == b"16"


def test_of_16_who_make_it_one_wins(open_storage: Callable[[], Objects]) -> None:
    objects = open_storage()

    def make(number: int) -> bool:
        try:
            objects.replace("meta", b"%d" % number, None)
        except ObjectChanged:
            return False
        return True

    made = together(16, make)
    assert made.count(True) == 1
    assert objects.read("meta").data == b"%d" % made.index(True)


# ---- write -------------------------------------------------------------------------------------------------


def test_chunks_are_joined_and_replace_what_was_there(each_storage: Objects) -> None:
    each_storage.put_new("a/b", b"something old and long")
    info = each_storage.write("a/b", iter([b"ab", b"", b"cd", b"e"]))
    found = each_storage.read("a/b")
    assert found.data == b"abcde"
    assert (info.name, info.size, info.etag) == ("a/b", 5, found.info.etag)
    assert each_storage.replace("a/b", b"", info.etag).size == 0


def test_a_long_object_is_never_in_memory(each_storage: Objects) -> None:
    each_storage.write("warm", [b"up"])  # what is loaded once is not counted

    def chunks() -> Iterator[bytes]:
        for number in range(22):
            yield bytes([number]) * MB

    tracemalloc.start()
    try:
        info = each_storage.write("replay.m4a", chunks())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # S3 takes parts, of which one lies in memory: 8 MB, and what is copied of it while it grows.
    assert peak < 14 * MB
    assert info.size == 22 * MB
    assert each_storage.head("replay.m4a") == each_storage.read("replay.m4a", 0, 1).info
    for number in range(22):
        edge = number * MB
        assert each_storage.read("replay.m4a", edge, edge + MB, etag=info.etag).data == bytes([number]) * MB


@pytest.mark.parametrize("good", [0, 3, 9 * MB])
def test_an_error_of_the_chunks_changes_nothing(each_storage: Objects, good: int) -> None:
    class OwnError(Exception):
        pass

    def chunks() -> Iterator[bytes]:
        yield bytes(good)
        raise OwnError

    before = each_storage.write("a/there", [b"old"])
    for name in ("a/there", "a/new", "b/new"):
        with pytest.raises(OwnError):
            each_storage.write(name, chunks())
    assert [(info.name, info.etag) for info in each_storage.list("")] == [("a/there", before.etag)]
    assert each_storage.read("a/there").data == b"old"


def test_an_error_of_the_chunks_is_theirs_even_if_it_is_the_systems(each_storage: Objects) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise FileNotFoundError("another file")

    with pytest.raises(FileNotFoundError, match="another file"):
        each_storage.write("a", chunks())


def test_readers_see_the_old_object_or_the_new_one(open_storage: Callable[[], Objects]) -> None:
    writer, reader = open_storage(), open_storage()
    writer.write("a", [b"0" * MB])
    over = threading.Event()
    seen: list[bytes] = []

    def look() -> None:
        while not over.is_set():
            seen.append(reader.read("a").data)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for number in range(1, 10):
            writer.write("a", [b"%d" % number * (MB // 2)] * 2)
    finally:
        over.set()
        looking.join()
    assert seen
    assert all(len(data) == MB and data == data[:1] * MB for data in seen)


# ---- read and head -----------------------------------------------------------------------------------------


def test_a_range_is_read(each_storage: Objects) -> None:
    each_storage.put_new("a", b"0123456789")
    info = each_storage.head("a")
    assert info
    edges = [(0, None), (0, 0), (0, 1), (3, 7), (9, 10), (9, None), (10, None), (10, 10), (10, 99), (4, 99)]
    for start, stop in edges:
        assert each_storage.read("a", start, stop) == Content(b"0123456789"[start:stop], info)


def test_a_range_that_lies_outside_is_refused(each_storage: Objects) -> None:
    each_storage.put_new("a", b"0123456789")
    for start, stop in [(11, None), (11, 12), (11, 11), (-1, 3), (-3, None), (4, 3), (0, -1)]:
        with pytest.raises(ValueError, match="a: bytes"):
            each_storage.read("a", start, stop)


def test_only_the_version_that_was_named_is_read(each_storage: Objects) -> None:
    ranges = [(0, None), (2, 4), (1, 1), (10, None)]
    etag = each_storage.replace("a", b"0123456789", None).etag
    for start, stop in ranges:
        assert each_storage.read("a", start, stop, etag=etag).data == b"0123456789"[start:stop]
    each_storage.replace("a", b"abcdefghij", etag)
    for start, stop in ranges:
        with pytest.raises(ObjectChanged):
            each_storage.read("a", start, stop, etag=etag)


def test_what_is_not_there_cannot_be_read(each_storage: Objects) -> None:
    each_storage.put_new("a/b", b"x")
    for name in ("b", "a", "a/b/c", "a/c"):
        for start, stop in [(0, None), (2, 4), (1, 1)]:
            with pytest.raises(ObjectMissing):
                each_storage.read(name, start, stop)
            with pytest.raises(ObjectMissing):
                each_storage.read(name, start, stop, etag='"abc"')
        assert each_storage.head(name) is None


def test_what_is_said_of_an_object_is_the_same_everywhere(each_storage: Objects) -> None:
    before = time.time()
    each_storage.put_new("a", b"12345")
    info = each_storage.head("a")
    assert info
    assert (info.name, info.size) == ("a", 5)
    assert before - 60 < info.modified < time.time() + 60
    assert [*each_storage.list("")] == [info]
    assert each_storage.read("a").info == info


def test_another_content_has_another_etag_however_soon_it_comes(each_storage: Objects) -> None:
    etags = [each_storage.write("a", [b"%02d" % number]).etag for number in range(40)]
    assert len({*etags}) == 40
