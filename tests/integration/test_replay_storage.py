"""Replays over HTTP and their storage: what is read of it, and where listeners are sent instead."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from contracts.errors import DiskUnavailable, StorageUnavailable
from origin.pages import load_pages
from storage.disk_objects import DiskObjects
from storage.names import META, RECORD, entry_name, take_object
from tests.replay_addresses import TEXTS, TYPES
from tests.replay_site import KEY, Kept, Watched, bearer, keep, serving


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


# ---- what is kept ------------------------------------------------------------------------------------------


async def test_a_crowd_reads_a_storage_once(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects, fresh_seconds=60) as site:
        objects.seconds = 0.05
        answers = await asyncio.gather(*(site.get(".m4a") for _ in range(30)))
        assert [answer.body == kept.m4a for answer in answers] == [True] * 30
        # The entry, three documents, three blocks.
        assert len(objects.reads) == len(set(objects.reads)) + 2 == 7


async def test_a_crowd_that_asks_for_nothing_reads_a_storage_once(objects: Watched) -> None:
    async with serving(objects, fresh_seconds=60) as site:
        for _ in range(3):
            answers = await asyncio.gather(*(site.get(".m4a") for _ in range(10)))
            assert {answer.status for answer in answers} == {404}
        assert len(objects.reads) == 3
        # What is known not to be there may come; who brings it says so.
        keep(objects, Kept())
        assert (await site.get(".m4a")).status == 404
        site.replays.forget(KEY)
        assert (await site.get(".m4a")).status == 200


async def test_what_was_read_before_a_change_is_forgotten_with_it(objects: Watched) -> None:
    kept = keep(objects, Kept())
    reached, go_on = threading.Event(), threading.Event()

    def pause(name: str, _: int) -> None:
        if name == take_object(KEY, META) and not reached.is_set():
            reached.set()
            assert go_on.wait(30)

    async with serving(objects, fresh_seconds=60) as site:
        objects.before_read = pause
        early = asyncio.create_task(site.get("chapters.json"))
        assert await asyncio.to_thread(reached.wait, 30)
        keep(objects, kept.changed(published=False))
        site.replays.forget(KEY)
        # The one who asked before may get either; nobody who asks now.
        late = asyncio.create_task(site.get("chapters.json"))
        go_on.set()
        await early
        assert (await late).status == 404
        assert (await site.get("chapters.json")).status == 404


async def test_what_has_not_changed_is_not_parsed_again(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        for _ in range(3):
            assert (await site.get("chapters.json")).status == 200
        assert objects.reads.count(take_object(KEY, RECORD)) == 1
        assert objects.reads.count(entry_name(KEY)) == 3
        keep(objects, kept.changed(title="Another"))
        assert json.loads((await site.get("chapters.json")).body)["title"] == "Another"


async def test_while_the_storage_is_gone_listeners_are_told_to_come_back(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        assert (await site.get(".m4a")).status == 200
        objects.broken = True
        for path in TYPES:
            answer = await site.get(path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        ready = await site.get("/readyz")
        assert ready.status == 200
        assert json.loads(ready.body)["degraded"] == ["replays: the storage is gone"]
        objects.broken = False
        assert (await site.get(".m4a")).status == 200
        assert json.loads((await site.get("/readyz")).body)["degraded"] == []


@pytest.mark.parametrize("kind", [StorageUnavailable, DiskUnavailable])
async def test_listeners_do_not_learn_where_the_storage_is_and_what_it_said(
    objects: Watched, kind: type[StorageUnavailable]
) -> None:
    keep(objects, Kept())

    def fail(name: str, start: int) -> None:
        raise kind(f"s3://a-bucket at http://10.0.0.7:9000: {name} from {start}")

    objects.before_read = fail
    async with serving(objects) as site:
        for path in TYPES:
            answer = await site.get(path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert b"bucket" not in answer.body
            assert b"storage" in answer.body
        assert b"a-bucket" in (await site.get("/readyz")).body


# ---- elsewhere ---------------------------------------------------------------------------------------------


async def test_listeners_are_sent_to_a_cdn_for_media_that_is_public(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects, redirect="https://cdn.example/lw/", pages=None) as site:
        for path, name in ((".m4a", "replay.m4a"), ("64k/15.mp4", "64k/15.mp4")):
            answer = await site.get(path, Range="bytes=0-1")
            assert answer.status == 302
            assert answer.headers["Location"] == f"https://cdn.example/lw/rooms/town-hall/{KEY.take}/{name}"
            assert answer.headers["Cache-Control"] == "public, max-age=60"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        for path in (*TEXTS, "64k/init.mp4"):
            assert (await site.get(path)).status == 200
        assert (await site.get("64k/30.mp4")).status == 404
        policy = (await site.get(f"/replay/town-hall/{KEY.take}")).headers["Content-Security-Policy"]
        assert "media-src 'self' blob: https://cdn.example;" in policy
        assert "cdn.example" not in (await site.get("/listen/room")).headers["Content-Security-Policy"]
        # A CDN asks nobody who they are.
        keep(objects, kept.changed(published=False))
        assert (await site.get(".m4a")).status == 404
        assert (await site.get(".m4a", bearer("host"))).body == kept.m4a


async def test_listeners_are_sent_to_the_storage_with_an_address_that_ends(objects: Watched) -> None:
    keep(objects, Kept(title="Töwn"))
    async with serving(objects, redirect="presign") as site:
        answer = await site.get(".m4a")
        name = take_object(KEY, "replay.m4a")
        assert (answer.status, answer.headers["Location"]) == (302, f"https://store.example/{name}?signed")
        assert objects.addresses == [(name, 3600, "Töwn.m4a")]


@pytest.mark.parametrize("redirect", ["presign", "https://cdn.example"])
async def test_head_is_answered_here_wherever_listeners_are_sent(objects: Watched, redirect: str) -> None:
    kept = keep(objects, Kept())
    async with serving(objects, redirect=redirect) as site:
        answer = await site.request("HEAD", ".m4a")
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(kept.m4a)))
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert objects.addresses == []


async def test_a_disk_has_no_addresses_and_is_read_here(tmp_path: Path) -> None:
    kept = keep(DiskObjects(tmp_path), Kept())
    async with serving(DiskObjects(tmp_path), redirect="presign") as site:
        assert (await site.get(".m4a")).body == kept.m4a


# ---- lobby and page ----------------------------------------------------------------------------------------


async def test_the_page_of_a_replay_finds_out_by_itself(objects: Watched, tmp_path: Path) -> None:
    page = tmp_path / "web" / "replay.html"
    page.parent.mkdir()
    page.write_text("<title>Replay</title>")
    async with serving(objects, pages=load_pages(page.parent)) as site:
        answer = await site.get(f"/replay/any-room/{KEY.take}")
        assert (answer.status, answer.text) == (200, "<title>Replay</title>")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        for path in (f"/replay/no%20room/{KEY.take}", "/replay/room/yesterday", "/replay/room/x.html"):
            answer = await site.get(path)
            assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json; charset=utf-8")
            assert answer.error
        # The file beside it is no page.
        assert (await site.get(f"/replay/any-room/{KEY.take}.m4a")).status == 404
