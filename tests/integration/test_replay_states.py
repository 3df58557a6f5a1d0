"""Replays over HTTP that are not there yet or any more, are damaged, or never were."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from contracts.take import TakeKey
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import DERIVED, META, RECORD, entry_name, take_object
from tests.replay_addresses import HOSTS, TYPES, live
from tests.replay_site import KEY, Kept, Watched, keep, mark_open, serving


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


# ---- what is there ---------------------------------------------------------------------------------------


async def test_a_live_take_says_when_to_come_back(objects: Watched) -> None:
    mark_open(objects)
    async with serving(objects) as site:
        live(site)
        for path in TYPES:
            answer = await site.get(path)
            assert (answer.status, answer.headers["Retry-After"]) == (409, "10")
            assert "live" in answer.error
            assert answer.headers["Cache-Control"] == "no-store"
        site.origin.end(KEY, 0)
        for path in TYPES:
            answer = await site.get(path)
            assert (answer.status, answer.headers["Retry-After"]) == (409, "2")
            assert "finished" in answer.error
        keep(objects, Kept())
        for path in TYPES:
            assert (await site.get(path)).status == 200


async def test_a_take_that_has_ended_here_is_finished_whatever_the_storage_has(objects: Watched) -> None:
    async with serving(objects) as site:
        live(site)
        assert (await site.get(".m4a")).headers["Retry-After"] == "10"
        site.origin.end(KEY, 0)
        assert (await site.get(".m4a")).headers["Retry-After"] == "2"


async def test_a_take_that_nobody_here_knows_is_finished_somewhere_else(objects: Watched) -> None:
    mark_open(objects)
    async with serving(objects) as site:
        answer = await site.get(".m4a")
        assert (answer.status, answer.headers["Retry-After"]) == (409, "2")


@pytest.mark.parametrize("step", ["fragments", "commit", "meta", "replay.m4a", "derived"])
async def test_a_take_is_no_replay_before_all_of_it_is_there(objects: Watched, step: str) -> None:
    mark_open(objects)
    keep(objects, Kept(), upto=step)
    async with serving(objects) as site:
        assert [(await site.get(path)).status for path in TYPES] == [409] * len(TYPES)


@pytest.mark.parametrize("around", ["nothing", "mark", "entry", "window"])
async def test_what_was_deleted_is_gone_however_far_the_deletion_is(objects: Watched, around: str) -> None:
    keep(objects, Kept())
    tombstone = TakeMeta(deleted_at="2026-01-02T00:00:00Z")
    objects.write(take_object(KEY, META), [to_bytes(tombstone.to_json())])
    if around != "entry":
        objects.delete([entry_name(KEY)])
    if around == "mark":
        mark_open(objects)
    async with serving(objects) as site:
        if around == "window":
            live(site)
            site.origin.end(KEY, 0)
        for path in TYPES:
            answer = await site.get(path, HOSTS["admin"])
            assert answer.status == 404, path


# ---- bad requests ------------------------------------------------------------------------------------------


TAKE = KEY.take
IMPOSSIBLE = [
    (f"/replay/elsewhere/{TAKE}.m4a", 404),
    ("/replay/town-hall/20260101T000000Z-zzzzzz.m4a", 404),
    (f"/replay/town-hall/{TAKE}/128k/index.m3u8", 404),
    (f"/replay/town-hall/{TAKE}/128k/0.mp4", 404),
    (f"/replay/town-hall/{TAKE}/128k/init.mp4", 404),
    (f"/replay/town-hall/{TAKE}/64k/30.mp4", 404),
    (f"/replay/town-hall/{TAKE}/64k/1.mp4", 404),
    (f"/replay/town-hall/{TAKE}/64k/015.mp4", 404),
    (f"/replay/town-hall/{TAKE}/64k/-1.mp4", 404),
    (f"/replay/town-hall/{TAKE}/64k/{'9' * 40}.mp4", 404),
    (f"/replay/town-hall/{TAKE}/64k/0.m4s", 404),
    (f"/replay/town-hall/{TAKE}/../../rooms/room.json", 404),
    (f"/replay/town-hall/{TAKE}/..%2fmeta.json", 404),
    (f"/replay/town-hall/{TAKE}/%2e%2e/index.m3u8", 404),
    (f"/replay/town-hall/{TAKE}/meta.json", 404),
    (f"/replay/town-hall/{TAKE}/story.json", 404),
    (f"/replay/town-hall/{TAKE}/derived.json", 404),
    ("/replay/town-hall/yesterday.m4a", 400),
    ("/replay/town-hall/yesterday/take.json", 400),
    (f"/replay/town%20hall/{TAKE}.m4a", 400),
    (f"/replay/town%00hall/{TAKE}.m4a", 400),
    (f"/replay/..%2f..%2fetc/{TAKE}.m4a", 400),
    (f"/replay/{'x' * 65}/{TAKE}.m4a", 400),
    (f"/replay/{'x' * 4000}/{TAKE}.m4a", 400),
    (f"/replay/town-hall/{TAKE}%00.m4a", 400),
    (f"/replay/town-hall/{TAKE}%0a.m4a", 400),
    (f"/replay/t%C3%B6wn/{TAKE}.m4a", 400),
    ("/replay/town-hall/.m4a", 404),
    (f"/replay//{TAKE}.m4a", 404),
    (f"/replay/town-hall/{TAKE}.M4A", 404),
    (f"/replay/town-hall/{TAKE}.m4a.m4a", 400),
    (f"/replay/town-hall/{TAKE}.m4a/index.m3u8", 400),
]


async def test_what_cannot_be_has_a_clear_answer(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for path, status in IMPOSSIBLE:
            answer = await site.get(path)
            assert (answer.status, bool(answer.error)) == (status, True), path
            assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert (await site.get(".m4a")).status == 200


async def test_a_query_changes_nothing(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        assert (await site.get(".m4a?download=1&x=%00")).body == kept.m4a


async def test_an_address_that_is_far_too_long_is_refused(objects: Watched) -> None:
    async with serving(objects) as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(b"GET /replay/" + b"x" * 10_000 + b".m4a HTTP/1.1\r\nHost: x\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 20)
        writer.close()
        assert b" 400 " in line


@pytest.mark.parametrize(
    ("name", "path"), [(RECORD, "take.json"), (META, "index.m3u8"), ("derived.json", ".m4a")]
)
@pytest.mark.parametrize("how", ["rubbish", "missing"])
async def test_a_damaged_document_is_named_and_never_shown(
    objects: Watched, name: str, path: str, how: str
) -> None:
    keep(objects, Kept())
    full = take_object(KEY, name)
    if how == "missing":
        objects.delete([full])
    else:
        objects.write(full, [b'{"rubbish": 1}'])
    async with serving(objects) as site:
        answer = await site.get(path)
        assert (answer.status, full in answer.error) == (502, True)
        assert answer.headers["Cache-Control"] == "no-store"


async def test_an_entry_of_another_take_is_not_believed(objects: Watched) -> None:
    keep(objects, Kept())
    private = keep(objects, Kept(TakeKey("private", KEY.take), published=False))
    objects.write(entry_name(private.key), [objects.read(entry_name(KEY)).data])
    async with serving(objects) as site:
        answer = await site.get(f"/replay/private/{KEY.take}.m4a")
        assert (answer.status, entry_name(private.key) in answer.error) == (502, True)


async def test_digests_that_are_not_all_there_are_damage(objects: Watched) -> None:
    derived = keep(objects, Kept()).derived().to_json()
    name = take_object(KEY, DERIVED)
    derived["objects"]["replay.m4a"]["blocks"].pop()  # type: ignore[index]
    objects.write(name, [to_bytes(derived)])
    async with serving(objects) as site:
        answer = await site.get(".m4a")
        assert (answer.status, name in answer.error) == (502, True)
