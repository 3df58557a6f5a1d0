"""What a directory is asked for beyond what every storage promises."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from contracts.errors import DiskUnavailable
from storage import aside
from storage.disk_objects import DiskObjects


@pytest.fixture
def objects(tmp_path: Path) -> DiskObjects:
    return DiskObjects(tmp_path / "data")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files and directories that were synced, by their names."""
    seen: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        seen.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def everything(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*")}


def test_objects_are_files_where_their_names_say(objects: DiskObjects, tmp_path: Path) -> None:
    objects.put_new("rooms/r/t/64k/0.mp4", b"audio")
    assert (tmp_path / "data/rooms/r/t/64k/0.mp4").read_bytes() == b"audio"
    assert objects.name == (tmp_path / "data").as_uri()
    assert objects.presign("rooms/r/t/64k/0.mp4", 60) is None


@pytest.mark.parametrize("how", ["put_new", "replace", "write"])
def test_what_is_kept_is_synced_before_its_name_and_its_directory_after(
    how: str, objects: DiskObjects, synced: list[str]
) -> None:
    match how:
        case "put_new":
            objects.put_new("r/t/a", b"x")
        case "replace":
            objects.replace("r/t/a", b"x", None)
        case _:
            objects.write("r/t/a", [b"x"])
    # New directories, the file aside, the directory with its new name.
    assert [name if name[0] != "." else "aside" for name in synced] == [*synced[:-2], "aside", "t"]
    assert {"r", "data"} <= set(synced[:-2])


def test_who_comes_second_may_be_the_first_to_say_that_it_is_there(
    objects: DiskObjects, synced: list[str]
) -> None:
    objects.put_new("t/a", b"x")
    synced.clear()
    assert objects.put_new("t/a", b"x") is False
    assert synced == ["t"]


def test_removals_are_synced_and_empty_directories_removed(
    objects: DiskObjects, synced: list[str], tmp_path: Path
) -> None:
    for name in ("rooms/r/t/64k/0.mp4", "rooms/r/t/64k/15.mp4", "rooms/r/t/story.json", "rooms/r/room.json"):
        objects.put_new(name, b"x")
    synced.clear()
    objects.delete(["rooms/r/t/64k/0.mp4"])
    assert synced == ["64k"]
    synced.clear()
    objects.delete(["rooms/r/t/64k/15.mp4", "rooms/r/t/story.json"])
    assert everything(tmp_path / "data") == {"rooms", "rooms/r", "rooms/r/room.json", ".objects.lock"}
    assert synced[-1] == "r"


def test_what_lies_aside_is_no_object(objects: DiskObjects, tmp_path: Path) -> None:
    objects.put_new("t/a", b"x")
    (tmp_path / "data/t/.b.0123abcd").write_bytes(b"half")
    (tmp_path / "data/t/.tmp").mkdir()
    (tmp_path / "data/t/.tmp/c").write_bytes(b"x")
    (tmp_path / "data/t/line\nend").write_bytes(b"x")
    (Path(os.fsencode(tmp_path).decode()) / "data/t/latin\udce4").write_bytes(b"x")
    assert [info.name for info in objects.list("")] == ["t/a"]


def test_what_a_killed_writer_left_goes_with_its_object_and_nothing_else(
    objects: DiskObjects, tmp_path: Path
) -> None:
    objects.put_new("t/a", b"x")
    directory = tmp_path / "data/t"
    for name in (".a.0123abcd", ".a.b.0123abcd", ".b.0123abcd", ".a.0000aaaa"):
        (directory / name).write_bytes(b"half of it")
    # Whoever still writes holds a lock.
    with (directory / ".a.0000aaaa").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        objects.delete(["t/a"])
        assert everything(directory) == {".a.b.0123abcd", ".b.0123abcd", ".a.0000aaaa"}


def test_a_writer_of_what_is_being_deleted_is_not_disturbed(objects: DiskObjects) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"ab"
        objects.delete(["t/a"])
        yield b"cd"

    objects.put_new("t/a", b"old")
    objects.write("t/a", chunks())
    assert objects.read("t/a").data == b"abcd"


@pytest.mark.parametrize("chunks_before", [0, 1])
def test_a_full_disk_changes_nothing_and_is_said(
    chunks_before: int, objects: DiskObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    objects.put_new("t/a", b"old")
    etag = objects.read("t/a").info.etag
    monkeypatch.setattr(os, "fsync", full)
    for use in (
        lambda: objects.write("t/a", [b"x"] * chunks_before),
        lambda: objects.replace("t/a", b"new", etag),
        lambda: objects.put_new("t/b", b"new"),
    ):
        with pytest.raises(DiskUnavailable, match=r"t/[ab]: the disk is full: make room"):
            use()
    assert everything(tmp_path / "data/t") == {"a"}
    assert objects.read("t/a").data == b"old"


def test_a_file_where_a_directory_should_be_is_said(objects: DiskObjects) -> None:
    objects.put_new("a", b"x")
    for name in ("a/b", "a/b/c"):
        with pytest.raises(DiskUnavailable, match="a file is where a directory should be"):
            objects.put_new(name, b"x")
    assert [info.name for info in objects.list("a/")] == []
    objects.delete(["a/b"])
    assert objects.read("a").data == b"x"


def test_a_disk_that_cannot_be_read_is_said(objects: DiskObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    objects.put_new("t/a", b"x")
    for where, patched, use in (
        (Path, "open", lambda: objects.read("t/a")),
        (Path, "stat", lambda: objects.head("t/a")),
        (os, "scandir", lambda: [*objects.list("t/")]),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(where, patched, broken)
            with pytest.raises(DiskUnavailable, match="the disk is broken"):
                use()


def test_only_where_such_names_can_be_is_looked(
    objects: DiskObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rooms/r/t/0.mp4", "open/r/t", "open/s/t"):
        objects.put_new(name, b"x")
    looked: list[str] = []
    real = os.scandir

    def scandir(path: Path) -> Iterator[os.DirEntry[str]]:
        looked.append(path.name)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert [info.name for info in objects.list("open/r")] == ["open/r/t"]
    assert looked == ["open", "r"]


def test_a_directory_that_somebody_removes_while_it_is_made_is_made_again(
    objects: DiskObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, gone = Path.mkdir, [True]

    def mkdir(path: Path, mode: int = 0o777, **how: bool) -> None:
        if gone and gone.pop():
            raise FileNotFoundError(errno.ENOENT, "the one above it is not there any more", str(path))
        real(path, mode, **how)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    assert objects.put_new("a/b/c", b"x")
    assert not gone
    assert objects.read("a/b/c").data == b"x"


def test_a_version_that_is_being_read_stays_whole_when_it_is_replaced(
    objects: DiskObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    etag = objects.write("a", [b"old" * 1000]).etag
    real = os.fstat

    def fstat(fd: int) -> os.stat_result:
        found = real(fd)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", real)
            objects.write("a", [b"new"])
        return found

    monkeypatch.setattr(os, "fstat", fstat)
    assert objects.read("a", 3, etag=etag).data == b"old" * 999


def test_versions_of_one_tick_of_the_clock_have_times_of_their_own(
    objects: DiskObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An inode is free again with the second version after it: without this, an etag could come back.
    tick = 1_700_000_000 * 10**9
    stopped = SimpleNamespace(st_atime_ns=tick, st_mtime_ns=tick)
    its_os = SimpleNamespace(fstat=lambda _: stopped, utime=os.utime, fsync=os.fsync)
    monkeypatch.setattr(aside, "os", its_os)
    times = set()
    for _ in range(20):
        objects.write("a", [b"x"])
        times.add((tmp_path / "data/a").stat().st_mtime_ns)
    assert len(times) == 20
    assert all(tick - 10**8 < time <= tick for time in times)
