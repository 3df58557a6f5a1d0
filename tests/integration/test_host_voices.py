"""Speakers who come by WebSocket as LiveKit's egress does, and what is refused to their host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.host_room import HOST, Room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with Room(tmp_path) as made:
        yield made


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
