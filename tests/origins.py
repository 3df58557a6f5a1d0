"""A running origin for tests, with workers' and listeners' sides of its HTTP, and real parts to feed it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO

import aiohttp
import numpy as np
from aiohttp import web
from multidict import CIMultiDictProxy
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import Rendition, TakeHeader, TakeKey, TakeSettings
from contracts.tokens import Keys, TokenGate
from origin.app import Rooms, add_routes
from origin.cache_policy import error_cache_control
from origin.connection import OriginRunner
from origin.journal import Journal
from origin.service import Origin, OriginLimits
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.segmenter import EncodedPart, Segmenter
from tests.takes import EPOCH_US

ROOM = "room"
TAKE = "20260101T000000Z-abc234"
KEY = TakeKey(ROOM, TAKE)


@lru_cache(maxsize=16)
def encoded(settings: TakeSettings, first: int, stop: int) -> tuple[EncodedPart, ...]:
    """Segments [first, stop) of noise that swells, as the segmenter makes them."""
    segmenter = Segmenter(settings, first)
    random = np.random.default_rng(first)
    parts: list[EncodedPart] = []
    while not parts or parts[-1].msn < stop:
        noise = random.integers(-4000, 4000, (48_000, settings.channels), dtype=np.int16)
        parts += segmenter.push(noise)
    return tuple(part for part in parts if part.msn < stop)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def error(self) -> str:
        """The message of an error, which is one line of JSON."""
        assert self.body.endswith(b"\n")
        assert self.body.count(b"\n") == 1
        message = json.loads(self.body)["error"]
        assert isinstance(message, str)
        return message

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@dataclass
class RunningOrigin:
    """One take's view of a running origin."""

    url: str
    origin: Origin
    session: aiohttp.ClientSession
    settings: TakeSettings
    first: int = 0
    take: str = TAKE
    put_so_far: Position = field(default=Position(0, 0))
    segments: int = 14
    """How many there are to feed."""

    async def request(self, method: str, path: str, **more: object) -> Answer:
        async with self.session.request(method, self.url + path, **more) as response:  # type: ignore[arg-type]
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        """`path` is absolute, or relative to the take's first rendition."""
        if not path.startswith("/"):
            path = f"{self.line()}/{path}"
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("GET", path, headers=fields)

    async def playlist(self, query: str = "", rendition: str | None = None) -> Answer:
        return await self.get(f"{self.line(rendition)}/index.m3u8{query}")

    def line(self, rendition: str | None = None) -> str:
        return f"/live/{ROOM}/{self.take}/{rendition or self.settings.renditions[0].name}"

    async def put(self, path: str, data: bytes, method: str = "PUT") -> Answer:
        # aiohttp's client warns of large bodies that are not files.
        body = BytesIO(data) if len(data) > 2**19 else data
        return await self.request(method, f"/publish/{ROOM}/{self.take}/{path}", data=body)

    async def begin(self) -> None:
        header = TakeHeader(EPOCH_US, self.settings, "0" * 64)
        assert (await self.put("take.json", json.dumps(header.to_json()).encode())).status == 201
        for rendition in self.settings.renditions:
            data = init_segment(self.settings, rendition)
            assert (await self.put(f"{rendition.name}/init.mp4", data)).status == 201

    async def feed(self, stop: tuple[int, int], renditions: tuple[str, ...] | None = None) -> None:
        """Put every part up to `stop`, which is left out."""
        grid = Grid(self.settings.parts)
        reached = max(self.put_so_far, Position(self.first, 0))
        for part in encoded(self.settings, self.first, self.first + self.segments):
            position = Position(part.msn, part.part)
            if reached <= position < Position(*stop) and (renditions is None or part.rendition in renditions):
                answer = await self.put(f"{part.rendition}/{part.msn}.{part.part}.m4s", part.data)
                assert answer.status == 201, answer
        if renditions is None:
            self.put_so_far = Position(*stop)
        assert grid.parts > stop[1]

    def part(self, msn: int, part: int, rendition: str | None = None) -> bytes:
        name = rendition or self.settings.renditions[0].name
        wanted = (name, msn, part)
        parts = encoded(self.settings, self.first, self.first + self.segments)
        return next(made.data for made in parts if (made.rendition, made.msn, made.part) == wanted)

    def segment(self, msn: int, rendition: str | None = None) -> bytes:
        return b"".join(self.part(msn, part, rendition) for part in range(self.settings.parts))

    @property
    def blocked(self) -> int:
        value = self.origin.metrics.registry.get_sample_value("longwave_blocked_listeners")
        assert value is not None
        return int(value)


def settings(*renditions: str, parts: int = 5, channels: int = 1) -> TakeSettings:
    names = renditions or ("64k",)
    return TakeSettings(channels, parts, tuple(Rendition(name) for name in names))


@asynccontextmanager
async def running(
    take: TakeSettings | None = None,
    *,
    limits: OriginLimits | None = None,
    token: str | None = None,
    keys: Keys | None = None,
    journal: Journal | None = None,
    clock: Callable[[], float] | None = None,
    first: int = 0,
    rooms: Callable[[Origin], Rooms] = lambda _: Rooms(),
) -> AsyncIterator[RunningOrigin]:
    """An origin on a free port; `rooms` gives what is known of its rooms."""
    metrics = Metrics(CollectorRegistry())
    clocked = {} if clock is None else {"clock": clock}
    origin = Origin(limits or OriginLimits(), metrics, journal=journal, **clocked)
    app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)])
    guard(app, TokenGate(token, keys))
    add_routes(app, origin, rooms=rooms(origin), pages={})
    runner = OriginRunner(app, metrics, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    connector = aiohttp.TCPConnector(limit=0)
    quiet = {"skip_auto_headers": ["Accept-Encoding"], "auto_decompress": False}
    try:
        async with aiohttp.ClientSession(connector=connector, **quiet) as session:  # type: ignore[arg-type]
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield RunningOrigin(url, origin, session, take or settings(), first)
    finally:
        origin.drain()
        await runner.cleanup()


@asynccontextmanager
async def on_the_air(upto: tuple[int, int]) -> AsyncIterator[RunningOrigin]:
    """An origin with a take of which all is there that lies before `upto`, as (msn, part)."""
    async with running() as origin:
        await origin.begin()
        await origin.feed(upto)
        yield origin
