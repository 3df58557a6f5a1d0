"""A server with one room, its host, and voices by WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from aiohttp import WSMsgType

from contracts.access import Grant
from contracts.take import TakeEvent
from contracts.tokens import Keys, TokenGate
from tests.ingest_server import Server

FAR = 4_000_000_000
KEYS = Keys({"k": b"k" * 32})
# Whatever a path, a query or JSON could stumble over.
AWKWARD = 'Ada/Bob %2F "x" ?&#+; \u00dc\u200d\U0001f680'


def token(role: str, name: str | None = None, token_id: str | None = None) -> str:
    return KEYS.sign(Grant(role, "room", name, token_id), FAR)  # type: ignore[arg-type]


HOST = {"Authorization": f"Bearer {token('host', 'Hilda')}"}


class Room(Server):
    """A server with one room in it, and its host. Everybody else is a `Voice`."""

    def __init__(self, data: Path) -> None:
        gate = TokenGate(keys=KEYS)
        super().__init__(data, gate, lambda room: 17 if room == "room" else 0, max_speakers=3)

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:  # noqa: ANN401
        return await super().ask(method, f"/rooms/room{path}", headers=HOST, **more)

    @property
    def events(self) -> list[TakeEvent]:
        return list(self.bus().events_from(0))

    def lately(self) -> set[int]:
        """The samples of the last 20 ms of the take, if there is one."""
        if self.ingest.live("room") is None:
            return set()
        bus = self.bus()
        return set(bus.read(max(bus.top - 960, 0), bus.top).ravel().tolist())

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
