"""An origin on a port of its own, and what its clients put into it."""

from __future__ import annotations

import contextlib
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.access import guard
from contracts.errors import (
    UnknownTake,
)
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.position import Position
from contracts.tokens import TokenGate
from origin.app import add_routes
from origin.cache_policy import error_cache_control
from origin.service import Origin, OriginLimits
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests import takes
from tests.publishing import KEY
from workers.origin_client import OriginClient

GRID = Grid(5)
HEADER = takes.header()
INIT = init_segment(HEADER.settings, HEADER.settings.renditions[0])


class OriginServer:
    """A real origin app on a port of its own, that can be killed and started again on the same one."""

    def __init__(self, token: str | None = None, limits: OriginLimits | None = None) -> None:
        self.port = 0
        self.origin: Origin | None = None
        self._token = token
        self._limits = limits or OriginLimits()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        metrics = Metrics(CollectorRegistry())
        self.origin = Origin(self._limits, metrics)
        app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)])
        guard(app, TokenGate(self._token))
        add_routes(app, self.origin, pages={})
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def reached(self) -> Position | None:
        assert self.origin is not None
        with contextlib.suppress(UnknownTake):
            there = self.origin.state(KEY).renditions["64k"]
            return None if there.first is None else there.next
        return None


async def begin(client: OriginClient) -> None:
    await client.put_take(KEY, HEADER)
    await client.put_init(KEY, "64k", INIT)


async def put(client: OriginClient, msn: int, part: int, unit: bytes = b"\x01" * 8) -> None:
    await client.put_part(KEY, "64k", msn, part, takes.part(GRID, msn, part, unit))
