"""Routes that anybody may read from any web page: GET, HEAD and the preflight of CORS.

What a room is heard by has a second address, `/p/{listen}` before the first (`origin.signed`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from contracts.access import SIGNED
from contracts.errors import StorageUnavailable
from contracts.http import KIND
from contracts.listen import LISTEN_PREFIX
from origin.cache_policy import CACHE_CONTROL, Kind
from origin.representation import SERVER
from origin.signed import let_in

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PREFLIGHT: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    # Players add Range and conditional fields; a page of somebody else's may add what it likes.
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
    "Cache-Control": CACHE_CONTROL[Kind.PREFLIGHT],
    "Server": SERVER,
}


def add_public(app: web.Application, path: str, handler: _Handler) -> None:
    """Route GET, HEAD and OPTIONS of `path`, and of its signed form where it has one."""
    if _add(app, path, handler) in SIGNED:
        _add(app, LISTEN_PREFIX + path, let_in(handler))


def add_stored(app: web.Application, path: str, handler: _Handler) -> None:
    """The same for what comes from a storage: where that lies, and what it said, is not for everybody."""

    async def discreet(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except StorageUnavailable:
            # `/readyz` says why. A disk is none of a listener's doing either: never 507.
            raise StorageUnavailable("the storage gives no answer: try again in a moment") from None

    add_public(app, path, discreet)


def _add(app: web.Application, path: str, handler: _Handler) -> str:
    """The three; the path as the router spells it."""
    resource = app.router.add_resource(path)
    resource.add_route("GET", handler)
    resource.add_route("HEAD", handler)
    resource.add_route("OPTIONS", preflight)
    return resource.canonical


async def preflight(request: web.Request) -> web.Response:
    """Yes to every web page."""
    request[KIND] = Kind.PREFLIGHT
    return web.Response(status=204, headers=_PREFLIGHT)
