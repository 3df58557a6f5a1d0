"""An app of aiohttp on a port of its own, in the loop of the test that asks it."""

from __future__ import annotations

from typing import Self

import aiohttp
from aiohttp import web


class Served:
    """Begins to listen when it is entered; `http` is a client of it."""

    http: aiohttp.ClientSession

    def __init__(self, app: web.Application, *, cancels: bool = False) -> None:
        """`cancels`: a handler is cancelled when whoever asked leaves."""
        self._runner = web.AppRunner(app, shutdown_timeout=1, handler_cancellation=cancels)
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        self.http = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")

    async def stop(self) -> None:
        await self.http.close()
        await self._runner.cleanup()
