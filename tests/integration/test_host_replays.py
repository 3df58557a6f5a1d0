"""What hosts do with replays over HTTP: see them all, change their words, publish, delete. Real sockets."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import Grant, guard
from contracts.errors import EditConflict, NotFound, StorageUnavailable
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.take import TakeEvent, TakeKey
from contracts.tokens import Keys, TokenGate
from storage.commit import Gap, TakeCommit
from storage.disk_objects import DiskObjects
from storage.documents import from_bytes, to_bytes
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.names import META, RECORD, REPLAY_M4A, entry_name, open_name, take_object, take_prefix
from storage.objects import ObjectMissing
from storage.pooled import Pooled
from storage.take_record import SpeakerRecord, TakeRecord
from tests import kept
from tests.takes import EPOCH_US, header
from workers.archive.finish import Finisher
from workers.http_replays import ReplayHandlers

FAR = 4_000_000_000
KEYS = Keys({"k": b"k" * 32})
SAMPLES = 480_000  # 10 s
DAY = "20260101T0000"
KEY = TakeKey("room", f"{DAY}00Z-aaaaaa")


def token(role: str, room: str | None = "room") -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS.sign(Grant(role, room), FAR)}"}  # type: ignore[arg-type]


def story(key: TakeKey, *, published: bool = True) -> TakeRecord:
    chapters = (TakeEvent(0, 0, "chapter", title="Welcome"), TakeEvent(48_000, 1, "chapter", title="News"))
    speakers = (SpeakerRecord("Ada"), SpeakerRecord("Bob"))
    return TakeRecord(key, header(), SAMPLES, speakers, chapters, None, chapters, "Friday", published)


class Desk:
    """Stands in for the finisher: the documents alone, without the media that is made from them."""

    def __init__(self, objects: DiskObjects) -> None:
        self.objects = objects
        self.edits = 0
        self.trouble: Exception | None = None

    def finish(self, key: TakeKey = KEY, *, published: bool = True, entry: bool = True) -> None:
        commit = TakeCommit(story(key, published=published), (Gap((0, 24_000), "the disk was full"),), {})
        self.objects.put_new(take_object(key, RECORD), to_bytes(commit.to_json()))
        if entry:
            self.objects.put_new(take_object(key, META), to_bytes(TakeMeta(published=published).to_json()))
            self._enter(key, TakeMeta(published=published))

    def mark(self, key: TakeKey) -> None:
        self.objects.put_new(open_name(key), to_bytes(header().to_json()))

    def edit(self, key: TakeKey, change: Callable[[TakeMeta], TakeMeta]) -> ReplayEntry:
        if self.trouble is not None:
            raise self.trouble
        self.edits += 1
        name = take_object(key, META)
        found = self.objects.read(name)
        meta = change(from_bytes(name, found.data, TakeMeta.from_json))
        self.objects.replace(name, to_bytes(meta.to_json()), found.info.etag)
        return self._enter(key, meta)

    def delete(self, key: TakeKey) -> None:
        if self.trouble is not None:
            raise self.trouble
        names = (entry_name(key), open_name(key), take_object(key, RECORD))
        if all(self.objects.head(name) is None for name in names):
            raise NotFound("no such replay")
        tombstone = TakeMeta(deleted_at="2026-01-01T00:00:00Z")
        name = take_object(key, META)
        self.objects.write(name, [to_bytes(tombstone.to_json())])
        others = [info.name for info in self.objects.list(take_prefix(key)) if info.name != name]
        self.objects.delete([entry_name(key), *others, open_name(key)])

    def meta(self, key: TakeKey = KEY) -> TakeMeta:
        name = take_object(key, META)
        return from_bytes(name, self.objects.read(name).data, TakeMeta.from_json)

    def _enter(self, key: TakeKey, meta: TakeMeta) -> ReplayEntry:
        told = story(key)
        entry = ReplayEntry(
            key,
            meta.shown_title(told),
            meta.published,
            EPOCH_US,
            SAMPLES,
            ("Ada", "Bob"),
            2,
            81_234,
            "a",
            "b",
        )
        self.objects.write(entry_name(key), [to_bytes(entry.to_json())])
        return entry


class Server:
    """The host's routes over a storage on disk."""

    def __init__(self, data: Path, *, finisher: bool = False) -> None:
        metrics = Metrics(CollectorRegistry())
        self.objects = DiskObjects(data)
        self.desk = Desk(self.objects)
        self.live: set[TakeKey] = set()
        self.forgotten: list[TakeKey] = []
        self.changed: list[TakeKey] = []
        app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
        guard(app, TokenGate(keys=KEYS))
        self.pooled = Pooled(threads=2)
        ReplayHandlers(
            self.objects,
            self.pooled,
            Finisher(self.objects, None, clock=time.time) if finisher else self.desk,
            is_live=lambda key: key in self.live,
            forget=self.forgotten.append,
            changed=self.changed.append,
        ).add_routes(app)
        self._runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=True)
        self.http: aiohttp.ClientSession

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{self._runner.addresses[0][1]}")

    async def stop(self) -> None:
        await self.http.close()
        await self._runner.cleanup()
        self.pooled.close()

    async def ask(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        **more: Any,  # noqa: ANN401
    ) -> tuple[int, Any, dict[str, str]]:
        path = f"/rooms/room/replays{path}"
        async with self.http.request(method, path, headers=headers or token("host"), **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None, dict(answer.headers)

    async def patch(self, body: object, take: str = KEY.take) -> tuple[int, Any]:
        status, answer, _ = await self.ask("PATCH", f"/{take}", json=body)
        return status, answer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path)
    await made.start()
    yield made
    await made.stop()


