"""The ingest's routes."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from storage.rooms import RoomStore
from workers.http_listen import ListenTokenHandlers
from workers.http_pcm import PcmHandlers
from workers.http_replays import ReplayHandlers
from workers.http_rooms import RoomHandlers
from workers.ingest import Ingest
from workers.relay import Relay


def add_routes(
    app: web.Application,
    ingest: Ingest,
    rooms: RoomStore,
    *,
    listeners_of: Callable[[str], int] = lambda _: 0,
    replays: ReplayHandlers | None = None,
    relay: Relay | None = None,
) -> None:
    """Let speakers and hosts in through `app`; errors, and who may, are left to its middleware.

    `listeners_of` counts those who listen to a room, where they can be counted; `replays` are there where
    takes are kept; `relay` leads to other ingests, where there are any, and ends with the app.
    """
    PcmHandlers(ingest, relay).add_routes(app)
    RoomHandlers(ingest, rooms, listeners_of, relay).add_routes(app)
    ListenTokenHandlers(ingest.metrics.listen_tokens).add_routes(app)
    if relay is not None:
        _end_with(app, relay)
    if replays is not None:
        replays.add_routes(app)


def _end_with(app: web.Application, relay: Relay) -> None:
    async def end(_app: web.Application) -> None:
        relay.end()

    async def close(_app: web.Application) -> None:
        await relay.close()

    app.on_shutdown.append(end)
    app.on_cleanup.append(close)
