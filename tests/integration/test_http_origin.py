"""What a client of an origin does over HTTP alone: tokens, ports, timeouts, answers without sense."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.errors import (
    BytesConflict,
    Forbidden,
    LongwaveError,
    OriginUnavailable,
    OverLimit,
    Unauthorized,
    UnknownTake,
)
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeKey
from origin.service import OriginLimits
from tests.origin_server import HEADER, OriginServer, begin
from tests.publishing import KEY, MemoryOrigin, encoded
from tests.waiting import until
from workers.http_origin import HttpOrigin
from workers.publisher import Publisher


@pytest.fixture
async def guarded() -> AsyncIterator[OriginServer]:
    async with OriginServer(token="secret") as made:
        yield made


# ---------------------------------------------------------------- over HTTP


async def test_an_origin_out_of_reach_is_not_one_that_has_nothing(origin_server: OriginServer) -> None:
    client = HttpOrigin(origin_server.url)
    await origin_server.stop()
    with pytest.raises(OriginUnavailable):
        await client.parts_of(KEY, "64k", 0)
    await client.close()


async def test_a_segment_of_nonsense_is_an_error_of_the_origins() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b"<html>")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = HttpOrigin(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with pytest.raises(OriginUnavailable, match="nonsense as segment 3"):
        await client.parts_of(KEY, "64k", 3)
    await client.close()
    await runner.cleanup()


async def test_a_full_origin_says_so() -> None:
    server = OriginServer(limits=OriginLimits(max_takes=1))
    await server.start()
    client = HttpOrigin(server.url)
    try:
        await client.put_take(KEY, HEADER)
        with pytest.raises(OverLimit):
            await client.put_take(TakeKey("other", KEY.take), HEADER)
    finally:
        await client.close()
        await server.stop()


@pytest.mark.parametrize(
    ("token", "error"), [(None, Unauthorized), ("wrong", Forbidden)], ids=["none", "wrong"]
)
async def test_a_token_is_needed_where_there_is_one(
    guarded: OriginServer, token: str | None, error: type[LongwaveError]
) -> None:
    client = HttpOrigin(guarded.url, token=None if token is None else lambda: token)
    with pytest.raises(error):
        await client.put_take(KEY, HEADER)
    await client.close()


async def test_the_right_token_opens(guarded: OriginServer) -> None:
    client = HttpOrigin(guarded.url, token=lambda: "secret")
    await begin(client)
    await client.close()


async def test_a_port_where_nobody_listens_is_an_unavailable_origin() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    client = HttpOrigin(f"http://127.0.0.1:{port}")
    with pytest.raises(OriginUnavailable, match="does not answer"):
        await client.state(KEY)
    await client.close()


async def test_an_origin_that_hangs_is_unavailable_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        client = HttpOrigin(
            f"http://127.0.0.1:{mute.getsockname()[1]}", timeout=aiohttp.ClientTimeout(total=0.1)
        )
        with pytest.raises(OriginUnavailable, match="does not answer"):
            await client.state(KEY)
        await client.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (web.Response(text="<html>"), OriginUnavailable),
        (web.json_response({"renditions": [], "end": None}), OriginUnavailable),
        (web.Response(status=500), OriginUnavailable),
        (web.Response(status=302, headers={"Location": "/"}), OriginUnavailable),
        (web.Response(status=409, text="not JSON"), BytesConflict),
        (web.json_response({"expected": {"msn": "7"}}, status=409), BytesConflict),
        (web.json_response(["error"], status=404), UnknownTake),
    ],
    ids=["html", "other json", "500", "redirect", "409 text", "409 odd", "404 list"],
)
async def test_an_answer_without_sense_is_an_error_of_ours(
    answer: web.Response, error: type[LongwaveError]
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = HttpOrigin(f"http://127.0.0.1:{runner.addresses[0][1]}")
    with pytest.raises(error):
        await client.state(KEY)
    await client.close()
    await runner.cleanup()


def test_its_name_holds_no_password() -> None:
    assert HttpOrigin("http://user:secret@origin.example:8081/base").name == "http://origin.example:8081"


async def test_a_path_in_front_of_the_origin_is_kept() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=201)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    client = HttpOrigin(f"http://127.0.0.1:{runner.addresses[0][1]}/behind/")
    await client.put_gap(KEY, "64k", 7)
    await client.close()
    await runner.cleanup()
    assert seen == [f"/behind/publish/room/{KEY.take}/64k/7.gap"]


# ---------------------------------------------------------------- the publisher over HTTP


async def test_an_origin_that_is_killed_and_comes_back_empty_is_filled_again(
    origin_server: OriginServer,
) -> None:
    steady = MemoryOrigin("steady")
    publisher = Publisher([HttpOrigin(origin_server.url), steady], Metrics(CollectorRegistry()))
    log = publisher.open(KEY, HEADER, 0)
    for part in encoded((0, 0), (3, 2)):
        log.append([part])
    await until(lambda: origin_server.reached() == Position(3, 2))
    await origin_server.stop()
    for part in encoded((3, 2), (5, 1)):
        log.append([part])
        await asyncio.sleep(0.005)
    assert steady.reached() == Position(5, 1)
    await origin_server.start()
    for part in encoded((5, 1), (6, 0)):
        log.append([part])
    await until(lambda: origin_server.reached() == Position(6, 0))
    publisher.finish(KEY, 6 * 96_000)
    await publisher.delivered(KEY)
    assert origin_server.origin is not None
    window = origin_server.origin.line(KEY.room, KEY.take, "64k").window
    assert {segment.msn: window.segment_bytes(segment.msn) for segment in window.segments} == steady.media()
    await publisher.stop()
