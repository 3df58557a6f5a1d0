"""Replays over HTTP: who sees what, when, and how long it may be kept."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from pathlib import Path

import pytest

from contracts.errors import DiskUnavailable, StorageUnavailable
from contracts.take import TakeHeader, TakeKey
from contracts.tokens import TokenGate
from origin.pages import load_pages
from storage.disk_objects import DiskObjects
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import DERIVED, META, RECORD, entry_name, take_object
from tests.origins import Answer, settings
from tests.replay_site import KEY, TOKEN, Kept, Serving, Watched, bearer, keep, mark_open, serving
from tests.takes import EPOCH_US

JSON = "application/json"
PLAYLIST = "application/vnd.apple.mpegurl"
TYPES = {
    ".m4a": "audio/mp4",
    "64k/0.mp4": "audio/mp4",
    "64k/init.mp4": "audio/mp4",
    "index.m3u8": PLAYLIST,
    "64k/index.m3u8": PLAYLIST,
    "chapters.json": "application/json+chapters",
    "peaks.json": JSON,
    "take.json": JSON,
}
TEXTS = [path for path, kind in TYPES.items() if kind != "audio/mp4"]


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


# ---- what is there ---------------------------------------------------------------------------------------


async def test_everything_of_a_replay_is_public_and_kept_for_a_minute(objects: Watched) -> None:
    kept = keep(objects, Kept())
    bodies = {
        ".m4a": kept.m4a,
        "64k/0.mp4": kept.fragments[0],
        "index.m3u8": kept.made["replay.m3u8"],
        "64k/index.m3u8": kept.made["64k/replay.m3u8"],
        "chapters.json": kept.made["chapters.json"],
        "peaks.json": kept.made["peaks.json"],
        "take.json": to_bytes(kept.commit().to_json()),
    }
    async with serving(objects) as site:
        tags = set()
        for path, content_type in TYPES.items():
            answer = await site.get(path)
            assert answer.status == 200, path
            assert answer.body == bodies.get(path, answer.body), path
            assert answer.headers["Content-Type"] == content_type
            assert answer.headers["Cache-Control"] == "public, max-age=60"
            assert answer.headers["Surrogate-Key"] == KEY.take
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
            assert "Authorization" not in answer.headers.get("Vary", "")
            tags.add(answer.headers["ETag"])
            assert answer.headers["ETag"].startswith('"')
        assert len(tags) == len(TYPES)
        assert (await site.get("64k/init.mp4")).body[4:8] == b"ftyp"
        assert (await site.get(".m4a")).headers["Content-Disposition"] == 'inline; filename="The harbour.m4a"'


async def test_what_a_cache_has_it_need_not_get_again(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for path in TYPES:
            answer = await site.get(path)
            tag = answer.headers["ETag"]
            for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
                again = await site.get(path, If_None_Match=known)
                assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
                assert again.headers["Cache-Control"] == "public, max-age=60"
            assert (await site.get(path, If_None_Match='"other"')).body == answer.body


async def test_a_head_says_what_a_get_would(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for path in TYPES:
            answer = await site.get(path)
            head = await site.request("HEAD", path)
            assert (head.status, head.body) == (200, b"")
            for name in ("Content-Length", "Content-Type", "ETag", "Accept-Ranges", "Cache-Control"):
                assert head.headers[name] == answer.headers[name]
            assert (await site.request("OPTIONS", path)).status == 204
            assert (await site.request("POST", path)).status == 405


async def test_texts_are_packed_for_who_takes_it(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for path in TEXTS:
            plain = await site.get(path)
            packed = await site.get(path, Accept_Encoding="gzip, br")
            assert gzip.decompress(packed.body) == plain.body
            assert packed.headers["Content-Encoding"] == "gzip"
            assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
            assert packed.headers["ETag"] == f'{plain.headers["ETag"][:-1]}-gz"'
            assert "Content-Encoding" not in plain.headers
            same = await site.get(path, Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"])
            assert same.status == 304


async def test_media_is_never_packed(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        answer = await site.get(".m4a", Accept_Encoding="gzip")
        assert answer.body == kept.m4a
        assert "Content-Encoding" not in answer.headers


# ---- who may -----------------------------------------------------------------------------------------------

STRANGERS = {
    "nobody": {},
    "a guess": {"Authorization": "Bearer guess"},
    "another scheme": {"Authorization": "Basic YTpi"},
    "no token at all": {"Authorization": "Bearer"},
    "speaker": bearer("speaker"),
    "worker": bearer("publish", None),
    "host of another room": bearer("host", "elsewhere"),
    "admin of another room": bearer("admin", "elsewhere"),
}
HOSTS = {
    "the token": {"Authorization": f"Bearer {TOKEN}"},
    "admin": bearer("admin", None),
    "admin of this room": bearer("admin"),
    "host": bearer("host"),
}


def told(answer: Answer) -> tuple[object, ...]:
    """All that an answer tells, but when."""
    return answer.status, answer.body, {(k, v) for k, v in answer.headers.items() if k != "Date"}


async def test_what_is_not_published_is_as_what_never_was(objects: Watched) -> None:
    keep(objects, Kept(published=False))
    async with serving(objects) as site:
        for who, headers in STRANGERS.items():
            for path in TYPES:
                hidden = await site.get(path, headers)
                absent = await site.get(f"/replay/nowhere/{KEY.take}{'' if path == '.m4a' else '/'}{path}")
                assert told(hidden) == told(absent), (who, path)
                assert hidden.status == 404
                # So that a shared cache does not answer a host with it.
                assert hidden.headers["Vary"] == "Authorization"
                assert hidden.headers["Cache-Control"] == "public, max-age=1"


async def test_its_host_sees_what_is_not_published_and_no_cache_keeps_it(objects: Watched) -> None:
    keep(objects, Kept(published=False))
    async with serving(objects) as site:
        for who, headers in HOSTS.items():
            for path in TYPES:
                answer = await site.get(path, headers)
                assert answer.status == 200, (who, path)
                assert answer.headers["Cache-Control"] == "no-store"
                assert "Authorization" in answer.headers["Vary"]
        assert (await site.get("64k/0.mp4", bearer("host"), Range="bytes=1-2")).status == 206
        counted = site.origin.metrics.registry.get_sample_value(
            "longwave_http_requests_total", {"kind": "hidden_replay", "status": "200"}
        )
        assert counted == len(TYPES) * len(HOSTS)


async def test_what_is_published_is_for_everybody_whatever_they_send(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        for headers in STRANGERS.values():
            answer = await site.get("chapters.json", headers)
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "public, max-age=60")


async def test_without_tokens_who_shows_one_is_the_host(objects: Watched) -> None:
    keep(objects, Kept(published=False))
    async with serving(objects, gate=TokenGate()) as site:
        assert (await site.get("take.json")).status == 404
        assert (await site.get("take.json", Authorization="Bearer any")).status == 200


async def test_to_publish_and_to_unpublish_shows_at_once(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        for published, status in ((False, 404), (True, 200), (False, 404)):
            keep(objects, kept.changed(published=published))
            assert [(await site.get(path)).status for path in TYPES] == [status] * len(TYPES)
            # What was made ready for one of them is not sent as the other.
            for path in TYPES:
                answer = await site.get(path, bearer("host"))
                wanted = "public, max-age=60" if published else "no-store"
                assert (answer.status, answer.headers["Cache-Control"]) == (200, wanted)


# ---- when --------------------------------------------------------------------------------------------------


def live(site: Serving, key: TakeKey = KEY) -> None:
    site.origin.put_take(key, TakeHeader(EPOCH_US, settings(), "0" * 64))


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