# ---- what there is -----------------------------------------------------------------------------------------


async def test_a_host_sees_every_take_that_is_over_newest_first(server: Server) -> None:
    takes = [f"{DAY}{n:02}Z-aaaaaa" for n in range(5)]
    published, hidden, finishing, live, deleted = [TakeKey("room", take) for take in takes]
    server.desk.finish(published)
    server.desk.finish(hidden, published=False)
    server.desk.mark(finishing)
    server.desk.mark(live)
    server.live.add(live)
    server.desk.finish(deleted)
    server.desk.delete(deleted)
    server.desk.mark(deleted)  # a straggler's
    server.desk.finish(TakeKey("other-room", takes[0]))
    status, answer, headers = await server.ask("GET", "")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert answer == {
        "room": "room",
        "replays": [
            {
                "room": "room",
                "take": finishing.take,
                "state": "finishing",
                "page": f"/replay/room/{finishing.take}",
                "m4a": f"/replay/room/{finishing.take}.m4a",
                "started_at": "2026-01-01T00:00:02.000Z",
            },
            ready(hidden, published=False),
            ready(published, published=True),
        ],
        "next": None,
    }


def ready(key: TakeKey, *, published: bool) -> dict[str, object]:
    return {
        "room": "room",
        "take": key.take,
        "state": "ready",
        "page": f"/replay/room/{key.take}",
        "m4a": f"/replay/room/{key.take}.m4a",
        "title": "Friday, 1 January 2026",
        "published": published,
        "private": False,
        "started_at": "2026-01-01T00:00:00.000Z",
        "samples": SAMPLES,
        "seconds": 10.0,
        "speakers": ["Ada", "Bob"],
        "chapters": 2,
        "bytes": 81_234,
    }


async def test_a_long_list_comes_a_hundred_at_a_time(server: Server) -> None:
    for n in range(203):
        server.desk.mark(TakeKey("room", f"20260101T00{n // 60:02}{n % 60:02}Z-aaaaaa"))
    seen, before = [], ""
    for count in (100, 100, 3):
        status, answer, _ = await server.ask("GET", before)
        assert (status, len(answer["replays"])) == (200, count)
        seen += [replay["take"] for replay in answer["replays"]]
        before = f"?before={answer['next']}"
    assert answer["next"] is None
    assert len(set(seen)) == 203
    assert seen == sorted(seen, reverse=True)
    status, answer, _ = await server.ask("GET", "?before=yesterday")
    assert status == 400
    assert "20260131T200000Z-abc234" in answer["error"]


async def test_an_entry_that_cannot_be_read_hides_no_other(server: Server) -> None:
    server.desk.finish()
    broken = TakeKey("room", f"{DAY}09Z-aaaaaa")
    server.objects.put_new(entry_name(broken), b"{}")
    _, answer, _ = await server.ask("GET", "")
    assert [(each["take"], each["state"]) for each in answer["replays"]] == [
        (broken.take, "damaged"),
        (KEY.take, "ready"),
    ]


