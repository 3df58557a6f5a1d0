"""The ingest's routes."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from storage.rooms import RoomStore
from workers.http_pcm import PcmHandlers
from workers.http_replays import ReplayHandlers
from workers.http_rooms import RoomHandlers
from workers.ingest import Ingest


def add_routes(
    app: web.Application,
    ingest: Ingest,
    rooms: RoomStore,
    *,
    listeners_of: Callable[[str], int] = lambda _: 0,
    replays: ReplayHandlers | None = None,
) -> None:
    """Let speakers and hosts in through `app`; errors, and who may, are left to its middleware.

    `listeners_of` counts those who listen to a room, where they can be counted; `replays` are there where
    takes are kept.
    """
    PcmHandlers(ingest).add_routes(app)
    RoomHandlers(ingest, rooms, listeners_of).add_routes(app)
    if replays is not None:
        replays.add_routes(app)
