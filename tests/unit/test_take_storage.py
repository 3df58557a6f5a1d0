from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadRequest, DiskUnavailable
from contracts.take import TakeEvent, TakeKey
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from storage.event_log import EventLog, read_events
from storage.meta import TakeMeta
from storage.names import META, STORY, take_object
from storage.stories import Stories
from storage.take_record import Ending, Loudness, TakeRecord, take_record
from tests.over_takes import Watched
from tests.takes import header

KEY = TakeKey("town-hall", "20260101T000000Z-abc234")
CHAPTER = TakeEvent(7, 0, "chapter", title='line\u2028 "quote"\n 🎙')
EVENTS = (
    TakeEvent(0, 0, "join", speakers=("Ann",)),
    TakeEvent(0, 1, "speakers", speakers=("Ann", "Bo")),
    CHAPTER,
    TakeEvent(9, 0, "mute", speakers=("Ann",)),
)


# ---- stories -----------------------------------------------------------------------------------------------


def test_a_story_is_kept_and_read_back(tmp_path: Path) -> None:
    stories = Stories(DiskObjects(tmp_path))
    story = take_record(KEY, header(), 480, EVENTS, Ending(Loudness(-19.0), "Town hall", published=False))
    assert stories.put(story) is True
    path = tmp_path / "rooms" / "town-hall" / KEY.take / "story.json"
    assert TakeRecord.from_json(json.loads(path.read_bytes())) == story


def test_the_first_story_of_a_take_stays(tmp_path: Path) -> None:
    stories = Stories(DiskObjects(tmp_path))
    path = tmp_path / "rooms" / "town-hall" / KEY.take / "story.json"
    assert stories.put(take_record(KEY, header(), 480, ())) is True
    first = path.read_bytes()
    assert stories.put(take_record(KEY, header(), 960, ())) is False
    assert path.read_bytes() == first


def test_a_take_that_was_deleted_has_no_story_any_more(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    tombstone = to_bytes(TakeMeta(deleted_at="2026-01-01T00:00:00Z").to_json())
    objects.put_new(take_object(KEY, META), tombstone)
    assert Stories(objects).put(take_record(KEY, header(), 480, EVENTS)) is False
    assert objects.head(take_object(KEY, STORY)) is None


def test_a_story_that_is_told_while_its_take_is_deleted_goes_with_it(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    tombstone = to_bytes(TakeMeta(deleted_at="2026-01-01T00:00:00Z").to_json())

    def delete(what: str, _name: str) -> None:
        if what == "put_new":
            objects.put_new(take_object(KEY, META), tombstone)

    assert Stories(Watched(objects, delete)).put(take_record(KEY, header(), 480, EVENTS)) is False
    assert objects.head(take_object(KEY, STORY)) is None


@pytest.mark.parametrize("key", [TakeKey("..", KEY.take), TakeKey("room", ".."), TakeKey("room", "x/../y")])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, key: TakeKey) -> None:
    with pytest.raises(BadRequest):
        Stories(DiskObjects(tmp_path)).put(take_record(key, header(), 480, ()))


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    objects, path = DiskObjects(tmp_path), tmp_path / "deep" / "take.json"
    won: list[int] = []
    ready = threading.Barrier(8)

    def write(number: int) -> None:
        ready.wait()
        if objects.put_new("deep/take.json", b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert path.read_bytes() == b"%d" % won[0]
    assert [*path.parent.iterdir()] == [path]


def test_a_disk_without_links_keeps_the_first_one_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    objects, path = DiskObjects(tmp_path), tmp_path / "deep" / "take.json"
    assert objects.put_new("deep/take.json", b"first") is True
    assert objects.put_new("deep/take.json", b"second") is False
    assert path.read_bytes() == b"first"
    assert [*path.parent.iterdir()] == [path]


def test_a_directory_that_is_a_file_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / "town-hall").write_bytes(b"")
    with pytest.raises(DiskUnavailable, match="a file is where a directory should be"):
        DiskObjects(tmp_path).put_new("town-hall/take.json", b"1")


# ---- events ------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "room" / "take" / "events.jsonl"


def append(path: Path, *events: TakeEvent) -> None:
    log = EventLog(path)
    try:
        log.append(events)
    finally:
        log.close()


def test_events_come_back_in_their_order_also_after_a_restart(path: Path) -> None:
    assert read_events(path) == ()
    append(path, *EVENTS[:2])
    append(path, *EVENTS[2:])
    append(path)
    assert read_events(path) == EVENTS


def test_a_line_that_was_cut_short_is_no_event_and_spoils_none(path: Path) -> None:
    append(path, *EVENTS)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        known = whole[:size].count(b"\n")
        assert read_events(path) == EVENTS[:known]
        append(path, EVENTS[-1])
        assert path.read_bytes() == b"".join(lines[:known]) + lines[-1]


def test_a_damaged_line_costs_only_itself(path: Path) -> None:
    append(path, *EVENTS)
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (
        b"\x00" * 40 + b"\n",
        b"[]\n",
        b"{}\n",
        b'{"sample": 1, "n": 2, "kind": "party"}\n',
        b"\xff\n",
    ):
        path.write_bytes(lines[0] + damage + b"".join(lines[2:]))
        assert read_events(path) == (EVENTS[0], *EVENTS[2:])


def test_an_event_that_was_appended_twice_is_one(path: Path) -> None:
    append(path, *EVENTS, *EVENTS)
    assert read_events(path) == EVENTS


def test_what_a_failed_write_left_behind_is_gone_with_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = EventLog(path)
    log.append(EVENTS[:1])
    write = os.pwrite
    calls = 0

    def full(fd: int, data: bytes, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise OSError(errno.ENOSPC, "full")
        return write(fd, data[: len(data) - 3], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskUnavailable, match="the disk is full"):
        log.append(EVENTS[1:])
    monkeypatch.undo()
    log.append(EVENTS[3:])
    log.close()
    assert path.read_bytes().count(b"\n") == 2
    assert read_events(path) == (EVENTS[0], EVENTS[3])


# All but halves of surrogate pairs, which nobody can be told.
TEXTS = st.characters(exclude_categories=["Cs"])


@given(
    st.text(TEXTS, min_size=1, max_size=1024),
    st.lists(st.text(TEXTS, min_size=1, max_size=64), max_size=64),
)
def test_any_title_and_any_name_come_back(
    tmp_path_factory: pytest.TempPathFactory, title: str, names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    events = (
        TakeEvent(1, 0, "chapter", title=title),
        TakeEvent(1, 1, "speakers", speakers=tuple(names)),
    )
    append(path, *events)
    assert read_events(path) == events
