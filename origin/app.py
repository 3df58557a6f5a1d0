"""All routes of an origin, added to an aiohttp app.

The app brings `contracts.http.error_middleware(error_cache_control, metrics)`, which turns errors into
their JSON lines, and behind it `contracts.access.guard`, which knows who may use which route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from contracts.take import TakeKey
from origin.http_edges import EdgeHandlers
from origin.http_feed import LookUp
from origin.http_listen import ListenHandlers
from origin.http_live import LiveHandlers
from origin.http_publish import PublishHandlers
from origin.http_replay import ReplayHandlers, add_no_replays
from origin.http_status import add_status
from origin.http_window import WindowHandlers
from origin.lobby import LobbyHandlers, TitleOf
from origin.pages import Page, PageHandlers, load_pages
from origin.replays import Replays
from origin.representation import SERVER
from origin.service import Origin
from origin.signed import count_refusals
from origin.whereabouts import Whereabouts
from storage.rooms import RoomRecord

_SWEEP_SECONDS: Final = 1.0


async def _nobody_says(_: str) -> RoomRecord | None:
    return None


@dataclass(frozen=True, slots=True)
class Rooms:
    """What is known of rooms beside their takes.

    `title_of` gives a room's title (None: not listed; by default its id), `look_up` what its host says of
    it, `whereabouts` who listens to it and where (by default here alone).
    """

    title_of: TitleOf = str
    look_up: LookUp = _nobody_says
    whereabouts: Whereabouts | None = None


def add_routes(
    app: web.Application,
    origin: Origin,
    *,
    rooms: Rooms | None = None,
    degraded: Callable[[], list[str]] = list,
    replays: Replays | None = None,
    pages: dict[str, Page] | None = None,
) -> None:
    """Add everything that an origin answers.

    `rooms` tells what is known of rooms (by default nothing), `degraded` what else in the process does not
    work, `replays` those of a storage (they are closed with the app), `pages` the web pages (by default those
    of `origin/web`).
    """
    rooms = rooms or Rooms()
    where = rooms.whereabouts or Whereabouts(origin)
    app.on_response_prepare.append(_name_server)
    count_refusals(app, origin.metrics.listen_tokens)
    LiveHandlers(origin).add_routes(app)
    PublishHandlers(origin).add_routes(app)
    WindowHandlers(origin, _unheard if replays is None else replays.forget).add_routes(app)
    if replays is None:
        add_no_replays(app)
    else:
        ReplayHandlers(replays, origin.metrics).add_routes(app)
        app.on_cleanup.append(lambda _: replays.close())
    LobbyHandlers(origin, rooms.title_of, where.listeners, replays).add_routes(app)
    ListenHandlers(origin, where, rooms.look_up).add_routes(app)
    EdgeHandlers(where.edges, origin.clock).add_routes(app)
    add_status(app, origin, lambda: degraded() + (replays.degraded() if replays else []))
    if pages is None:
        stored = () if replays is None else replays.media_sources
        plan = where.plan
        pages = load_pages(media_sources=stored, listen_sources=plan.servers, server=plan.public_url)
    PageHandlers(pages).add_routes(app)


def _unheard(_: TakeKey) -> None:
    """Without replays nobody else keeps anything of a take."""


async def _name_server(_: web.Request, response: web.StreamResponse) -> None:
    """Which server this is, but not which versions it is made of."""
    response.headers["Server"] = SERVER


async def sweep_for_ever(origin: Origin) -> None:
    """Let takes leave in time. Runs until it is cancelled."""
    while True:
        await asyncio.sleep(_SWEEP_SECONDS)
        origin.sweep(origin.clock())
