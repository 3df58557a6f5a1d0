"""Whether an origin is alive, whether it may be asked, and its numbers; readable from any page."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from contracts.status import READY, StatusHandlers
from origin.public import add_public
from origin.service import Origin


def add_status(app: web.Application, origin: Origin, degraded: Callable[[], list[str]]) -> None:
    """`/healthz`, `/readyz` and `/metrics`. `degraded` names what does not work elsewhere in the process."""

    def status() -> str:
        if origin.draining:
            return "draining"
        return "filling" if origin.filling else READY

    handlers = StatusHandlers(status, lambda: origin.degraded() + degraded(), origin.metrics.registry)
    for path, handler in handlers.routes():
        add_public(app, path, handler)
