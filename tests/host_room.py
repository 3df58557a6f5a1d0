"""A server with one room, its host, and voices by WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import numpy as np
from aiohttp import WSMsgType, web
from prometheus_client import CollectorRegistry

from contracts.access import Grant, guard
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.take import TakeEvent
from contracts.tokens import Keys, TokenGate
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

FAR = 4_000_000_000
KEYS = Keys({"k": b"k" * 32})
# Whatever a path, a query or JSON could stumble over.
AWKWARD = 'Ada/Bob %2F "x" ?&#+; \u00dc\u200d\U0001f680'


def token(role: str, name: str | None = None, token_id: str | None = None) -> str:
    return KEYS.sign(Grant(role, "room", name, token_id), FAR)  # type: ignore[arg-type]


HOST = {"Authorization": f"Bearer {token('host', 'Hilda')}"}


class Room:
    """A server with one room in it, and its host. Everybody else is a `Voice`."""

    def __init__(self, data: Path) -> None:
        metrics = Metrics(CollectorRegistry())
        self.metrics = metrics
        self.hub = MemoryHub()
        self.rooms = rooms = RoomStore(DiskObjects(data))
        store = TakeStore(data / "takes")
        keeper = TakeKeeper(store, Storyteller(store, Stories(DiskObjects(data)), rooms), metrics)
        self.ingest = Ingest(self.hub, rooms, keeper, IngestSettings("f", max_speakers=3), metrics)
        app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
        guard(app, TokenGate(keys=KEYS))
        add_routes(app, self.ingest, rooms, listeners_of=lambda room: 17 if room == "room" else 0)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
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
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{self._runner.addresses[0][1]}")

    async def stop(self) -> None:
        await self.http.close()
        await self.ingest.stop()
        await self._runner.cleanup()

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:  # noqa: ANN401
        async with self.http.request(method, f"/rooms/room{path}", headers=HOST, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    @property
    def bus(self) -> TakeBus:
        (found,) = [bus for bus in self.hub.live() if bus.ended is None]
        return found

    @property
    def events(self) -> list[TakeEvent]:
        return list(self.bus.events_from(0))

    def lately(self) -> set[int]:
        """The samples of the last 20 ms of the take, if there is one."""
        if self.ingest.live("room") is None:
            return set()
        return set(self.bus.read(max(self.bus.top - 960, 0), self.bus.top).ravel().tolist())

    async def hears(self, *values: int) -> None:
        """Wait until nothing but `values` is heard."""
        async with asyncio.timeout(30):
            while self.lately() != set(values):  # noqa: ASYNC110 - the bus tells nobody
                await asyncio.sleep(0.01)

    @contextlib.asynccontextmanager
    async def voice(self, value: int, query: str = "", shown: str = "") -> AsyncIterator[Voice]:
        """Somebody who says `value` again and again, as it is."""
        shown = shown or token("speaker")
        path = f"/pcm/room/ws?sound=as-is&token={shown}&{query}"
        async with self.http.ws_connect(path, headers={"Content-Type": "audio/x-raw"}) as line:
            talking = asyncio.create_task(_talk(line, value))
            try:
                yield Voice(line)
            finally:
                talking.cancel()
                await asyncio.gather(talking, return_exceptions=True)


class Voice:
    """One line into the room."""

    def __init__(self, line: aiohttp.ClientWebSocketResponse) -> None:
        self.line = line

    async def closed(self) -> tuple[int, str]:
        """The code and the reason with which the server closes it."""
        message = await asyncio.wait_for(self.line.receive(), 30)
        assert message.type == WSMsgType.CLOSE
        return message.data, message.extra or ""


async def _talk(line: aiohttp.ClientWebSocketResponse, value: int) -> None:
    # 20 ms of stereo a message, as LiveKit's pipeline cuts it, and half a second ahead of time.
    message = np.full((960, 2), value, "<i2").tobytes()
    began = asyncio.get_running_loop().time()
    for index in range(10_000):
        await asyncio.sleep(began + index * 0.02 - 0.5 - asyncio.get_running_loop().time())
        await line.send_bytes(message)
