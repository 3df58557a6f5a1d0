"""An ingest on a port of its own, and those who send PCM to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.tokens import TokenGate
from storage.disk_objects import DiskObjects
from storage.rooms import RoomStore
from storage.stories import Stories
from tests.served import Served
from workers.bus import TakeBus
from workers.http_app import add_routes
from workers.ingest import Ingest, IngestSettings
from workers.memory_bus import MemoryHub
from workers.storyteller import Storyteller
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore

RATE = 48_000
FADE = RATE // 200


class Server(Served):
    """The ingest's routes."""

    def __init__(
        self,
        data: Path,
        gate: TokenGate | None = None,
        listeners_of: Callable[[str], int] = lambda _: 0,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self.metrics = metrics = Metrics(CollectorRegistry())
        self.hub = MemoryHub()
        self.rooms = rooms = RoomStore(DiskObjects(data))
        store = TakeStore(data / "takes")
        keeper = TakeKeeper(store, Storyteller(store, Stories(DiskObjects(data)), rooms), metrics)
        self.ingest = Ingest(self.hub, rooms, keeper, IngestSettings("f", **settings), metrics)
        app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
        guard(app, gate or TokenGate())
        add_routes(app, self.ingest, rooms, listeners_of=listeners_of)
        super().__init__(app)

    async def start(self) -> None:
        await self.ingest.start()
        await super().start()

    async def stop(self) -> None:
        await self.ingest.stop()
        await super().stop()

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
