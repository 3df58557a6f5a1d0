"""PCM and rooms over real HTTP: what a sender, a host and a stranger get."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType, web
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.tokens import TokenGate
from storage.disk_objects import DiskObjects
from storage.rooms import RoomRecord, RoomStore
from storage.stories import Stories
from workers.bus import TakeBus
from workers.http_app import add_routes
from workers.ingest import Ingest, IngestSettings
from workers.memory_bus import MemoryHub
from workers.storyteller import Storyteller
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore

RATE = 48_000
FADE = RATE // 200


class Server:
    """The ingest's routes on a free port, in the test's own loop."""

    def __init__(self, data: Path, token: str | None = None, **settings: Any) -> None:  # noqa: ANN401
        metrics = Metrics(CollectorRegistry())
        self.hub = MemoryHub()
        rooms = RoomStore(DiskObjects(data))
        store = TakeStore(data / "takes")
        keeper = TakeKeeper(store, Storyteller(store, Stories(DiskObjects(data)), rooms), metrics)
        self.ingest = Ingest(self.hub, rooms, keeper, IngestSettings("f", **settings), metrics)
        app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
        guard(app, TokenGate(token))
        add_routes(app, self.ingest, rooms)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        self.port = 0
        self.http: aiohttp.ClientSession

    async def start(self) -> None:
        await self.ingest.start()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")

    async def stop(self) -> None:
        await self.http.close()
        await self.ingest.stop()
        await self._runner.cleanup()

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:  # noqa: ANN401
        async with self.http.request(method, path, **more) as answer:
            text = await answer.text()
            assert text.count("\n") == (1 if text else 0)
            return answer.status, json.loads(text) if text else None

    async def curl(self, *args: str, stdin: int | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "curl", "-sS", *args, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )

    def bus(self, room: str = "room") -> TakeBus:
        (found,) = [bus for bus in self.hub.live() if bus.key.room == room and bus.ended is None]
        return found

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path)
    await made.start()
    yield made
    await made.stop()


def tone(samples: int, channels: int = 1) -> NDArray[np.int16]:
    """Samples that never repeat within a second and are never 0."""
    index = np.arange(samples)[:, None] % 16_000 * 2 + np.arange(channels) + 1
    return index.astype("<i2")


async def pieces(pcm: NDArray[np.int16], size: int) -> AsyncIterator[bytes]:
    """A chunked body."""
    data = pcm.tobytes()
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is looked at tells nobody
        await asyncio.sleep(0.005)


def is_live(server: Server, room: str = "room") -> bool:
    return server.ingest.live(room) is not None


def present(server: Server, room: str = "room") -> list[str | None]:
    """The names of all who are in the take."""
    live = server.ingest.live(room)
    return [] if live is None else [speaker.name for speaker in live.speakers]


@pytest.mark.parametrize("channels", [1, 2])
async def test_a_body_is_on_the_bus_as_it_was_sent_and_then_answered(server: Server, channels: int) -> None:
    await server.ask("PUT", "/rooms/room", json={"channels": channels})
    pcm = tone(RATE + 12_345, channels)
    status, answer = await server.ask("PUT", f"/pcm/room?channels={channels}", data=pieces(pcm, 7777))
    bus = server.bus()
    take = bus.key.take
    assert (status, answer) == (
        200,
        {"room": "room", "take": take, "samples": len(pcm), "silence": 0, "dropped": 0},
    )
    assert np.array_equal(bus.read(0, len(pcm)), pcm)
    assert not bus.read(len(pcm), bus.top).any()


async def test_a_fast_sender_is_paced_to_real_time(server: Server) -> None:
    began = time.monotonic()
    await server.ask("PUT", "/pcm/room", data=tone(2 * RATE).tobytes())
    assert time.monotonic() - began > 1.9


async def test_bodies_after_each_other_go_into_one_take(server: Server) -> None:
    takes = set()
    for _ in range(3):
        _, answer = await server.ask("PUT", "/pcm/room", data=tone(4800).tobytes())
        takes.add(answer["take"])
    assert len(takes) == 1
    heard = np.count_nonzero(server.bus().read(0, server.bus().top))
    assert 3 * 4800 - 2 * FADE <= heard <= 3 * 4800  # what begins in a take that lives is faded in


@pytest.mark.needs("ffmpeg", "curl")
async def test_ffmpeg_piped_into_curl_arrives_without_a_dropout(server: Server, tmp_path: Path) -> None:
    pcm = tone(3 * RATE)
    (tmp_path / "x.pcm").write_bytes(pcm.tobytes())
    line = (
        f"ffmpeg -v error -re -f s16le -ac 1 -ar 48000 -i {tmp_path}/x.pcm -f s16le -ac 1 -ar 48000 - "
        f"| curl -sS -T - {server.url('/pcm/room')}"
    )
    shell = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
    out, _ = await shell.communicate()
    answer = json.loads(out)
    assert (answer["samples"], answer["silence"], answer["dropped"]) == (len(pcm), 0, 0)
    assert np.array_equal(server.bus().read(0, len(pcm)), pcm)


@pytest.mark.needs("curl")
async def test_a_process_that_stood_still_loses_nothing_that_was_sent(server: Server, tmp_path: Path) -> None:
    pcm = tone(4 * RATE)
    (tmp_path / "x.pcm").write_bytes(pcm.tobytes())
    curl = await server.curl("-T", str(tmp_path / "x.pcm"), server.url("/pcm/room"))
    await until(lambda: is_live(server) and server.bus().top > 4800)
    time.sleep(2.2)  # noqa: ASYNC251 - the process stands still, with its ticker and its sockets
    out, _ = await curl.communicate()
    answer = json.loads(out)
    assert (answer["samples"], answer["silence"], answer["dropped"]) == (len(pcm), 0, 0)
    assert np.array_equal(server.bus().read(0, len(pcm)), pcm)


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "says"),
    [
        ("/pcm/a%20b", {}, b"\0\0", 400, "room id"),
        ("/pcm/" + "x" * 65, {}, b"\0\0", 400, "room id"),
        ("/pcm/room?channels=3", {}, b"\0\0", 400, "channels"),
        ("/pcm/room?channels=", {}, b"\0\0", 400, "channels"),
        ("/pcm/room?channels=one", {}, b"\0\0", 400, "channels"),
        ("/pcm/room?speaker=", {}, b"\0\0", 400, "speaker"),
        ("/pcm/room?speaker=" + "x" * 65, {}, b"\0\0", 400, "speaker"),
        ("/pcm/room?speaker=a%0Ab", {}, b"\0\0", 400, "speaker"),
        ("/pcm/room", {"Content-Encoding": "gzip"}, b"\0\0", 415, "Content-Encoding"),
        ("/pcm/room", {}, b"", 400, "empty"),
        ("/pcm/room", {}, b"\0", 400, "inside a sample"),
        ("/pcm/room?channels=2", {}, b"\0\0\0\0\0\0", 400, "inside a sample"),
    ],
)
async def test_bad_input_gets_one_line_that_says_what_to_do(
    server: Server, path: str, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    async with server.http.put(
        server.url(path), data=body, headers=headers, skip_auto_headers=["Expect"]
    ) as answer:
        got = json.loads(await answer.text())
    assert answer.status == status
    assert says in got["error"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
async def test_another_method_is_told_the_right_one(server: Server, method: str) -> None:
    async with server.http.request(method, "/pcm/room", data=b"xx") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "PUT"
        assert "PUT" in (await answer.json())["error"]


async def test_an_odd_body_is_taken_to_its_last_whole_sample(server: Server) -> None:
    pcm = tone(20_000)
    status, answer = await server.ask("PUT", "/pcm/room", data=pcm.tobytes() + b"\7")
    assert status == 400
    assert "1 bytes over" in answer["error"]
    assert np.array_equal(server.bus().read(0, 20_000), pcm)


class Line:
    """A raw connection that sends a request half way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, server: Server, path: str, *headers: str) -> Line:
        line = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        head = [f"PUT {path} HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked", *headers, "", ""]
        line.writer.write("\r\n".join(head).encode())
        return line

    def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def status(self) -> int:
        line = await asyncio.wait_for(self.reader.readline(), 20)
        return int(line.split()[1])

    async def rest(self) -> Any:  # noqa: ANN401
        headers = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(h.split(b":")[1]) for h in headers.splitlines() if h.lower().startswith(b"content-length")
        )
        return json.loads(await self.reader.readexactly(length))

    def close(self) -> None:
        self.writer.transport.abort()


