"""The host's hand over HTTP: who is muted, removed or named, chapters, and an end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest

from tests.host_room import AWKWARD, HOST, Room, token
from workers.take_store import Reservation, TakeFile


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with Room(tmp_path) as made:
        yield made


async def test_a_muted_speaker_is_not_heard_until_unmuted_also_after_connecting_again(room: Room) -> None:
    query = f"channels=2&speaker={quote(AWKWARD, safe='')}"
    path = f"/speakers/{quote(AWKWARD, safe='')}"
    async with room.voice(300, "channels=2&speaker=Bob"):
        async with room.voice(1000, query):
            await room.hears(1300)
            told = await room.ask("POST", f"{path}/mute")
            assert told == (200, {"room": "room", "name": AWKWARD, "muted": True})
            await room.hears(300)
            speakers = (await room.ask("GET", ""))[1]["live"]["speakers"]
            assert {speaker["name"]: speaker["muted"] for speaker in speakers} == {
                AWKWARD: True,
                "Bob": False,
            }
        async with room.voice(2000, query):
            # It is there, and would be heard within the start buffer's 200 ms.
            top = room.bus().top
            while room.bus().top < top + 24_000:  # noqa: ASYNC110 - the bus tells nobody
                await asyncio.sleep(0.01)
            assert room.lately() == {300}
            assert (await room.ask("POST", f"{path}/unmute"))[1]["muted"] is False
            await room.hears(2300)
    told_of = [event.kind for event in room.events if event.speakers == (AWKWARD,) and "mute" in event.kind]
    assert told_of == ["mute", "unmute"]


async def test_who_is_removed_does_not_come_back_in_this_take(room: Room) -> None:
    invited = token("speaker", token_id="ada-1")
    async with room.voice(300, "channels=2&speaker=Bob"):
        async with room.voice(1000, "channels=2&speaker=Ada", invited) as ada:
            await room.hears(1300)
            assert await room.ask("DELETE", "/speakers/Ada") == (204, None)
            code, why = await ada.closed()
            assert (code, "removed" in why) == (4403, True)
            await room.hears(300)
        for name, shown in [("Ada", token("speaker")), ("Eve", invited)]:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with room.voice(1000, f"speaker={name}", shown):
                    pass
            assert refused.value.status == 403
        async with room.voice(20, "channels=2&speaker=Eve", token("speaker", token_id="eve-1")):
            await room.hears(320)
    await room.ask("POST", "/end")
    async with room.voice(1000, "channels=2&speaker=Ada", invited):
        await room.hears(1000)


async def test_a_name_on_the_token_is_the_name_in_the_room(room: Room) -> None:
    ada = token("speaker", "Ada")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with room.voice(1, "speaker=Bob", ada):
            pass
    assert refused.value.status == 403
    async with room.voice(1000, "channels=2", ada):
        await room.hears(1000)
        shown = {"Authorization": f"Bearer {ada}"}
        async with room.http.get("/rooms/room", headers=shown) as answer:
            said = await answer.json()
    assert said["you"] == {"role": "speaker", "name": "Ada"}
    assert [speaker["name"] for speaker in said["live"]["speakers"]] == ["Ada"]
    assert said["live"]["speakers"][0]["kind"] == "ws"
    assert said["listeners"] == 17


async def test_who_asks_before_anybody_spoke_is_told_who_they_are(room: Room) -> None:
    status, said = await room.ask("GET", "")
    assert (status, said["you"]) == (404, {"role": "host", "name": "Hilda"})
    assert "no such room" in said["error"]


@pytest.mark.parametrize("title", ["One", AWKWARD, "x" * 1024, '"\\'])
async def test_a_chapter_begins_where_the_take_is(room: Room, title: str) -> None:
    async with room.voice(1000, "channels=2"):
        await room.hears(1000)
        before = room.bus().top
        status, said = await room.ask("POST", "/chapters", json={"title": title})
    assert status == 201
    assert (said["room"], said["title"]) == ("room", title)
    assert before <= said["sample"] <= room.bus().top
    (event,) = [event for event in room.events if event.kind == "chapter"]
    assert (event.sample, event.title) == (said["sample"], title)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'"One"',
        b'{"title": 1}',
        b'{"title": ""}',
        b'{"title": "  "}',
        b'{"title": "\\u200d"}',
        b'{"title": "a\\nb"}',
        b'{"title": "a\\u0000b"}',
        b'{"title": "a\\u2028b"}',
        b'{"title": "\\ud800"}',
        b'{"title": "One", "sample": 0}',
        b'{"title": "' + b"x" * 1025 + b'"}',
        b'{"title": "\xff"}',
        b"[" * 10_000,
    ],
)
async def test_a_title_that_is_none_is_refused(room: Room, body: bytes) -> None:
    async with room.voice(1000, "channels=2"):
        await room.hears(1000)
        assert (await room.ask("POST", "/chapters", data=body))[0] == 400
        assert not [event for event in room.events if event.kind == "chapter"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/chapters", b'{"title": "One"}'),
        ("POST", "/speakers/Ada/mute", None),
        ("POST", "/speakers/Ada/unmute", None),
        ("DELETE", "/speakers/Ada", None),
        ("POST", "/end", None),
    ],
)
async def test_there_is_nothing_to_do_where_nobody_is(
    room: Room, method: str, path: str, body: bytes | None
) -> None:
    status, said = await room.ask(method, path, data=body)
    assert status == 404
    assert said["error"]
    if "speakers" in path:
        async with room.voice(1000, "channels=2&speaker=Bob"):
            await room.hears(1000)
            assert (await room.ask(method, path, data=body))[0] == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/speakers/%0A/mute", 400),
        ("/speakers/%FF/mute", 404),
        (f"/speakers/{'x' * 65}/mute", 400),
        ("/speakers//mute", 404),
    ],
)
async def test_names_that_cannot_be_are_refused(room: Room, path: str, status: int) -> None:
    async with room.voice(1000, "channels=2"):
        await room.hears(1000)
        assert (await room.ask("POST", path))[0] == status


async def test_how_sound_is_treated_is_one_of_two(room: Room) -> None:
    for sound, status in [("loud", 400), ("", 400), ("voice", 200), ("as-is", 200)]:
        path = f"/pcm/room?sound={sound}"
        async with room.http.put(path, data=bytes(1920), headers=HOST) as answer:
            assert answer.status == status, sound


async def test_who_is_in_a_live_room_is_told_while_its_disk_hangs(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room.voice(1000, "channels=2&speaker=Ada"):
        await room.hears(1000)
        hanging = threading.Event()
        monkeypatch.setattr(room.rooms, "get", lambda _: hanging.wait(30))
        try:
            async with asyncio.timeout(10):
                status, said = await room.ask("GET", "")
        finally:
            hanging.set()
    assert (status, [speaker["name"] for speaker in said["live"]["speakers"]]) == (200, ["Ada"])


async def test_an_end_is_answered_when_no_crash_can_bring_the_take_back(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, on_disk = TakeFile.write, threading.Event()

    def slow(file: TakeFile, reservation: Reservation, *, sync: bool) -> None:
        if reservation.ended:
            time.sleep(0.2)
        write(file, reservation, sync=sync)
        if reservation.ended:
            on_disk.set()

    monkeypatch.setattr(TakeFile, "write", slow)
    async with room.voice(1):
        await room.hears(1)
        assert (await room.ask("POST", "/end"))[0] == 200
        assert on_disk.is_set()
