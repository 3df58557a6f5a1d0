"""An ingest on a port of its own, and those who send PCM to it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import guard
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
from workers.storyteller import Storyteller
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore

RATE = 48_000
FADE = RATE // 200


class Server:
    """The ingest's routes on a free port, in the test's own loop."""

    def __init__(self, data: Path, token: str | None = None, **settings: Any) -> None:  # noqa: ANN401
        metrics = Metrics(CollectorRegistry())
        self.hub = MemoryHub()
        rooms = RoomStore(DiskObjects(data))
        store = TakeStore(data / "takes")
        keeper = TakeKeeper(store, Storyteller(store, Stories(DiskObjects(data)), rooms), metrics)
        self.ingest = Ingest(self.hub, rooms, keeper, IngestSettings("f", **settings), metrics)
        app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
        guard(app, TokenGate(token))
        add_routes(app, self.ingest, rooms)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        self.port = 0
        self.http: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        await self.ingest.start()
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")

    async def stop(self) -> None:
        await self.http.close()
        await self.ingest.stop()
        await self._runner.cleanup()

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:  # noqa: ANN401
        async with self.http.request(method, path, **more) as answer:
            text = await answer.text()
            assert text.count("\n") == (1 if text else 0)
            return answer.status, json.loads(text) if text else None

    async def curl(self, *args: str, stdin: int | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "curl", "-sS", *args, stdin=stdin, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )

    def bus(self, room: str = "room") -> TakeBus:
        (found,) = [bus for bus in self.hub.live() if bus.key.room == room and bus.ended is None]
        return found

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def is_live(server: Server, room: str = "room") -> bool:
    return server.ingest.live(room) is not None


def present(server: Server, room: str = "room") -> list[str | None]:
    """The names of all who are in the take."""
    live = server.ingest.live(room)
    return [] if live is None else [speaker.name for speaker in live.speakers]
