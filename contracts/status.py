"""Whether a process is alive, whether it may be asked, and its numbers: the same for every role."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from contracts.http import KIND, json_line

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from prometheus_client import CollectorRegistry

READY: Final = "ready"
_KIND: Final = "status"
# `room/take`, and whatever follows of a path.
_TAKE: Final = re.compile(r"[^\s/]+/[0-9]{8}T[0-9]{6}Z-[a-z2-7]{6}[^\s:,]*")
# What is true of a process now says nothing of the next moment.
_HEADERS: Final = {"Cache-Control": "no-store"}


def without_takes(text: str) -> str:
    """`text` for everybody: which takes and rooms there are, some of them private, is for the log to say."""
    return _TAKE.sub("…", text)


class StatusHandlers:
    """`/healthz`, `/readyz` and `/metrics` of one process.

    `status` is "ready", or why nobody should ask here now ("starting", "filling", "draining"); `degraded`
    names what does not work although live audio does; `registry` holds the process' metrics.
    """

    def __init__(
        self, status: Callable[[], str], degraded: Callable[[], list[str]], registry: CollectorRegistry
    ) -> None:
        self._status = status
        self._degraded = degraded
        self._registry = registry

    def routes(self) -> Iterator[tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]]:
        """Paths and what answers them, for who has a way of routing of its own."""
        yield "/healthz", self.health
        yield "/readyz", self.ready
        yield "/metrics", self.metrics

    def add_routes(self, app: web.Application) -> None:
        """All three, for GET and HEAD."""
        for path, handler in self.routes():
            app.router.add_get(path, handler)

    async def health(self, request: web.Request) -> web.Response:
        """The event loop turns."""
        request[KIND] = _KIND
        return json_line({"status": "alive"}, headers=_HEADERS)

    async def ready(self, request: web.Request) -> web.Response:
        """200 while live audio works, whatever else does not; 503 while others should be asked."""
        request[KIND] = _KIND
        status = self._status()
        body = {"status": status, "degraded": [without_takes(trouble) for trouble in self._degraded()]}
        if status == READY:
            return json_line(body, headers=_HEADERS)
        return json_line(body, 503, {**_HEADERS, "Retry-After": "1"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus' text format."""
        request[KIND] = _KIND
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={**_HEADERS, "Content-Type": CONTENT_TYPE_LATEST})
