"""Rooms of an ingest over real HTTP: what a host and a stranger get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.tokens import TokenGate
from storage.rooms import RoomRecord
from tests.ingest_server import RATE, Server, is_live
from tests.pcm_line import Line, tone
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path) as made:
        yield made


async def test_a_token_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    server = Server(tmp_path, TokenGate("secret"))
    await server.start()
    for path in ("/pcm/room", "/pcm/a%20b"):
        line = await Line.open(server.port, path, "Expect: 100-continue")
        assert (await line.answer())[0] == 401
        line.cut()
    wrong = await Line.open(server.port, "/pcm/room", "Expect: 100-continue", "Authorization: Bearer guess")
    assert (await wrong.answer())[0] == 403
    wrong.cut()
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
    line = await Line.open(server.port, "/pcm/room")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server) and server.bus().top > 0)
    bus = server.bus()
    status, answer = await server.ask("POST", "/rooms/room/end")
    assert status == 200
    assert answer == {"room": "room", "take": bus.key.take, "samples": bus.ended}
    status, answer = await line.answer()
    assert status == 409
    assert "ended" in answer["error"]
    assert (await server.ask("POST", "/rooms/room/end"))[0] == 404
    line.cut()


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
    line = await Line.open(server.port, "/pcm/room?speaker=Ada")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server) and server.bus().top > 0)
    live = (await server.ask("GET", "/rooms/room"))[1]["live"]
    bus = server.bus()
    assert (live["take"], live["epoch_us"]) == (bus.key.take, bus.header.epoch_us)
    assert 0 < live["sample"] <= bus.top
    assert live["speakers"][0]["name"] == "Ada"
    assert (await server.ask("DELETE", "/rooms/room"))[0] == 409
    line.cut()
