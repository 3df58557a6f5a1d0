"""Whether it is alive, whether it may be asked, and its numbers."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from contracts.http import KIND, json_line
from origin.cache_policy import CACHE_CONTROL, Kind
from origin.public import add_public
from origin.service import Origin

_HEADERS = {"Cache-Control": CACHE_CONTROL[Kind.STATUS]}


class StatusHandlers:
    """`/healthz`, `/readyz` and `/metrics`. `degraded` names what does not work elsewhere in the process."""

    def __init__(self, origin: Origin, degraded: Callable[[], list[str]]) -> None:
        self._origin = origin
        self._degraded = degraded

    def add_routes(self, app: web.Application) -> None:
        """All three."""
        add_public(app, "/healthz", self.health)
        add_public(app, "/readyz", self.ready)
        add_public(app, "/metrics", self.metrics)

    async def health(self, request: web.Request) -> web.Response:
        """The event loop turns."""
        request[KIND] = Kind.STATUS
        return json_line({"status": "alive"}, headers=_HEADERS)

    async def ready(self, request: web.Request) -> web.Response:
        """200 while live audio works, whatever else does not; 503 while listeners should ask elsewhere."""
        request[KIND] = Kind.STATUS
        status = self._status()
        degraded = self._origin.degraded() + self._degraded()
        if status == "ready":
            return json_line({"status": status, "degraded": degraded}, headers=_HEADERS)
        headers = {**_HEADERS, "Retry-After": "1"}
        return json_line({"status": status, "degraded": degraded}, 503, headers)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus' text format."""
        request[KIND] = Kind.STATUS
        body = generate_latest(self._origin.metrics.registry)
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST})

    def _status(self) -> str:
        if self._origin.draining:
            return "draining"
        return "filling" if self._origin.filling else "ready"