async def test_one_replay_says_what_is_shown_and_what_of_it_is_the_hosts_own(server: Server) -> None:
    server.desk.finish(published=False)
    status, answer, headers = await server.ask("GET", f"/{KEY.take}")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert answer == {
        **ready(KEY, published=False),
        "missing_seconds": 0.5,
        "chapters": [
            {"sample": 0, "seconds": 0.0, "title": "Welcome"},
            {"sample": 48_000, "seconds": 1.0, "title": "News"},
        ],
        "own": {"title": None, "chapters": None},
    }


# ---- changes -----------------------------------------------------------------------------------------------


async def test_title_and_chapters_are_changed_and_given_back(server: Server) -> None:
    server.desk.finish()
    status, answer = await server.patch(
        {
            "title": "Ein Gespr\u00e4ch \U0001f680",
            "chapters": [{"seconds": 2.5, "title": "Late"}, {"sample": 1, "title": "Early"}],
        }
    )
    chapters = [
        {"sample": 1, "seconds": 0.00002, "title": "Early"},
        {"sample": 120_000, "seconds": 2.5, "title": "Late"},
    ]
    assert status == 200
    assert answer["title"] == "Ein Gespr\u00e4ch \U0001f680"
    assert answer["chapters"] == chapters
    assert answer["own"] == {"title": answer["title"], "chapters": chapters}
    assert answer["published"] is True
    assert (await server.ask("GET", f"/{KEY.take}"))[1] == answer
    assert (await server.ask("GET", ""))[1]["replays"][0]["title"] == answer["title"]

    # What is left out stays; null gives back what the take had; no chapters are not those of the take.
    status, answer = await server.patch({"title": None})
    assert answer["title"] == "Friday, 1 January 2026"
    assert answer["own"] == {"title": None, "chapters": chapters}
    assert (await server.patch({"chapters": []}))[1]["chapters"] == []
    status, answer = await server.patch({"chapters": None})
    assert [chapter["title"] for chapter in answer["chapters"]] == ["Welcome", "News"]
    assert server.desk.meta() == TakeMeta()


async def test_a_replay_is_unpublished_and_published(server: Server) -> None:
    server.desk.finish()
    for published in (False, True):
        status, answer = await server.patch({"published": published})
        assert (status, answer["published"]) == (200, published)
        assert server.desk.meta().published is published
    # Who serves listeners looks again at once.
    assert server.changed == [KEY, KEY]


async def test_nothing_to_change_changes_nothing(server: Server) -> None:
    server.desk.finish()
    status, answer = await server.patch({})
    assert (status, answer["title"], server.desk.edits) == (200, "Friday, 1 January 2026", 0)
    assert server.changed == []


WHOLE_LIST = [{"sample": n, "title": "x"} for n in range(1001)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "a JSON object"),
        ("title", "a JSON object"),
        (None, "a JSON object"),
        ({"titel": "x"}, "titel: not known here"),
        ({"deleted_at": None}, "deleted_at: not known here"),
        ({"title": ""}, "title: "),
        ({"title": " "}, "title: "),
        ({"title": "two\nlines"}, "title: "),
        ({"title": "\ud800"}, "title: "),
        ({"title": "x" * 1025}, "title: "),
        ({"title": 3}, "title: "),
        ({"published": None}, "published: "),
        ({"published": "no"}, "published: "),
        ({"published": 1}, "published: "),
        ({"chapters": {}}, "chapters: "),
        ({"chapters": "none"}, "chapters: "),
        ({"chapters": WHOLE_LIST}, "chapters: null, or a list of at most 1000"),
        ({"chapters": ["x"]}, "chapters[0]: "),
        ({"chapters": [{"sample": 0, "title": "x"}, {"sample": 1}]}, "chapters[1]: "),
        ({"chapters": [{"title": "x"}]}, "chapters[0]: "),
        ({"chapters": [{"title": "x", "sample": 0, "seconds": 0}]}, "chapters[0]: "),
        ({"chapters": [{"title": "x", "sample": 0, "url": "y"}]}, "chapters[0].url: "),
        ({"chapters": [{"title": "", "sample": 0}]}, "chapters[0].title: "),
        ({"chapters": [{"title": None, "sample": 0}]}, "chapters[0].title: "),
        ({"chapters": [{"title": "x", "sample": -1}]}, "chapters[0].sample: within"),
        ({"chapters": [{"title": "x", "sample": SAMPLES}]}, "chapters[0].sample: within"),
        ({"chapters": [{"title": "x", "sample": 1.5}]}, "chapters[0].sample: a whole number"),
        ({"chapters": [{"title": "x", "sample": True}]}, "chapters[0].sample: a whole number"),
        ({"chapters": [{"title": "x", "sample": "0"}]}, "chapters[0].sample: a whole number"),
        ({"chapters": [{"title": "x", "seconds": 10}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": 9.999999}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": -1e300}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": 10**400}]}, "chapters[0].seconds: within"),
        ({"chapters": [{"title": "x", "seconds": float("nan")}]}, "chapters[0].seconds: a number"),
        ({"chapters": [{"title": "x", "seconds": float("inf")}]}, "chapters[0].seconds: a number"),
        ({"chapters": [{"title": "x", "seconds": "1"}]}, "chapters[0].seconds: a number"),
        (
            {"chapters": [{"title": "x", "sample": 48_000}, {"title": "y", "seconds": 1}]},
            "chapters[1]: another chapter begins at sample 48000",
        ),
    ],
)
async def test_what_cannot_be_is_refused_and_named(server: Server, body: object, named: str) -> None:
    server.desk.finish()
    data = json.dumps(body).encode()
    status, answer, _ = await server.ask("PATCH", f"/{KEY.take}", data=data)
    assert (status, answer["error"].startswith(named)) == (400, True), answer
    # The good half of a bad request is not done either.
    assert server.desk.edits == 0


