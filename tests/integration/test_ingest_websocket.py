"""PCM over a real WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType

from tests.ingest_server import FADE, Server, is_live, present
from tests.pcm_line import tone
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path) as made:
        yield made


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
