"""WebSockets of PCM that reach an ingest which does not own the room: joined to one at the owner."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import WSMsgType, web
from numpy.typing import NDArray

from tests.audio import beeps
from tests.ingests import IngestServer, Owners, serving, two_ingests
from tests.waiting import until

RATE = 48_000
FADE = RATE // 200
Pair = tuple[IngestServer, IngestServer, Owners]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with two_ingests(tmp_path) as made:
        yield made


def sound(samples: int) -> NDArray[np.int16]:
    return (np.arange(samples) % 16_000 + 1).astype("<i2")[:, None]


async def test_messages_arrive_at_the_owner_sample_for_sample(pair: Pair) -> None:
    here, owner, _ = pair
    pcm = beeps(1.2)[:, None]
    async with here.http.ws_connect("/pcm/room/ws?speaker=Ada&sound=as-is") as socket:
        for start in range(0, len(pcm), 960):
            await socket.send_bytes(pcm[start : start + 960].tobytes())
        await until(lambda: owner.is_live() and owner.bus().top >= len(pcm))
        assert owner.present() == ["Ada"]
    whole = len(pcm) - FADE  # the socket was still open: what breaks off is faded out
    assert np.array_equal(owner.bus().read(0, whole), pcm[:whole])
    await until(lambda: not owner.present())
    assert owner.bus().ended is None


async def test_words_between_the_sound_reach_the_owner_in_their_place(pair: Pair) -> None:
    here, owner, _ = pair
    async with here.http.ws_connect("/pcm/room/ws?sound=as-is") as socket:
        await socket.send_bytes(sound(9600).tobytes())
        await socket.send_str('{"muted": true}')
        await socket.send_bytes(sound(9600).tobytes())
        await until(lambda: owner.is_live() and owner.bus().top >= 20_000)
        live = owner.ingest.live("room")
        assert live
        assert live.speakers[0].counts["dropped"] == 9600
        assert not owner.bus().read(9600, 19_200).any()


@pytest.mark.parametrize(
    ("message", "code", "says"),
    [("rubbish", 1007, "JSON object"), (b"\0\0\0", 1007, "whole samples"), (bytes(300_000), 1009, "")],
)
async def test_what_the_owner_does_not_take_closes_the_socket_with_its_code(
    pair: Pair, message: str | bytes, code: int, says: str
) -> None:
    here, owner, _ = pair
    async with here.http.ws_connect("/pcm/room/ws") as socket:
        await socket.send_bytes(sound(9600).tobytes())
        await until(owner.is_live)
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
        closed = await asyncio.wait_for(socket.receive(), 20)
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, code)
        assert says in (closed.extra or "")
    await until(lambda: not owner.present())


async def test_the_take_s_end_is_told_with_its_code(pair: Pair) -> None:
    here, owner, _ = pair
    async with here.http.ws_connect("/pcm/room/ws") as socket:
        await socket.send_bytes(sound(9600).tobytes())
        await until(owner.is_live)
        await owner.ask("POST", "/rooms/room/end")
        closed = await asyncio.wait_for(socket.receive(), 20)
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, 4409)
        assert "ended" in (closed.extra or "")


async def test_a_sender_that_vanishes_leaves_the_owner(pair: Pair) -> None:
    here, owner, _ = pair
    socket = await here.http.ws_connect("/pcm/room/ws?speaker=Ada")
    await socket.send_bytes(sound(9600).tobytes())
    await until(lambda: owner.present() == ["Ada"])
    transport = socket.get_extra_info("socket")
    assert transport is not None
    connection = socket._response.connection
    assert connection is not None
    assert connection.transport is not None
    connection.transport.abort()
    await until(lambda: not owner.present())
    assert owner.bus().ended is None


async def test_the_sender_s_own_code_reaches_the_owner(pair: Pair) -> None:
    here, _, owners = pair
    codes: list[int | None] = []

    async def listen(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for _ in socket:
            pass
        codes.append(socket.close_code)
        return socket

    async with serving(listen) as url:
        owners.urls["room"] = url
        for code in (1000, 4321):
            socket = await here.http.ws_connect("/pcm/room/ws")
            await socket.close(code=code)
        await until(lambda: len(codes) == 2)
    assert codes == [1000, 4321]


async def test_an_owner_that_lets_nobody_in_is_heard_before_the_socket_opens(tmp_path: Path) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    async with (
        two_ingests(tmp_path, max_speakers=1) as (here, _, _owners),
        here.http.ws_connect("/pcm/room/ws") as first,
    ):
        await first.send_bytes(sound(960).tobytes())
        status, answer = await here.ask("GET", "/pcm/room/ws", headers=upgrade | key)
        assert (status, "all 1 places" in answer["error"]) == (503, True)


async def test_an_owner_that_dies_closes_the_socket_with_a_reason_to_come_back(pair: Pair) -> None:
    here, _, owners = pair

    async def die(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        assert request.transport is not None
        request.transport.abort()
        return socket

    async with serving(die) as url:
        owners.urls["room"] = url
        async with here.http.ws_connect("/pcm/room/ws") as socket:
            await socket.send_bytes(sound(960).tobytes())
            closed = await asyncio.wait_for(socket.receive(), 20)
            assert (closed.type, closed.data) == (WSMsgType.CLOSE, 4503)
            assert "connect again" in (closed.extra or "")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await here.http.ws_connect("/pcm/room/ws")
    assert refused.value.status == 503


async def test_a_frozen_owner_is_left_once_the_room_is_not_its_own(pair: Pair) -> None:
    here, _, owners = pair

    async def freeze(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(timeout=0.1)
        await socket.prepare(request)
        await asyncio.get_running_loop().create_future()
        return socket

    async with serving(freeze) as url:
        owners.urls["room"] = url
        async with here.http.ws_connect("/pcm/room/ws") as socket:
            await socket.send_bytes(sound(960).tobytes())
            del owners.urls["room"]
            closed = await asyncio.wait_for(socket.receive(), 20)
            assert (closed.type, closed.data) == (WSMsgType.CLOSE, 4503)


async def test_a_token_in_the_address_goes_on_as_a_header(tmp_path: Path) -> None:
    async with two_ingests(tmp_path, "secret") as (here, owner, _):
        origin = {"Origin": here.url}
        async with here.http.ws_connect("/pcm/room/ws?token=secret&speaker=Ada", headers=origin) as socket:
            await socket.send_bytes(sound(960).tobytes())
            await until(lambda: len(owner.seen) == 1)
        (request,) = owner.seen
        assert request.headers["Authorization"] == "Bearer secret"
        assert dict(request.query) == {"speaker": "Ada"}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await here.http.ws_connect("/pcm/room/ws?token=wrong")
        assert refused.value.status == 403
        assert len(owner.seen) == 1