async def test_who_asks_first_is_told_to_go_on(server: Server) -> None:
    line = await Line.open(server, "/pcm/room", "Expect: 100-continue")
    assert await line.status() == 100
    await line.reader.readline()
    line.send(tone(9600).tobytes())
    line.writer.write(b"0\r\n\r\n")
    assert await line.status() == 200
    assert (await line.rest())["samples"] == 9600
    line.close()


async def test_another_expectation_fails(server: Server) -> None:
    line = await Line.open(server, "/pcm/room", "Expect: miracles")
    assert await line.status() == 417
    assert "100-continue" in (await line.rest())["error"]
    line.close()


async def test_two_senders_are_heard_together(server: Server) -> None:
    pcm = np.full((RATE, 1), 1000, np.int16).tobytes()
    answers = await asyncio.gather(*(server.ask("PUT", "/pcm/room", data=pcm) for _ in range(2)))
    assert [(status, answer["silence"]) for status, answer in answers] == [(200, 0)] * 2
    assert len({answer["take"] for _, answer in answers}) == 1
    heard = server.bus().read(0, server.bus().top)
    assert heard.max() == 2000
    assert 2 * RATE * 1000 - 4 * FADE * 1000 <= heard.sum(dtype=int) <= 2 * RATE * 1000


async def test_a_sender_too_many_is_refused_before_its_body_is_read(tmp_path: Path) -> None:
    server = Server(tmp_path, max_speakers=1)
    await server.start()
    first = await Line.open(server, "/pcm/room")
    first.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    second = await Line.open(server, "/pcm/room", "Expect: 100-continue")
    assert await second.status() == 503
    assert "all 1 places" in (await second.rest())["error"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await server.http.ws_connect("/pcm/room/ws")
    assert refused.value.status == 503
    first.writer.write(b"0\r\n\r\n")
    assert await first.status() == 200
    assert (await first.rest())["silence"] == 0
    first.close()
    second.close()
    await server.stop()


async def test_the_same_name_takes_over_and_the_old_line_is_told(server: Server) -> None:
    old = await Line.open(server, "/pcm/room?speaker=Ada")
    old.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    new = await Line.open(server, "/pcm/room?speaker=Ada")
    assert await old.status() == 409
    assert "newer connection" in (await old.rest())["error"]
    new.send(tone(9600).tobytes())
    new.writer.write(b"0\r\n\r\n")
    assert await new.status() == 200
    events = server.bus().events_from(0)
    assert [event.speakers for event in events][:1] == [("Ada",)]
    old.close()
    new.close()


async def test_a_connection_that_is_cut_leaves_the_take_and_its_place(server: Server) -> None:
    other = asyncio.create_task(server.ask("PUT", "/pcm/other", data=tone(2 * RATE).tobytes()))
    line = await Line.open(server, "/pcm/room")
    pcm = tone(14_400)
    line.send(pcm.tobytes())
    await until(lambda: is_live(server))
    bus = server.bus()
    line.close()
    await until(lambda: not present(server) and bus.top >= len(pcm))
    status, answer = await server.ask("PUT", "/pcm/room", data=tone(4800).tobytes())
    assert (status, answer["take"]) == (200, bus.key.take)
    assert np.array_equal(bus.read(0, 14_400), pcm)
    assert (await other)[1]["silence"] == 0


async def test_a_body_that_stops_is_timed_out(tmp_path: Path) -> None:
    server = Server(tmp_path, sender_timeout=1)
    await server.start()
    line = await Line.open(server, "/pcm/room")
    line.send(tone(RATE).tobytes())
    assert await line.status() == 408
    assert "nothing arrived for 1 seconds" in (await line.rest())["error"]
    assert server.bus().ended is None
    line.close()
    await server.stop()


async def test_too_many_rooms_are_told_to_come_back(tmp_path: Path) -> None:
    server = Server(tmp_path, max_rooms=1)
    await server.start()
    line = await Line.open(server, "/pcm/room")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    async with server.http.put("/pcm/other", data=b"\0\0") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
    line.close()
    await server.stop()


async def test_a_token_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    server = Server(tmp_path, token="secret")
    await server.start()
    for path in ("/pcm/room", "/pcm/a%20b"):
        line = await Line.open(server, path, "Expect: 100-continue")
        assert await line.status() == 401
        line.close()
    wrong = await Line.open(server, "/pcm/room", "Expect: 100-continue", "Authorization: Bearer guess")
    assert await wrong.status() == 403
    wrong.close()
    for method, path in [
        ("PUT", "/rooms/room"),
        ("GET", "/rooms/room"),
        ("DELETE", "/rooms/room"),
        ("POST", "/rooms/room/end"),
        ("GET", "/pcm/room/ws"),
    ]:
        assert (await server.ask(method, path))[0] == 401
    right = {"Authorization": "Bearer secret"}
    status, _ = await server.ask("PUT", "/pcm/room", data=tone(960).tobytes(), headers=right)
    assert status == 200
    await server.stop()


@pytest.mark.parametrize(
    ("method", "path", "welcome"), [("GET", "/pcm/room/ws", 101), ("POST", "/rooms/room/end", 404)]
)
async def test_only_pages_of_our_own_may_speak_or_end_a_take(
    server: Server, method: str, path: str, welcome: int
) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    for origin, status in [("https://evil.example", 403), ("null", 403), (server.url(""), welcome)]:
        headers = {**upgrade, "Origin": origin}
        async with server.http.request(method, path, headers=headers) as answer:
            assert answer.status == status


async def test_the_end_by_request_lets_the_sender_go(server: Server) -> None:
    line = await Line.open(server, "/pcm/room")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server) and server.bus().top > 0)
    bus = server.bus()
    status, answer = await server.ask("POST", "/rooms/room/end")
    assert status == 200
    assert answer == {"room": "room", "take": bus.key.take, "samples": bus.ended}
    assert await line.status() == 409
    assert "ended" in (await line.rest())["error"]
    assert (await server.ask("POST", "/rooms/room/end"))[0] == 404
    line.close()