async def test_a_thousand_chapters_are_taken_and_a_megabyte_is_not(server: Server) -> None:
    server.desk.finish()
    status, answer = await server.patch({"chapters": WHOLE_LIST[:1000]})
    assert (status, len(answer["chapters"])) == (200, 1000)
    status, _, _ = await server.ask("PATCH", f"/{KEY.take}", data=io.BytesIO(b" " * (1024 * 1024 + 1)))
    assert status == 413
    for garbage in (b"", b"{", b"\xff", b"[" * 100_000):
        status, _, _ = await server.ask("PATCH", f"/{KEY.take}", data=garbage)
        assert status == 400


async def test_a_take_that_is_being_finished_cannot_be_changed_yet(server: Server) -> None:
    server.desk.mark(KEY)
    status, answer, headers = await server.ask("PATCH", f"/{KEY.take}", json={"published": False})
    assert (status, headers["Retry-After"]) == (409, "2")
    assert "being finished" in answer["error"]
    status, answer, _ = await server.ask("GET", f"/{KEY.take}")
    assert (status, answer["state"]) == (200, "finishing")


async def test_somebody_else_in_the_same_moment_and_a_storage_that_is_gone_are_said(server: Server) -> None:
    server.desk.finish()
    for trouble, status in (
        (EditConflict("somebody else changed it"), 409),
        (StorageUnavailable("no answer from the storage"), 503),
        (NotFound("it was deleted meanwhile"), 404),
    ):
        server.desk.trouble = trouble
        found, _ = await server.patch({"published": False})
        assert found == status


# ---- the end -----------------------------------------------------------------------------------------------


async def test_a_deleted_replay_is_gone_for_everybody(server: Server) -> None:
    server.desk.finish()
    status, answer, _ = await server.ask("DELETE", f"/{KEY.take}")
    assert (status, answer, server.forgotten, server.changed) == (204, None, [KEY], [KEY])
    assert [info.name for info in server.objects.list("")] == [take_object(KEY, META)]
    for method in ("GET", "PATCH", "DELETE"):
        status, answer, _ = await server.ask(method, f"/{KEY.take}", json={"published": True})
        assert (status, "no such replay" in answer["error"]) == (404, True)
    assert (await server.ask("GET", ""))[1]["replays"] == []


async def test_a_take_that_is_being_finished_or_damaged_can_be_deleted(server: Server) -> None:
    server.desk.mark(KEY)
    assert (await server.ask("DELETE", f"/{KEY.take}"))[0] == 204
    other = TakeKey("room", f"{DAY}09Z-aaaaaa")
    server.objects.put_new(take_object(other, RECORD), b"not JSON")
    status, answer, _ = await server.ask("GET", f"/{other.take}")
    assert (status, take_object(other, RECORD) in answer["error"]) == (502, True)
    assert (await server.ask("DELETE", f"/{other.take}"))[0] == 204


async def test_a_delete_that_died_half_way_is_completed_by_another(server: Server) -> None:
    server.desk.finish()
    server.desk.mark(KEY)
    tombstone = replace(TakeMeta(), deleted_at="2026-01-01T00:00:00Z")
    server.objects.write(take_object(KEY, META), [to_bytes(tombstone.to_json())])
    for method in ("GET", "PATCH"):
        assert (await server.ask(method, f"/{KEY.take}", json={"title": "x"}))[0] == 404
    assert (await server.ask("DELETE", f"/{KEY.take}"))[0] == 204
    with pytest.raises(ObjectMissing):
        server.objects.read(take_object(KEY, RECORD))


