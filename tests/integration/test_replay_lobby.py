"""The list of replays that a lobby shows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from contracts.take import TakeKey
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from storage.names import entry_name
from tests.replay_addresses import live
from tests.replay_site import KEY, Kept, Serving, Watched, keep, serving
from tests.takes import EPOCH_US


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


def take(room: str, day: int) -> Kept:
    key = TakeKey(room, f"202601{day:02}T000000Z-abc234")
    return Kept(key, f"Day {day}", epoch_us=EPOCH_US + day * 86_400_000_000, size=10)


async def rooms(site: Serving) -> list[dict[str, object]]:
    found = json.loads((await site.get("/rooms.json")).body)["rooms"]
    assert isinstance(found, list)
    return found


async def test_the_lobby_lists_the_newest_replays_of_each_room(objects: Watched) -> None:
    for day in (1, 2, 3, 4):
        keep(objects, take("b", day))
    keep(objects, take("b", 5).changed(published=False))
    keep(objects, take("a", 1))
    keep(objects, take("unlisted", 1))
    keep(objects, take("silent", 1).changed(published=False))
    titles = {"a": "", "b": "Room B", "live": "Live"}
    async with serving(objects, title_of=titles.get) as site:
        assert (await rooms(site))[0] == {
            "room": "a",
            "title": "a",
            "live": False,
            "listen": "/listen/a",
            "replays": [
                {
                    "take": "20260101T000000Z-abc234",
                    "title": "Day 1",
                    "started_at": "2026-01-02T00:00:00.000Z",
                    "seconds": 60.0,
                    "page": "/replay/a/20260101T000000Z-abc234",
                    "m4a": "/replay/a/20260101T000000Z-abc234.m4a",
                }
            ],
        }
        live(site, TakeKey("live", KEY.take))
        live(site, TakeKey("b", KEY.take))
        shown = [
            (room["room"], room["live"], [each["title"] for each in room["replays"]])  # type: ignore[attr-defined]
            for room in await rooms(site)
        ]
        assert shown == [
            ("a", False, ["Day 1"]),
            ("b", True, ["Day 4", "Day 3", "Day 2"]),
            ("live", True, []),
        ]
        tag = (await site.get("/rooms.json")).headers["ETag"]
        assert (await site.get("/rooms.json", If_None_Match=tag)).status == 304
        entries = await site.replays.listed()
        assert [entry.title for entry in entries] == ["Day 4", "Day 3", "Day 2", "Day 1", "Day 1", "Day 1"]
        assert [entry.title for entry in await site.replays.listed("b")] == [
            "Day 4",
            "Day 3",
            "Day 2",
            "Day 1",
        ]
        assert await site.replays.listed("silent") == []


async def test_a_lobby_does_not_grow_for_ever(objects: Watched) -> None:
    for n in range(110):
        kept = take(f"room{n:03}", 1).changed(epoch_us=EPOCH_US + n)
        objects.write(entry_name(kept.key), [to_bytes(kept.entry().to_json())])
    async with serving(objects) as site:
        listed = [room["room"] for room in await rooms(site)]
        assert listed == [f"room{n:03}" for n in range(10, 110)]


async def test_a_list_is_read_again_when_something_changed_and_then_in_that_alone(objects: Watched) -> None:
    for day in (1, 2, 3):
        keep(objects, take("a", day))
    async with serving(objects) as site:
        assert len(await site.replays.listed()) == 3
        assert len(objects.reads) == 3
        keep(objects, take("a", 2).changed(title="Changed"))
        objects.delete([entry_name(take("a", 3).key)])
        assert [entry.title for entry in await site.replays.listed("a")] == ["Changed", "Day 1"]
        assert objects.reads[3:] == [entry_name(take("a", 2).key)]


async def test_a_list_is_kept_for_a_while(objects: Watched) -> None:
    keep(objects, take("a", 1))
    async with serving(objects, fresh_seconds=60) as site:
        for _ in range(5):
            assert len(await site.replays.listed()) == 1
        assert objects.lists == 1
        keep(objects, take("a", 2))
        site.replays.forget(take("a", 2).key)
        assert len(await site.replays.listed()) == 2


async def test_an_entry_that_is_damaged_hides_no_others(objects: Watched) -> None:
    keep(objects, take("a", 1))
    keep(objects, take("a", 2))
    objects.write(entry_name(take("a", 2).key), [b"rubbish"])
    objects.write(entry_name(TakeKey("b", KEY.take)), [to_bytes(take("a", 1).entry().to_json())])
    objects.write("replays/odd name", [b"{}"])
    async with serving(objects) as site:
        for _ in range(2):
            assert [entry.title for entry in await site.replays.listed()] == ["Day 1"]
        # What is damaged is not read again and again.
        assert len(objects.reads) == 4


async def test_while_the_storage_is_gone_the_lobby_stays_as_it_was(objects: Watched) -> None:
    keep(objects, take("a", 1))
    async with serving(objects) as site:
        before = await rooms(site)
        objects.broken = True
        for _ in range(3):
            assert await rooms(site) == before
        assert json.loads((await site.get("/readyz")).body)["degraded"] == ["replays: the storage is gone"]
        objects.broken = False
        keep(objects, take("a", 2))
        while len((await rooms(site))[0]["replays"]) == 1:  # type: ignore[arg-type]  # noqa: ASYNC110 - polled over HTTP
            await asyncio.sleep(0.01)
        assert json.loads((await site.get("/readyz")).body)["degraded"] == []


async def test_a_list_that_was_never_read_is_not_an_empty_one(objects: Watched) -> None:
    objects.broken = True
    async with serving(objects) as site:
        live(site)
        # Who is live is shown all the same; a feed asks, and is told.
        assert [room["live"] for room in await rooms(site)] == [True]
        with pytest.raises(Exception, match="the storage is gone"):
            await site.replays.listed()


async def test_who_is_live_is_shown_though_the_storage_has_never_answered(objects: Watched) -> None:
    objects.hold()
    try:
        async with serving(objects) as site:
            live(site)
            assert [room["live"] for room in await asyncio.wait_for(rooms(site), 15)] == [True]
    finally:
        objects.release()


async def test_nobody_waits_long_for_a_list_that_is_known(objects: Watched) -> None:
    keep(objects, take("a", 1))
    async with serving(objects) as site:
        assert len(await rooms(site)) == 1
        objects.hold()
        try:
            # The list hangs in a thread: what was known is the answer all the same.
            assert len(await asyncio.wait_for(rooms(site), 15)) == 1
        finally:
            objects.release()


async def test_nobody_waits_at_all_for_a_storage_that_has_just_failed(
    objects: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("origin.replay_list._WAIT_SECONDS", 60.0)
    keep(objects, take("a", 1))
    async with serving(objects) as site:
        assert len(await rooms(site)) == 1
        objects.broken = True
        while not site.replays.degraded():
            await rooms(site)
        objects.hold()
        try:
            assert len(await asyncio.wait_for(rooms(site), 15)) == 1
        finally:
            objects.release()


async def test_an_app_that_ends_asks_the_storage_nothing_more(objects: Watched) -> None:
    def reading() -> list[asyncio.Task[object]]:
        return [task for task in asyncio.all_tasks() if task.get_name() == "catalogue"]

    objects.hold()
    try:
        async with serving(objects) as site:
            asked = asyncio.create_task(site.replays.listed())
            while not reading():  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.01)
        assert not reading()
    finally:
        objects.release()
    assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], Exception)