async def test_a_room_is_made_read_changed_and_deleted(server: Server) -> None:
    assert (await server.ask("GET", "/rooms/news"))[0] == 404
    wanted = {"title": "Nachrichten", "renditions": ["32k", "64k"], "channels": 2, "visibility": "unlisted"}
    status, record = await server.ask("PUT", "/rooms/news", json=wanted)
    assert (status, record) == (201, {"room": "news", **RoomRecord().to_json(), **wanted})
    assert (await server.ask("PUT", "/rooms/news", json={**wanted, "parts": 10}))[0] == 200
    status, got = await server.ask("GET", "/rooms/news")
    assert (status, got) == (200, got | {**record, "parts": 10, "live": None})
    async with server.http.get("/rooms/news") as answer:
        assert answer.headers["Cache-Control"] == "no-store"  # it shows whoever has the token what is live
    assert (await server.ask("DELETE", "/rooms/news")) == (204, None)
    assert (await server.ask("DELETE", "/rooms/news"))[0] == 404


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "JSON"),
        (b"[]", "JSON object"),
        (b'{"colour": 1}', "colour"),
        (b'{"parts": 11}', "parts"),
        (b"[" * 10_000, "JSON"),
    ],
)
async def test_a_room_that_makes_no_sense_is_refused(server: Server, body: bytes, says: str) -> None:
    status, answer = await server.ask("PUT", "/rooms/news", data=body)
    assert status == 400
    assert says in answer["error"]
    assert (await server.ask("GET", "/rooms/news"))[0] == 404