async def test_a_live_take_is_neither_changed_nor_deleted(server: Server) -> None:
    server.desk.mark(KEY)
    server.live.add(KEY)
    for method in ("GET", "PATCH", "DELETE"):
        status, answer, headers = await server.ask(method, f"/{KEY.take}", json={"title": "x"})
        assert (status, headers["Retry-After"]) == (409, "10")
        assert "live" in answer["error"]
    assert server.objects.head(open_name(KEY)) is not None
    assert server.forgotten == []


async def test_a_host_who_leaves_does_not_stop_a_delete(server: Server) -> None:
    server.desk.finish()
    begun, go_on = threading.Event(), threading.Event()
    delete = server.desk.delete

    def slow(key: TakeKey) -> None:
        begun.set()
        assert go_on.wait(20)
        delete(key)

    server.desk.delete = slow  # type: ignore[method-assign]
    asked = asyncio.create_task(server.ask("DELETE", f"/{KEY.take}"))
    assert await asyncio.to_thread(begun.wait, 20)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    go_on.set()
    async with asyncio.timeout(20):
        while server.objects.head(take_object(KEY, RECORD)) is not None:  # noqa: ASYNC110 - a thread's work
            await asyncio.sleep(0.01)
    assert server.forgotten == [KEY]


async def test_with_the_finisher_an_edit_is_in_the_file_and_a_delete_leaves_a_tombstone(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path, finisher=True)
    await server.start()
    try:
        key = kept.key_of(0)
        kept.archive(server.objects, key)
        Finisher(server.objects, None, clock=time.time).finish(key)
        change = {"title": "On tides", "chapters": [{"seconds": 1, "title": "Moon"}], "published": False}
        status, answer = await server.patch(change, key.take)
        assert (status, answer["title"], answer["published"], answer["state"]) == (
            200,
            "On tides",
            False,
            "ready",
        )
        assert answer["own"]["chapters"] == [{"sample": 48_000, "seconds": 1.0, "title": "Moon"}]
        file = server.objects.read(take_object(key, REPLAY_M4A)).data
        assert (b"On tides" in file, b"Moon" in file, b"Welcome" in file) == (True, True, False)
        assert answer["bytes"] == len(file)
        (row,) = (await server.ask("GET", ""))[1]["replays"]
        assert (row["title"], row["published"], row["chapters"]) == ("On tides", False, 1)
        assert (await server.ask("DELETE", f"/{key.take}"))[0] == 204
        assert [info.name for info in server.objects.list("rooms/")] == [take_object(key, META)]
        for method in ("GET", "PATCH", "DELETE"):
            assert (await server.ask(method, f"/{key.take}", json={"title": "x"}))[0] == 404
        assert (await server.ask("GET", ""))[1]["replays"] == []
    finally:
        await server.stop()


# ---- who may -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_replays_are_a_hosts_and_of_their_room_alone(server: Server, method: str) -> None:
    server.desk.finish()
    for grant, status in (
        (token("speaker"), 403),
        (token("publish", None), 403),
        (token("host", "other-room"), 403),
        ({"Authorization": "Bearer x"}, 403),
        ({"Authorization": ""}, 403),
    ):
        assert (await server.ask(method, f"/{KEY.take}", headers=grant, json={}))[0] == status
    async with server.http.request(method, f"/rooms/room/replays/{KEY.take}") as answer:
        assert answer.status == 401
    elsewhere = {**token("host"), "Origin": "https://elsewhere.example"}
    assert (await server.ask(method, f"/{KEY.take}", headers=elsewhere, json={}))[0] == 403
    assert server.desk.objects.head(take_object(KEY, RECORD)) is not None
    assert (await server.ask(method, f"/{KEY.take}", headers=token("admin", None), json={}))[0] < 300


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/yesterday", 400),
        (f"/{KEY.take}x", 400),
        ("/20260101T000000Z-AAAAAA", 400),
        ("/..%2f..%2fsecret", 400),
        ("/%00", 400),
        (f"/{DAY}59Z-zzzzzz", 404),
    ],
)
async def test_takes_that_cannot_be_or_are_not(server: Server, path: str, status: int) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        found, answer, _ = await server.ask(method, path, json={"title": "x"})
        assert found == status, answer
