"""A host's replays over HTTP: which there are, who may see them, and how they end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.take import TakeKey
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import META, RECORD, REPLAY_M4A, entry_name, open_name, take_object
from storage.objects import ObjectMissing
from tests import kept
from tests.replay_desk import DAY, KEY, Server, ready, token
from workers.archive.finish import Finisher


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path) as made:
        yield made


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
