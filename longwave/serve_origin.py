"""`longwave origin`: what CDNs and players talk to, alone. Also the origin half of `serve`."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

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
from longwave.cluster import joined
from longwave.door import door, reached_at
from longwave.house import opened_house
from longwave.listening import data_directory, leave, listening, stopped
from longwave.logs import configure_logs
from longwave.machine import measure_machine
from longwave.role_token import role_token
from longwave.self_report import SelfReport, node_id
from longwave.serve_replays import feeds_of, replays_of
from longwave.tiers import counting, tier_plan
from origin.app import Rooms, add_routes, sweep_for_ever
from origin.cache_policy import error_cache_control
from origin.fill import start_filling
from origin.journal import Journal
from origin.journal_store import JournalStore
from origin.reload import reload
from origin.service import Origin, OriginLimits
from origin.sisters import Sister

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from longwave.cluster import Cluster
    from longwave.house import House
    from longwave.settings import OriginSettings
    from origin.replays import Replays
    from origin.whereabouts import Whereabouts

log = structlog.get_logger()

# What Redis gets to say who else is there, before an origin starts without being filled by them.
_OTHERS_SECONDS: Final = 2.0


def run_origin(settings: OriginSettings) -> None:
    """Run until SIGINT or SIGTERM. Raises UsageError or DependencyError where it cannot start."""
    settings.check_exposure()
    tier_plan(settings)
    configure_logs(settings.log_level, settings.log_format)
    with data_directory(settings.data_dir):
        uvloop.run(_run(settings))
        leave()


async def _run(settings: OriginSettings) -> None:
    metrics = make_metrics()
    async with AsyncExitStack() as stack:
        place = stack.enter_context(door(settings))
        cluster = None
        me = SelfReport(node_id(settings.data_dir), {"origin"}, metrics)
        if settings.bus:
            me.url = reached_at(place, settings, settings.advertise)
            cluster = await stack.enter_async_context(joined(settings, me, metrics))
        house = await stack.enter_async_context(opened_house(settings, metrics, cluster, hosts=False))
        origin, sweeper = await stack.enter_async_context(opened_origin(settings, metrics))
        counted = await stack.enter_async_context(counting(settings, origin, me, cluster))
        background = [sweeper, *counted.background]
        if cluster is not None:
            background += cluster.background
        await stack.enter_async_context(filled(settings, origin, cluster))
        app = make_app(metrics, TokenGate(settings.token_text, settings.token_keys()))
        degraded = list if cluster is None else cluster.degraded
        add_origin_routes(app, settings, house, counted.whereabouts, degraded)
        url = await stack.enter_async_context(listening(app, settings, metrics, place))
        say(f"Longwave's origin listens on {url}/")
        await stopped(background)
        me.draining = True
        origin.drain()


def add_origin_routes(
    app: web.Application,
    settings: OriginSettings,
    house: House,
    whereabouts: Whereabouts,
    degraded: Callable[[], list[str]] = list,
) -> Replays:
    """Everything that CDNs and players ask; `degraded` says what else of this process does not work."""
    origin = whereabouts.origin
    replays = replays_of(house.kept, origin, settings)
    add_routes(
        app,
        origin,
        rooms=Rooms(house.title_of, house.look_up, whereabouts),
        degraded=degraded,
        replays=replays,
    )
    feeds_of(origin, replays, settings, house.look_up).add_routes(app)
    return replays


@asynccontextmanager
async def filled(settings: OriginSettings, origin: Origin, cluster: Cluster | None) -> AsyncIterator[None]:
    """Fill the windows of `origin` from its sisters, meanwhile: it lets nobody in before they are filled."""
    urls = {str(url).rstrip("/") for url in settings.sister}
    if cluster is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_OTHERS_SECONDS):
                await cluster.nodes.observed()
        urls |= {url.rstrip("/") for url in cluster.origins()}
    if not urls:
        yield
        return
    token = role_token(settings.token_keys())
    task = start_filling(origin, [Sister(url, token=token) for url in sorted(urls)])
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def make_metrics() -> Metrics:
    """The process' metrics, with those of the process itself."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    metrics = Metrics(registry)
    measure_machine(metrics)
    return metrics


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
