"""The least that aiohttp can do for blocked listeners: `python -m benchmarks.bare_server PORT BODY_FILE`.

`GET /wait` waits for the next `POST /release` and answers the file's bytes; `GET /waiting` says how many
wait.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from aiohttp import web


class Release:
    """One future that everybody waits for, and a new one after it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._next: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting = 0

    async def wait(self, _request: web.Request) -> web.Response:
        """Answer when the part is there."""
        self._waiting += 1
        try:
            # Shielded: the future is everybody's, and one listener that leaves must not cancel it.
            await asyncio.shield(self._next)
        finally:
            self._waiting -= 1
        # The headers of a playlist, so that both sides send as much.
        headers = {
            "Cache-Control": "public, max-age=12",
            "Content-Encoding": "gzip",
            "Vary": "Accept-Encoding",
            "Access-Control-Allow-Origin": "*",
            "ETag": '"0123456789abcdef0123456789abcdef"',
        }
        return web.Response(body=self._body, content_type="application/vnd.apple.mpegurl", headers=headers)

    async def release(self, _request: web.Request) -> web.Response:
        """Let everybody go."""
        self._next.set_result(None)
        self._next = asyncio.get_running_loop().create_future()
        return web.Response(status=204)

    async def waiting(self, _request: web.Request) -> web.Response:
        """How many wait."""
        return web.Response(text=str(self._waiting))


async def serve(port: int, body: bytes) -> None:
    """Serve for ever."""
    release = Release(body)
    app = web.Application()
    app.router.add_get("/wait", release.wait)
    app.router.add_post("/release", release.release)
    app.router.add_get("/waiting", release.waiting)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
