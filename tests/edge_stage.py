"""What tests of edges share: an edge before real origins, one before a stand-in, and what each was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from origin.service import OriginLimits
from tests.edge_waiting import all_inside
from tests.edges import Edge, Tls, running_edge, wait_for
from tests.origins import Answer, RunningOrigin, running, settings

PROGRAMS: Final = (
    pytest.param(
        "varnish",
        marks=pytest.mark.needs("varnishd", "varnishncsa", "varnishstat", "varnishlog", "vmod_digest"),
    ),
    pytest.param("nginx", marks=pytest.mark.needs("nginx", "njs")),
)
"""For tests of what listeners and origins may rely on, whichever program an edge is made of."""
OVER: Final = {"varnish": 1.1, "nginx": 2.1}
"""Seconds after which an answer is over that was good for one: nginx counts in whole ones."""
_SECONDS = count()


def fresh_take() -> str:
    """An id that no other test has."""
    return f"20260101T{next(_SECONDS):06d}Z-abc234"


@dataclass
class Stage:
    """An edge and the origins behind it, for a whole module of tests."""

    edge: Edge
    origins: Sequence[RunningOrigin]

    async def take(self, stop: tuple[int, int] = (3, 2)) -> tuple[RunningOrigin, RunningOrigin]:
        """A new take, fed up to `stop` on every origin: as the first origin sees it, and through the edge."""
        name = fresh_take()
        takes = [replace(origin, take=name) for origin in self.origins]
        for take in takes:
            await take.begin()
            await take.feed(stop)
        return takes[0], replace(takes[0], url=self.edge.url)

    async def crowd(self, through: RunningOrigin, path: str, size: int) -> list[asyncio.Task[Answer]]:
        """So many who ask for the same, which is not there yet: all of them have arrived."""
        return await all_inside(self.edge, (through.get(path) for _ in range(size)))


@asynccontextmanager
async def real_stage(
    program: str, directory: Path, origins: int = 1, *, limits: OriginLimits | None = None
) -> AsyncIterator[Stage]:
    """An edge before that many real origins."""
    async with AsyncExitStack() as stack:
        behind = [await stack.enter_async_context(running(settings(), limits=limits)) for _ in range(origins)]
        edge = await stack.enter_async_context(edge_before(program, [one.url for one in behind], directory))
        yield Stage(edge, behind)


@asynccontextmanager
async def edge_before(
    program: str,
    origins: Sequence[str],
    directory: Path,
    *,
    tls: Tls | None = None,
    keys: Sequence[tuple[str, str]] = (),
    **options: str,
) -> AsyncIterator[Edge]:
    """An edge that starts while the event loop, and so the origins in it, go on."""
    context = running_edge(program, origins, directory, tls=tls, keys=keys, **options)
    edge = await asyncio.to_thread(context.__enter__)
    try:
        yield edge
    finally:
        await asyncio.to_thread(context.__exit__, None, None, None)


def asked(origin: RunningOrigin, *kinds: str) -> int:
    """How many requests for answers of these kinds an origin has answered."""
    families = {family.name: family for family in origin.origin.metrics.registry.collect()}
    samples = families["longwave_http_requests"].samples
    return int(sum(s.value for s in samples if s.name.endswith("_total") and s.labels["kind"] in kinds))


async def until(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """As `wait_for`, while the event loop goes on."""
    await asyncio.to_thread(wait_for, condition, what, seconds)


async def until_answered(through: RunningOrigin, path: str, status: int, seconds: float = 20.0) -> Answer:
    """The first answer with that status, asked for again and again."""
    async with asyncio.timeout(seconds):
        while True:
            answer = await through.get(path)
            if answer.status == status:
                return answer
            await asyncio.sleep(0.05)


async def answers_of(through: RunningOrigin, path: str, seconds: float) -> AsyncIterator[Answer]:
    """One answer after the other, for so long."""
    async with asyncio.timeout(seconds):
        while True:
            yield await through.get(path)
            await asyncio.sleep(0.02)


@dataclass
class Asked:
    """What a stand-in was asked."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class StandIn:
    """An origin that answers what it is told, and remembers what it was asked; ready until told otherwise."""

    url: str = ""
    ready: bool = True
    asked: list[Asked] = field(default_factory=list)
    answers: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = field(default_factory=dict)

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [one.path for one in self.asked]

    def says(
        self,
        path: str,
        body: str = "",
        status: int = 200,
        *,
        fields: Mapping[str, str] = MappingProxyType({}),
        **headers: str,
    ) -> None:
        """From now on `path` (with its query) is answered so; `headers` have _ for -."""
        said = {**fields, **{name.replace("_", "-"): value for name, value in headers.items()}}

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=body, status=status, headers=said)

        self.answers[path] = answer

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/readyz":
            return web.Response(status=200 if self.ready else 503)
        self.asked.append(Asked(request.method, request.raw_path, dict(request.headers)))
        answer = self.answers.get(request.raw_path)
        if answer is None:
            return web.Response(status=404, headers={"Cache-Control": "public, max-age=1"})
        return await answer(request)


@asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    """A stand-in on a free port."""
    origin = StandIn()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", origin.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield origin
    finally:
        await runner.cleanup()


async def raw(port: int, head: str) -> bytes:
    """The whole answer to a request whose first line no client has tidied; `head` ends with a line's end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def fetch(url: str, method: str = "GET", **headers: str) -> Answer:
    """One request on a connection of its own, exactly as it is written."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Accept-Encoding"], auto_decompress=False) as session,
        session.request(method, url, headers=fields, allow_redirects=False) as response,
    ):
        return Answer(response.status, response.headers, await response.read())
