"""The host's hand over HTTP, and speakers who come by WebSocket as LiveKit's egress does. Real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType, web
from prometheus_client import CollectorRegistry

from contracts.access import Grant, guard
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.take import TakeEvent
from contracts.tokens import Keys, TokenGate
from storage.disk_objects import DiskObjects
from storage.rooms import RoomStore
from storage.stories import Stories
from workers.bus import TakeBus
from workers.http_app import add_routes
from workers.ingest import Ingest, IngestSettings
from workers.memory_bus import MemoryHub
from workers.storyteller import Storyteller
from workers.take_keeper import TakeKeeper
from workers.take_store import Reservation, TakeFile, TakeStore

FAR = 4_000_000_000
KEYS = Keys({"k": b"k" * 32})
# Whatever a path, a query or JSON could stumble over.
AWKWARD = 'Ada/Bob %2F "x" ?&#+; \u00dc\u200d\U0001f680'


def token(role: str, name: str | None = None, token_id: str | None = None) -> str:
    return KEYS.sign(Grant(role, "room", name, token_id), FAR)  # type: ignore[arg-type]


HOST = {"Authorization": f"Bearer {token('host', 'Hilda')}"}


class Room:
    """A server with one room in it, and its host. Everybody else is a `Voice`."""

    def __init__(self, data: Path) -> None:
        metrics = Metrics(CollectorRegistry())
        self.metrics = metrics
        self.hub = MemoryHub()
        self.rooms = rooms = RoomStore(DiskObjects(data))
        store = TakeStore(data / "takes")
        keeper = TakeKeeper(store, Storyteller(store, Stories(DiskObjects(data)), rooms), metrics)
        self.ingest = Ingest(self.hub, rooms, keeper, IngestSettings("f", max_speakers=3), metrics)
        app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
        guard(app, TokenGate(keys=KEYS))
        add_routes(app, self.ingest, rooms, listeners_of=lambda room: 17 if room == "room" else 0)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        self.http: aiohttp.ClientSession

    async def start(self) -> None:
        await self.ingest.start()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{self._runner.addresses[0][1]}")

    async def stop(self) -> None:
        await self.http.close()
        await self.ingest.stop()
        await self._runner.cleanup()

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:  # noqa: ANN401
        async with self.http.request(method, f"/rooms/room{path}", headers=HOST, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    @property
    def bus(self) -> TakeBus:
        (found,) = [bus for bus in self.hub.live() if bus.ended is None]
        return found

    @property
    def events(self) -> list[TakeEvent]:
        return list(self.bus.events_from(0))

    def lately(self) -> set[int]:
        """The samples of the last 20 ms of the take, if there is one."""
        if self.ingest.live("room") is None:
            return set()
        return set(self.bus.read(max(self.bus.top - 960, 0), self.bus.top).ravel().tolist())

    async def hears(self, *values: int) -> None:
        """Wait until nothing but `values` is heard."""
        async with asyncio.timeout(30):
            while self.lately() != set(values):  # noqa: ASYNC110 - the bus tells nobody
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def voice(self, value: int, query: str = "", shown: str = "") -> AsyncIterator[Voice]:
        """Somebody who says `value` again and again, as it is."""
        shown = shown or token("speaker")
        path = f"/pcm/room/ws?sound=as-is&token={shown}&{query}"
        async with self.http.ws_connect(path, headers={"Content-Type": "audio/x-raw"}) as line:
            talking = asyncio.create_task(_talk(line, value))
            try:
                yield Voice(line)
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)


class Voice:
    """One line into the room."""

    def __init__(self, line: aiohttp.ClientWebSocketResponse) -> None:
        self.line = line

    async def closed(self) -> tuple[int, str]:
        """The code and the reason with which the server closes it."""
        message = await asyncio.wait_for(self.line.receive(), 30)
        assert message.type == WSMsgType.CLOSE
        return message.data, message.extra or ""


async def _talk(line: aiohttp.ClientWebSocketResponse, value: int) -> None:
    # 20 ms of stereo a message, as LiveKit's pipeline cuts it, and half a second ahead of time.
    message = np.full((960, 2), value, "<i2").tobytes()
    began = asyncio.get_running_loop().time()
    for index in range(10_000):
        await asyncio.sleep(began + index * 0.02 - 0.5 - asyncio.get_running_loop().time())
        await line.send_bytes(message)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    made = Room(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_a_change_that_names_a_version_is_refused_where_another_is_there(room: Room) -> None:
    async def put(title: str, **headers: str) -> tuple[int, str]:
        async with room.http.put("/rooms/room", json={"title": title}, headers=HOST | headers) as answer:
            return answer.status, answer.headers.get("ETag", "")

    async def match(tag: str) -> int:
        return (await put("new", **{"If-Match": tag}))[0]

    assert (await put("x", **{"If-Match": "*"}))[0] == 412
    assert (await put("first", **{"If-None-Match": "*"}))[0] == 201
    assert (await put("again", **{"If-None-Match": "*"}))[0] == 412
    async with room.http.get("/rooms/room", headers=HOST) as answer:
        read = answer.headers["ETag"]
        assert (await answer.json())["title"] == "first"
    status, second = await put("second", **{"If-Match": read})
    assert (status, second != read) == (200, True)
    assert [await match(tag) for tag in (read, f"W/{second}", '"', "nonsense", f'"x", {read}')] == [412] * 5
    assert await match(f'"x", {second}') == 200
    async with room.http.delete("/rooms/room", headers=HOST | {"If-Match": second}) as answer:
        assert answer.status == 412
    assert await match("*") == 200
    async with room.http.get("/rooms/room", headers=HOST) as answer:
        read = answer.headers["ETag"]
    async with room.http.delete("/rooms/room", headers=HOST | {"If-Match": read}) as answer:
        assert answer.status == 204


async def test_tracks_of_an_sfu_are_heard_together(room: Room) -> None:
    async with room.voice(1000, "channels=2&speaker=Ada"), room.voice(300, "channels=2&speaker=Bob"):
        await room.hears(1300)
        async with room.voice(20, "channels=2"):
            await room.hears(1320)
        await room.hears(1300)
    names = {event.speakers for event in room.events if event.kind == "join"}
    assert names == {("Ada",), ("Bob",)}


async def test_a_track_that_says_it_is_muted_is_silent(room: Room) -> None:
    async with room.voice(1000, "channels=2&speaker=Ada") as ada:
        await room.hears(1000)
        await ada.line.send_str('{"muted":true}')
        await room.hears(0)
        assert (await room.ask("GET", ""))[1]["live"]["speakers"][0]["muted"] is True
        # Members that we do not know are for others.
        await ada.line.send_str('{"muted":false,"energy":[1,2]}')
        await ada.line.send_str('{"track":"TR_x"}')
        await ada.line.ping(b"ping")
        await room.hears(1000)


@pytest.mark.parametrize(
    ("message", "code"),
    [("rubbish", 1007), (b"\0\0\0\0\0", 1007), (bytes(300_000), 1009)],
    ids=["text", "odd bytes", "too long"],
)
async def test_who_sends_rubbish_is_dropped_and_the_room_goes_on(
    room: Room, message: str | bytes, code: int
) -> None:
    async with room.voice(1000, "channels=2&speaker=Ada"), room.voice(300, "channels=2") as other:
        await room.hears(1300)
        if isinstance(message, str):
            await other.line.send_str(message)
        else:
            await other.line.send_bytes(message)
        assert (await other.closed())[0] == code
        await room.hears(1000)
    dropped = room.metrics.registry.get_sample_value("longwave_speakers_dropped_total", {"reason": "garbage"})
    assert dropped == 1


async def test_one_more_than_the_room_holds_is_told_to_come_back(room: Room) -> None:
    async with room.voice(1, "channels=2"), room.voice(2, "channels=2"), room.voice(3, "channels=2"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with room.voice(4, "channels=2"):
                pass
        assert refused.value.status == 503
        assert refused.value.headers
        assert refused.value.headers["Retry-After"] == "1"


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
            top = room.bus.top
            while room.bus.top < top + 24_000:  # noqa: ASYNC110 - the bus tells nobody
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
        before = room.bus.top
        status, said = await room.ask("POST", "/chapters", json={"title": title})
    assert status == 201
    assert (said["room"], said["title"]) == ("room", title)
    assert before <= said["sample"] <= room.bus.top
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
