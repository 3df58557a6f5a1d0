"""Several ingests in one process, each with its own port, and one truth about who owns which room."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.errors import BusUnavailable, LivesElsewhere
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.tokens import TokenGate
from storage.disk_objects import DiskObjects
from storage.rooms import RoomStore
from storage.stories import Stories
from workers.bus import TakeBus
from workers.http_app import add_routes
from workers.ingest import Ingest, IngestSettings
from workers.memory_bus import MemoryHub
from workers.relay import Relay
from workers.speaker import PcmSpeaker, VoiceSpeaker
from workers.storyteller import Storyteller
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore
from workers.whip.http_whip import add_whip_routes
from workers.whip.settings import WhipSettings

LOOK_SECONDS = 0.02


class Owners:
    """Who owns which room: URLs, by room. While it is `down` nobody can say."""

    def __init__(self, **urls: str) -> None:
        self.urls = urls
        self.down = False
        self.asked = 0

    def elsewhere(self, room: str, me: str) -> str | None:
        self.asked += 1
        if self.down:
            raise BusUnavailable("no bus answers")
        url = self.urls.get(room)
        return None if url == me else url


class OwnedIngest(Ingest):
    """Takes a room that nobody owns, and lets nobody into one of another ingest."""

    owners: Owners
    url = ""

    async def connect(self, room: str, *args: Any, **more: Any) -> PcmSpeaker:  # noqa: ANN401
        self._claim(room)
        return await super().connect(room, *args, **more)

    async def connect_voice(self, room: str, *args: Any, **more: Any) -> VoiceSpeaker:  # noqa: ANN401
        self._claim(room)
        return await super().connect_voice(room, *args, **more)

    def _claim(self, room: str) -> None:
        if self.live(room) is not None:
            return
        url = self.owners.elsewhere(room, self.url)
        if url is not None:
            raise LivesElsewhere(url)
        self.owners.urls[room] = self.url


class IngestServer:
    """One of them: `seen` holds the requests that reached it. `also` adds to its app."""

    def __init__(
        self,
        data: Path,
        owners: Owners,
        token: str | None = None,
        *,
        whip: WhipSettings | None = None,
        also: Callable[[web.Application], None] = lambda _: None,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        metrics = Metrics(CollectorRegistry())
        self.hub = MemoryHub()
        rooms = RoomStore(DiskObjects(data))
        store = TakeStore(data / "takes")
        keeper = TakeKeeper(store, Storyteller(store, Stories(DiskObjects(data)), rooms), metrics)
        self.ingest = OwnedIngest(self.hub, rooms, keeper, IngestSettings("f", **settings), metrics)
        self.believe(owners)
        self.seen: list[web.Request] = []
        app = web.Application(
            middlewares=[error_middleware(lambda _: "no-store", metrics), self._see], client_max_size=0
        )
        guard(app, TokenGate(token))

        async def elsewhere(rooms: Collection[str]) -> dict[str, str | None]:
            return {room: self.ingest.owners.elsewhere(room, self.url) for room in rooms}

        self.relay = Relay(elsewhere, watch_seconds=LOOK_SECONDS)
        add_routes(app, self.ingest, rooms, relay=self.relay)
        add_whip_routes(app, self.ingest, whip or WhipSettings(), metrics, self.relay)
        also(app)
        self.runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1, auto_decompress=False)
        self.port = 0
        self.http: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def believe(self, owners: Owners) -> None:
        """Who owns what, as this one sees it from now on."""
        self.ingest.owners = owners

    async def start(self) -> None:
        await self.ingest.start()
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = self.runner.addresses[0][1]
        self.ingest.url = self.url
        self.http = aiohttp.ClientSession(self.url)

    async def stop(self) -> None:
        await self.http.close()
        await self.runner.cleanup()
        await self.ingest.stop()

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:  # noqa: ANN401
        async with self.http.request(method, path, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    def bus(self, room: str = "room") -> TakeBus:
        (found,) = [bus for bus in self.hub.live() if bus.key.room == room and bus.ended is None]
        return found

    def is_live(self, room: str = "room") -> bool:
        return self.ingest.live(room) is not None

    def present(self, room: str = "room") -> list[str | None]:
        live = self.ingest.live(room)
        return [] if live is None else [speaker.name for speaker in live.speakers]

    @web.middleware
    async def _see(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
        self.seen.append(request)
        answer: web.StreamResponse = await handler(request)
        return answer


@contextlib.asynccontextmanager
async def two_ingests(
    data: Path,
    token: str | None = None,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[tuple[IngestServer, IngestServer, Owners]]:
    """The one that is asked, the one that owns `room`, and who owns what."""
    owners = Owners()
    here, owner = (IngestServer(data / name, owners, token, **settings) for name in ("here", "owner"))
    await here.start()
    await owner.start()
    owners.urls["room"] = owner.url
    try:
        yield here, owner, owners
    finally:
        await here.stop()
        await owner.stop()


@contextlib.asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server whose every answer is `handler`'s; gives its URL."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def read_nothing(_: web.Request) -> web.StreamResponse:
    """What a process does that is frozen."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError
