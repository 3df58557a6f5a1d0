"""Room records and the files they live in."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from contracts.errors import BadRequest, DiskUnavailable, ObjectDamaged
from contracts.take import Rendition, TakeSettings
from storage.aside import write_atomic
from storage.disk_objects import DiskObjects
from storage.files import read_if_there
from storage.podcast import Podcast
from storage.podcast_categories import CATEGORIES, is_category, split_category
from storage.rooms import RoomRecord, RoomStore
from tests.documented import DOCS

NEWS = RoomRecord(
    title="Nachrichten ö <&>",
    settings=TakeSettings(channels=2, parts=10, renditions=(Rendition("32k"), Rendition("128k"))),
    visibility="unlisted",
    sound="as-is",
    replays="unpublished",
    podcast=Podcast(
        description="Was war.\nUnd was <wird> & werden mag 😀",
        author="Redaktion",
        language="de-AT",
        category="News > Daily News",
        image="https://bilder.example.net/a.PNG?v=2",
        explicit=True,
        email="redaktion+rss@example.net",
        locked=False,
        guid="917393e3-1b1e-5cef-ace4-edaa54e1f810",
    ),
)


def store_at(data: Path) -> RoomStore:
    return RoomStore(DiskObjects(data))


def test_a_record_survives_its_wire_form() -> None:
    assert RoomRecord.from_json(NEWS.to_json()) == NEWS
    assert RoomRecord.from_json({}) == RoomRecord()
    assert RoomRecord.from_json({"podcast": {"author": "A"}}).podcast == Podcast(author="A")


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
        ({"replays": "secret"}, "replays"),
        ({"podcast": None}, "podcast"),
        ({"podcast": []}, "podcast"),
        ({"podcast": {"colour": "red"}}, r"podcast\.colour"),
        ([], "JSON object"),
    ],
)
def test_a_wrong_record_is_refused_by_the_name_of_its_fault(wrong: object, named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        RoomRecord.from_json(wrong)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("description", 3),
        ("description", None),
        ("description", "é" * 2001),
        ("description", "nul \x00"),
        ("description", "half \ud800"),
        ("author", "two\nlines"),
        ("author", "c1 \x9b"),
        ("author", "x" * 256),
        ("language", ""),
        ("language", "english"),
        ("language", "e"),
        ("language", "en_US"),
        ("language", "en\n"),
        ("category", ""),
        ("category", "Podcasting"),
        ("category", "Arts > Politics"),
        ("category", "Arts > "),
        ("category", "Books"),
        ("category", ["Arts"]),
        ("image", "a.png"),
        ("image", "//example.net/a.png"),
        ("image", "ftp://example.net/a.png"),
        ("image", "javascript:alert(1)//a.png"),
        ("image", "https:///a.png"),
        ("image", "https://[/a.png"),
        ("image", "https://example.net/a.gif"),
        ("image", "https://example.net/?a.png"),
        ("image", "https://example.net/a b.png"),
        ("image", "https://example.net/é.png"),
        ("image", f"https://example.net/{'x' * 2048}.png"),
        ("explicit", "yes"),
        ("explicit", 1),
        ("explicit", None),
        ("email", "nobody"),
        ("email", "a@b"),
        ("email", "a b@example.net"),
        ("email", "<a@example.net>"),
        ("email", f"a@{'b' * 250}.net"),
        ("locked", "no"),
        ("guid", "town-hall"),
        ("guid", "{917393e3-1b1e-5cef-ace4-edaa54e1f810}"),
        ("guid", "917393e31b1e5ceface4edaa54e1f810"),
    ],
)
def test_a_podcast_that_a_directory_would_refuse_is_refused_here(key: str, value: object) -> None:
    with pytest.raises(BadRequest, match=rf"podcast\.{key}"):
        RoomRecord.from_json({"podcast": {key: value}})


def test_apples_categories_are_known_with_and_without_their_subcategories() -> None:
    for category, subcategories in CATEGORIES.items():
        assert is_category(category)
        assert split_category(category) == (category, "")
        for subcategory in subcategories:
            assert is_category(f"{category} > {subcategory}")
            assert split_category(f"{category} > {subcategory}") == (category, subcategory)
    assert (len(CATEGORIES), sum(map(len, CATEGORIES.values()))) == (19, 91)


def test_the_docs_show_a_room_that_is_taken_and_name_every_member() -> None:
    page = (DOCS / "podcasts.md").read_text()
    shown = RoomRecord.from_json(json.loads(page.partition("-d '")[2].partition("'")[0]))
    assert shown.podcast != Podcast()
    table = re.findall(r"^\| `(\w+)` \|", page.partition("| member |")[2].partition("\n\n")[0], re.MULTILINE)
    assert table == [*Podcast().to_json()]


def test_a_record_from_before_podcasts_is_read(tmp_path: Path) -> None:
    write_atomic(tmp_path / "rooms" / "news" / "room.json", b'{"title": "News"}')
    assert store_at(tmp_path).get("news") == RoomRecord(title="News")


def test_a_room_is_kept_and_found_by_the_next_process(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert store.get("news") is None
    assert store.put("news", NEWS)
    assert store.get("news") == store_at(tmp_path).get("news") == NEWS
    assert not store.put("news", RoomRecord())
    assert store_at(tmp_path).get("news") == RoomRecord()


def test_a_room_is_read_from_disk_once(tmp_path: Path) -> None:
    store_at(tmp_path).put("news", NEWS)
    store = store_at(tmp_path)
    assert store.get("news") == NEWS
    (tmp_path / "rooms" / "news" / "room.json").unlink()
    assert store.get("news") == NEWS


def test_rooms_that_were_loaded_are_known_without_a_disk(tmp_path: Path) -> None:
    store_at(tmp_path).put("news", NEWS)
    write_atomic(tmp_path / "rooms" / "broken" / "room.json", b"{")
    store = store_at(tmp_path)
    assert store.known("news") is None
    store.load()
    shutil.rmtree(tmp_path)
    assert store.known("news") == NEWS
    assert store.known("broken") is None


def test_a_deleted_room_is_gone(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert not store.delete("news")
    store.put("news", NEWS)
    assert store.delete("news")
    assert store.get("news") is store_at(tmp_path).get("news") is None


@pytest.mark.parametrize("rubbish", [b"", b"{", b'{"colour": 1}', b"\xff", b"[" * 100_000])
def test_a_broken_record_is_the_storages_fault_and_named(tmp_path: Path, rubbish: bytes) -> None:
    write_atomic(tmp_path / "rooms" / "news" / "room.json", rubbish)
    with pytest.raises(ObjectDamaged, match=r"rooms/news/room\.json"):
        store_at(tmp_path).get("news")


def test_a_write_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at(tmp_path)
    store.put("news", RoomRecord(title="old"))

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskUnavailable, match="disk is full"):
        store.put("news", NEWS)
    monkeypatch.undo()
    assert store.get("news") == store_at(tmp_path).get("news") == RoomRecord(title="old")
    assert os.listdir(tmp_path / "rooms" / "news") == ["room.json"]  # noqa: PTH208 - nothing left beside it


def test_a_file_in_the_way_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "rooms").write_text("in the way")
    with pytest.raises(DiskUnavailable, match="a file is where a directory should be"):
        write_atomic(tmp_path / "rooms" / "a" / "b", b"x")


def test_a_file_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert read_if_there(tmp_path / "a" / "b") is None
    write_atomic(tmp_path / "a" / "b", b"x")
    assert read_if_there(tmp_path / "a" / "b") == b"x"
