"""Room records and the files they live in."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from contracts.errors import BadRequest, DiskUnavailable
from contracts.take import Rendition, TakeSettings
from storage.files import read_if_there, write_atomic
from storage.rooms import RoomRecord, RoomStore

NEWS = RoomRecord(
    title="Nachrichten ö <&>",
    settings=TakeSettings(channels=2, parts=10, renditions=(Rendition("32k"), Rendition("128k"))),
    visibility="unlisted",
    sound="as-is",
)


def test_a_record_survives_its_wire_form() -> None:
    assert RoomRecord.from_json(NEWS.to_json()) == NEWS
    assert RoomRecord.from_json({}) == RoomRecord()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"title": 3}, "title"),
        ({"title": "x" * 1025}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"channels": 3}, "channels"),
        ({"channels": True}, "channels"),
        ({"channels": None}, "channels"),
        ({"parts": "5"}, "parts"),
        ({"renditions": "64k"}, "renditions"),
        ({"renditions": []}, "renditions"),
        ({"renditions": [64]}, "renditions"),
        ({"renditions": ["64k", "64k"]}, "renditions"),
        ({"renditions": ["loud"]}, "rendition"),
        ({"visibility": "secret"}, "visibility"),
        ({"visibility": ["public"]}, "visibility"),
        ({"sound": "loud"}, "sound"),
        ({"sound": None}, "sound"),
        ({"sound": ["voice"]}, "sound"),
        ([], "JSON object"),
    ],
)
def test_a_wrong_record_is_refused_by_the_name_of_its_fault(wrong: object, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        RoomRecord.from_json(wrong)


def test_a_room_is_kept_and_found_by_the_next_process(tmp_path: Path) -> None:
    store = RoomStore(tmp_path)
    assert store.get("news") is None
    assert store.put("news", NEWS)
    assert store.get("news") == RoomStore(tmp_path).get("news") == NEWS
    assert not store.put("news", RoomRecord())
    assert RoomStore(tmp_path).get("news") == RoomRecord()


def test_a_room_is_read_from_disk_once(tmp_path: Path) -> None:
    RoomStore(tmp_path).put("news", NEWS)
    store = RoomStore(tmp_path)
    assert store.get("news") == NEWS
    (tmp_path / "news" / "room.json").unlink()
    assert store.get("news") == NEWS


def test_rooms_that_were_loaded_are_known_without_a_disk(tmp_path: Path) -> None:
    RoomStore(tmp_path).put("news", NEWS)
    write_atomic(tmp_path / "broken" / "room.json", b"{")
    store = RoomStore(tmp_path)
    assert store.known("news") is None
    store.load()
    shutil.rmtree(tmp_path)
    assert store.known("news") == NEWS
    assert store.known("broken") is None


def test_a_deleted_room_is_gone(tmp_path: Path) -> None:
    store = RoomStore(tmp_path)
    assert not store.delete("news")
    store.put("news", NEWS)
    assert store.delete("news")
    assert store.get("news") is RoomStore(tmp_path).get("news") is None


@pytest.mark.parametrize("rubbish", [b"", b"{", b'{"colour": 1}', b"\xff", b"[" * 100_000])
def test_a_broken_record_is_the_disks_fault_and_named(tmp_path: Path, rubbish: bytes) -> None:
    write_atomic(tmp_path / "news" / "room.json", rubbish)
    with pytest.raises(DiskUnavailable, match=r"room\.json"):
        RoomStore(tmp_path).get("news")


def test_a_write_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RoomStore(tmp_path)
    store.put("news", RoomRecord(title="old"))

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskUnavailable, match="disk is full"):
        store.put("news", NEWS)
    monkeypatch.undo()
    assert store.get("news") == RoomStore(tmp_path).get("news") == RoomRecord(title="old")
    assert os.listdir(tmp_path / "news") == ["room.json"]  # noqa: PTH208 - nothing left beside it


def test_a_file_in_the_way_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "rooms").write_text("in the way")
    with pytest.raises(DiskUnavailable, match="a file is where a directory should be"):
        write_atomic(tmp_path / "rooms" / "a" / "b", b"x")


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_if_there(tmp_path / "a" / "b") is None
    write_atomic(tmp_path / "a" / "b", b"x")
    assert read_if_there(tmp_path / "a" / "b") == b"x"