async def test_an_endless_room_record_is_refused(server: Server) -> None:
    assert (await server.ask("PUT", "/rooms/news", data=b" " * 20_000))[0] == 413


async def test_a_live_room_tells_of_its_take_and_is_not_deleted(server: Server) -> None:
    await server.ask("PUT", "/rooms/room", json={})
    line = await Line.open(server, "/pcm/room?speaker=Ada")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server) and server.bus().top > 0)
    live = (await server.ask("GET", "/rooms/room"))[1]["live"]
    bus = server.bus()
    assert (live["take"], live["epoch_us"]) == (bus.key.take, bus.header.epoch_us)
    assert 0 < live["sample"] <= bus.top
    assert live["speakers"][0]["name"] == "Ada"
    assert (await server.ask("DELETE", "/rooms/room"))[0] == 409
    line.close()


async def test_messages_of_a_websocket_are_on_the_bus(server: Server) -> None:
    pcm = tone(19_200, 2)
    await server.ask("PUT", "/rooms/room", json={"channels": 2})
    async with server.http.ws_connect("/pcm/room/ws?channels=2&speaker=Ada&sound=as-is") as socket:
        for start in range(0, len(pcm), 480):
            await socket.send_bytes(pcm[start : start + 480].tobytes())
        await until(lambda: is_live(server) and server.bus().top >= len(pcm))
    bus = server.bus()
    whole = len(pcm) - FADE  # the socket was still open: what breaks off is faded out
    assert np.array_equal(bus.read(0, whole), pcm[:whole])
    await until(lambda: not present(server))
    assert bus.ended is None


