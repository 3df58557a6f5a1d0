"""A Varnish edge before what names two lengths of one answer: who believes the longer one waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

import pytest
import pytest_asyncio
from aiohttp import web

from tests.edge_stage import StandIn, edge_before, fetch, stand_in
from tests.edges import Edge

pytestmark = [
    pytest.mark.needs("varnishd", "vmod_digest"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
_NUMBERS = count()


async def answer_with_two_lengths(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = "" if head.startswith(b"GET /readyz") else "Content-Length: 500\r\n"
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{lengths}Connection: close\r\n\r\nsound".encode())
    await writer.drain()
    writer.close()


@asynccontextmanager
async def two_lengths() -> AsyncIterator[str]:
    """An origin of which all but its readiness is nonsense; its URL."""
    server = await asyncio.start_server(answer_with_two_lengths, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Edge, StandIn]]:
    """An edge before such an origin, and its sister, which is as it should be."""
    async with AsyncExitStack() as stack:
        broken = await stack.enter_async_context(two_lengths())
        sister = await stack.enter_async_context(stand_in())
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before("varnish", [broken, sister.url], directory))
        yield edge, sister


def piece() -> str:
    """An address that nobody has asked for."""
    return f"/live/room/20260101T000000Z-abc234/64k/{next(_NUMBERS)}.m4s"


async def test_an_answer_with_two_lengths_is_taken_for_none_and_the_sister_is_asked(
    behind: tuple[Edge, StandIn],
) -> None:
    edge, sister = behind
    path = piece()
    sister.says(path, "as it is", Cache_Control="public, max-age=60")
    answer = await fetch(edge.url + path)
    assert (answer.status, answer.text) == (200, "as it is")
    assert sister.paths() == [path]


async def test_without_a_sister_the_edge_says_at_once_that_there_is_no_answer(
    behind: tuple[Edge, StandIn],
) -> None:
    edge, sister = behind
    path = piece()
    sister.answers[path] = hang_up
    async with asyncio.timeout(20):
        answer = await fetch(edge.url + path)
    assert (answer.status, answer.error) == (503, "no origin answers: try again in a moment")
    assert sister.paths()[-1] == path


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
