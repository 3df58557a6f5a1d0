"""What every client of an origin does, in process and over HTTP, and what HTTP adds."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.errors import (
    BytesConflict,
    Forbidden,
    LongwaveError,
    MalformedMedia,
    MediaMissing,
    OriginUnavailable,
    OutOfOrder,
    OverLimit,
    TakeEnded,
    Unauthorized,
    UnknownTake,
)
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import RenditionState, TakeEvent, TakeKey, TakeState
from contracts.tokens import TokenGate
from longwave.local_origin import LocalOrigin
from origin.app import add_routes
from origin.cache_policy import error_cache_control
from origin.service import Origin, OriginLimits
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests import takes
from tests.publishing import KEY, MemoryOrigin, encoded, until
from workers.http_origin import HttpOrigin
from workers.origin_client import OriginClient
from workers.publisher import Publisher

GRID = Grid(5)
HEADER = takes.header()
INIT = init_segment(HEADER.settings, HEADER.settings.renditions[0])


class OriginServer:
    """A real origin app on a port of its own, that can be killed and started again on the same one."""

    def __init__(self, token: str | None = None, limits: OriginLimits | None = None) -> None:
        self.port = 0
        self.origin: Origin | None = None
        self._token = token
        self._limits = limits or OriginLimits()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        metrics = Metrics(CollectorRegistry())
        self.origin = Origin(self._limits, metrics)
        app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)])
        guard(app, TokenGate(self._token))
        add_routes(app, self.origin, pages={})
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def reached(self) -> Position | None:
        assert self.origin is not None
        with contextlib.suppress(UnknownTake):
            there = self.origin.state(KEY).renditions["64k"]
            return None if there.first is None else there.next
        return None


@pytest.fixture
async def server() -> AsyncIterator[OriginServer]:
    server = OriginServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def guarded() -> AsyncIterator[OriginServer]:
    server = OriginServer(token="secret")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(params=["in process", "over HTTP"])
async def client(request: pytest.FixtureRequest, server: OriginServer) -> AsyncIterator[OriginClient]:
    assert server.origin is not None
    client: OriginClient = (
        LocalOrigin(server.origin) if request.param == "in process" else HttpOrigin(server.url)
    )
    yield client
    await client.close()


async def begin(client: OriginClient) -> None:
    await client.put_take(KEY, HEADER)
    await client.put_init(KEY, "64k", INIT)


async def put(client: OriginClient, msn: int, part: int, unit: bytes = b"\x01" * 8) -> None:
    await client.put_part(KEY, "64k", msn, part, takes.part(GRID, msn, part, unit))


# ---------------------------------------------------------------- every client


async def test_a_take_goes_from_its_header_to_its_end(client: OriginClient) -> None:
    await begin(client)
    await client.put_segment(KEY, "64k", 3, takes.segment(GRID, 3))
    await client.put_gap(KEY, "64k", 4)
    await put(client, 5, 0)
    await client.put_event(KEY, TakeEvent(5 * 96_000, 0, "chapter", title="Fünf"))
    await client.put_event(KEY, TakeEvent(5 * 96_000, 1, "speakers", speakers=("Ada", "Bob")))
    assert await client.state(KEY) == TakeState({"64k": RenditionState(3, Position(5, 1), (4,))}, None)
    await client.end(KEY, 5 * 96_000 + 18_000)
    assert (await client.state(KEY)).end == 5 * 96_000 + 18_000


async def test_everything_twice_changes_nothing(client: OriginClient) -> None:
    for _ in range(2):
        await begin(client)
    for _ in range(2):
        await put(client, 0, 0)
    for _ in range(2):
        await client.put_gap(KEY, "64k", 0)
    for _ in range(2):
        await client.put_segment(KEY, "64k", 1, takes.segment(GRID, 1))
    for _ in range(2):
        await client.end(KEY, 2 * 96_000)
    assert await client.state(KEY) == TakeState({"64k": RenditionState(0, Position(2, 0), (0,))}, 2 * 96_000)


async def test_nothing_comes_before_take_json(client: OriginClient) -> None:
    for request in (
        client.put_init(KEY, "64k", INIT),
        put(client, 0, 0),
        client.put_segment(KEY, "64k", 0, takes.segment(GRID, 0)),
        client.put_gap(KEY, "64k", 0),
        client.put_event(KEY, TakeEvent(0, 0, "chapter", title="One")),
        client.end(KEY, 0),
        client.state(KEY),
    ):
        with pytest.raises(UnknownTake):
            await request


async def test_what_is_missing_is_said(client: OriginClient) -> None:
    await begin(client)
    await put(client, 7, 0)
    with pytest.raises(OutOfOrder) as refused:
        await put(client, 7, 2)
    assert refused.value.expected == Position(7, 1)
    with pytest.raises(MediaMissing) as missing:
        await client.end(KEY, 8 * 96_000)
    assert missing.value.expected == Position(7, 1)


async def test_other_bytes_are_refused(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    with pytest.raises(BytesConflict):
        await put(client, 0, 0, b"other")
    with pytest.raises(BytesConflict):
        await client.put_take(KEY, takes.header(parts=4))


async def test_malformed_media_is_refused(client: OriginClient) -> None:
    await begin(client)
    with pytest.raises(MalformedMedia):
        await client.put_part(KEY, "64k", 0, 0, b"no boxes")


async def test_nothing_comes_after_the_end(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    await client.end(KEY, 10_000)
    with pytest.raises(TakeEnded):
        await put(client, 0, 1)


async def test_what_it_serves_of_a_segment_can_be_had_and_nobody_waits_for_the_rest(
    client: OriginClient,
) -> None:
    await begin(client)
    await client.put_segment(KEY, "64k", 3, takes.segment(GRID, 3))
    await put(client, 4, 0)
    await put(client, 4, 1)
    await client.put_gap(KEY, "64k", 4)
    await client.put_gap(KEY, "64k", 5)
    await put(client, 6, 0)
    there = {msn: await client.parts_of(KEY, "64k", msn) for msn in range(2, 9)}
    assert there == {
        2: (),
        3: tuple(takes.part(GRID, 3, part) for part in range(5)),
        4: tuple(takes.part(GRID, 4, part) for part in range(2)),  # broken off, and served a while longer
        5: (),
        6: (takes.part(GRID, 6, 0),),  # the part that follows is hinted: a request for it would be held
        7: (),
        8: (),
    }


async def test_of_what_it_does_not_know_nothing_can_be_had(client: OriginClient) -> None:
    assert await client.parts_of(KEY, "64k", 0) == ()
    await begin(client)
    assert await client.parts_of(KEY, "64k", 0) == ()
    assert await client.parts_of(KEY, "96k", 0) == ()


async def test_a_take_that_is_forgotten_is_gone_and_forgetting_it_twice_is_fine(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    for _ in range(2):
        await client.forget(KEY)
    with pytest.raises(UnknownTake):
        await client.state(KEY)
    assert await client.parts_of(KEY, "64k", 0) == ()


async def test_an_origin_that_is_being_filled_takes_nothing_and_does_not_say_what_it_has(
    client: OriginClient, server: OriginServer
) -> None:
    """Whoever asked would begin too early, or take for lost what is on its way."""
    assert server.origin is not None
    await begin(client)
    await put(client, 0, 0)
    server.origin.being_filled = True
    for request in (client.state(KEY), client.parts_of(KEY, "64k", 0), put(client, 0, 1), client.forget(KEY)):
        with pytest.raises(OverLimit, match="being filled"):
            await request
    server.origin.being_filled = False
    assert await client.parts_of(KEY, "64k", 0) == (takes.part(GRID, 0, 0),)


async def test_the_short_last_segment_can_be_had(client: OriginClient) -> None:
    await begin(client)
    await put(client, 0, 0)
    await client.end(KEY, 10_000)
    assert await client.parts_of(KEY, "64k", 0) == (takes.part(GRID, 0, 0),)


# ---------------------------------------------------------------- over HTTP


async def test_an_origin_out_of_reach_is_not_one_that_has_nothing(server: OriginServer) -> None:
    client = HttpOrigin(server.url)
    await server.stop()
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


async def test_an_origin_that_is_killed_and_comes_back_empty_is_filled_again(server: OriginServer) -> None:
    steady = MemoryOrigin("steady")
    publisher = Publisher([HttpOrigin(server.url), steady], Metrics(CollectorRegistry()))
    log = publisher.open(KEY, HEADER, 0)
    for part in encoded((0, 0), (3, 2)):
        log.append([part])
    await until(lambda: server.reached() == Position(3, 2))
    await server.stop()
    for part in encoded((3, 2), (5, 1)):
        log.append([part])
        await asyncio.sleep(0.005)
    assert steady.reached() == Position(5, 1)
    await server.start()
    for part in encoded((5, 1), (6, 0)):
        log.append([part])
    await until(lambda: server.reached() == Position(6, 0))
    publisher.finish(KEY, 6 * 96_000)
    await publisher.delivered(KEY)
    assert server.origin is not None
    window = server.origin.line(KEY.room, KEY.take, "64k").window
    assert {segment.msn: window.segment_bytes(segment.msn) for segment in window.segments} == steady.media()
    await publisher.stop()