async def test_a_muted_websocket_is_silent_and_owes_nothing(server: Server) -> None:
    async with server.http.ws_connect("/pcm/room/ws?sound=as-is") as socket:
        await socket.send_bytes(tone(9600).tobytes())
        await socket.send_str('{"muted": true}')
        await socket.send_bytes(tone(9600).tobytes())
        await until(lambda: is_live(server) and server.bus().top >= 20_000)
        await socket.send_str('{"muted": false, "level": 3}')
        await socket.send_bytes(tone(9600).tobytes())
        bus = server.bus()
        await until(lambda: int(np.count_nonzero(bus.read(0, bus.top))) >= 19_200 - 3 * FADE)
        live = server.ingest.live("room")
        assert live
        assert live.speakers[0].counts["dropped"] == 9600
        assert not bus.read(9600, 19_200).any()


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [
        ("rubbish", 1007, "JSON object"),
        ("[1]", 1007, "JSON object"),
        ('{"muted": "yes"}', 1007, "muted"),
        ("[" * 100_000, 1007, "JSON object"),
        (b"\0\0\0", 1007, "whole samples"),
        (bytes(300_000), 1009, ""),
    ],
)
async def test_a_message_that_makes_no_sense_closes_the_socket(
    server: Server, message: str | bytes, code: int, says: str
) -> None:
    async with server.http.ws_connect("/pcm/room/ws") as socket:
        await socket.send_bytes(tone(9600).tobytes())
        await until(lambda: is_live(server))
        if isinstance(message, str):
            await socket.send_str(message)
        else:
            await socket.send_bytes(message)
        closed = await asyncio.wait_for(socket.receive(), 20)
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, code)
        assert says in (closed.extra or "")
    top = server.bus().top
    await until(lambda: server.bus().top > top)


async def test_a_socket_is_told_why_it_is_closed(server: Server) -> None:
    async with server.http.ws_connect("/pcm/room/ws?speaker=Ada") as old:
        await old.send_bytes(tone(9600).tobytes())
        await until(lambda: is_live(server))
        async with server.http.ws_connect("/pcm/room/ws?speaker=Ada") as new:
            closed = await asyncio.wait_for(old.receive(), 20)
            assert (closed.data, closed.extra) == (4409, "a newer connection of the same speaker took over")
            await server.ask("POST", "/rooms/room/end")
            closed = await asyncio.wait_for(new.receive(), 20)
            assert closed.data == 4409
            assert "ended" in (closed.extra or "")


async def test_a_socket_of_another_site_is_not_opened(server: Server) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await server.http.ws_connect("/pcm/other/ws", origin="https://elsewhere.example")
    assert refused.value.status == 403
    own = await server.http.ws_connect("/pcm/other/ws", origin=f"http://127.0.0.1:{server.port}")
    await own.close()


async def test_a_plain_request_is_told_that_this_is_a_websocket(server: Server) -> None:
    status, answer = await server.ask("GET", "/pcm/room/ws")
    assert status == 400
    assert "WebSocket" in answer["error"]


async def test_a_server_that_goes_down_tells_its_senders(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await server.start()
    line = await Line.open(server, "/pcm/room")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    await server.ingest.stop()
    assert await line.status() == 503
    line.close()
    await server.stop()
