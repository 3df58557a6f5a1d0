"""`PUT /edges/{name}/listeners`: an edge tells how many listen through it, every two seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web

from contracts.http import CORS, expect_later, read_json
from contracts.listeners import MAX_ROOMS, EdgeReport, check_edge
from origin.cache_policy import CACHE_CONTROL, Kind
from origin.edges import Edges
from origin.http_publish import refuse_pages

# A room's id with its quotes, a colon, a number, a comma.
_MAX_BODY: Final = 1024 + MAX_ROOMS * 80
_HEADERS: Final = {"Cache-Control": CACHE_CONTROL[Kind.PUBLISH], **CORS}


class EdgeHandlers:
    """What edges tell. `clock` is the one that `edges` are asked by."""

    def __init__(self, edges: Edges, clock: Callable[[], float]) -> None:
        self._edges = edges
        self._clock = clock

    def add_routes(self, app: web.Application) -> None:
        """The one."""
        add = partial(app.router.add_route, expect_handler=expect_later)
        add("PUT", "/edges/{name}/listeners", self.listeners)

    async def listeners(self, request: web.Request) -> web.Response:
        """What an edge tells now; what it told before is forgotten."""
        refuse_pages(request)
        name = check_edge(request.match_info["name"])
        report = EdgeReport.from_json(await read_json(request, _MAX_BODY))
        self._edges.hear(name, report, self._clock())
        return web.Response(status=204, headers=_HEADERS)
