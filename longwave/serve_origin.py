"""`longwave origin`: what CDNs and players talk to, alone. Also the origin half of `serve`."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
import uvloop
from aiohttp import web
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import CollectorRegistry

from contracts.access import guard
from contracts.errors import DiskUnavailable
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.tokens import TokenGate
from longwave.listening import data_directory, leave, listening, stopped
from longwave.logs import configure_logs
from longwave.serve_replays import feeds_of, opened_storage, replays_of
from origin.app import add_routes, sweep_for_ever
from origin.cache_policy import error_cache_control
from origin.journal import Journal
from origin.journal_store import JournalStore
from origin.reload import reload
from origin.service import Origin, OriginLimits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from longwave.settings import OriginSettings

log = structlog.get_logger()


def run_origin(settings: OriginSettings) -> None:
    """Run until SIGINT or SIGTERM. Raises UsageError or DependencyError where it cannot start."""
    settings.check_exposure()
    configure_logs(settings.log_level, settings.log_format)
    with data_directory(settings.data_dir):
        uvloop.run(_run(settings))
        leave()


async def _run(settings: OriginSettings) -> None:
    metrics = make_metrics()
    async with opened_storage(settings) as kept, opened_origin(settings, metrics) as (origin, sweeper):
        app = make_app(metrics, TokenGate(settings.token_text, settings.token_keys()))
        replays = replays_of(kept, origin, settings)
        # Which rooms are to be listed is known where their records are, not here.
        add_routes(app, origin, title_of=lambda _room: None, replays=replays)
        feeds_of(origin, replays, settings).add_routes(app)
        async with listening(app, settings, metrics) as url:
            say(f"Longwave's origin listens on {url}/")
            await stopped([sweeper])
            origin.drain()


def make_metrics() -> Metrics:
    """The process' metrics, with those of the process itself."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return Metrics(registry)


def make_app(metrics: Metrics, gate: TokenGate) -> web.Application:
    """An app that answers errors by the one table, and lets in by the other.

    Bodies are bounded by whoever reads them.
    """
    app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)], client_max_size=0)
    guard(app, gate)
    return app


def say(line: str) -> None:
    """The one line that a person who starts a server wants to read."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@asynccontextmanager
async def opened_origin(
    settings: OriginSettings, metrics: Metrics
) -> AsyncIterator[tuple[Origin, asyncio.Task[None]]]:
    """An origin with its window reloaded and journaled from now on, and the task that sweeps it."""
    store = JournalStore(settings.data_dir / "window")
    journal = Journal(store, metrics)
    limits = OriginLimits(
        window_seconds=settings.window_seconds,
        max_window_bytes=settings.max_window_mb * 2**20,
        max_blocked=settings.max_blocked,
    )
    origin = Origin(limits, metrics, journal=journal)
    try:
        await asyncio.to_thread(reload, origin, store, journal, time.time_ns() // 1000)
    except OSError as error:
        raise DiskUnavailable(f"the window in {settings.data_dir} cannot be read: {error.strerror}") from None
    journal.start()
    sweeper = asyncio.create_task(sweep_for_ever(origin), name="sweeper")
    try:
        yield origin, sweeper
    finally:
        sweeper.cancel()
        await asyncio.gather(sweeper, return_exceptions=True)
        await asyncio.to_thread(journal.close)
