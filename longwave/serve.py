"""`longwave serve`: every role in one process. What the roles need of one another is put together here."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import uvloop

import workers.http_app
from contracts.access import Grant
from contracts.errors import DependencyError, LongwaveError
from contracts.tokens import TokenGate
from longwave.among import Among, add_speakers_and_hosts
from longwave.carried_takes import carried_takes
from longwave.cluster import KnownOrigins, joined, unshared
from longwave.door import door, reached_at
from longwave.encoding import Work, encoding
from longwave.heap import share_one_arena
from longwave.hosts import Forgetting, host_handlers, live_here
from longwave.house import opened_house
from longwave.listening import data_directory, leave, listening, stopped
from longwave.local_origin import LocalOrigin
from longwave.logs import configure_logs
from longwave.owned_rooms import owned_rooms
from longwave.publish import PublishOptions, publish
from longwave.role_token import role_token
from longwave.running import running
from longwave.self_report import SelfReport, node_id
from longwave.serve_origin import (
    add_origin_routes,
    filled,
    make_app,
    make_metrics,
    opened_origin,
    say,
)
from longwave.speaking import speaking_of
from longwave.tiers import counting, tier_plan
from pipeline.fingerprint import encoder_fingerprint
from pipeline.grid import SAMPLE_RATE
from samples import DEMO
from storage.rooms import RoomRecord, RoomStore
from workers.cluster.view import ROLES, LocalView
from workers.http_cluster import ClusterHandlers
from workers.memory_bus import MemoryHub
from workers.quarantine import Quarantine, survey_crashes
from workers.whip.http_whip import add_whip_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp import web

    from contracts.metrics import Metrics
    from contracts.tokens import Keys
    from longwave.door import Door
    from longwave.settings import ServeSettings
    from origin.service import Origin
    from workers.ingest import Ingest

log = structlog.get_logger()

_DEMO_ROOM = "demo"
_YEARS = 10 * 365 * 86_400
# Several of them are in the half minute that a process' figures are of.
_LOOK_SECONDS = 5.0
# The transcoder is in the same process: it is never further behind than a failed segment and its retries.
_SOUND_HELD = 6 * SAMPLE_RATE


def run_serve(settings: ServeSettings) -> None:
    """Run until SIGINT or SIGTERM. Raises UsageError or DependencyError where it cannot start."""
    settings.check_exposure()
    tier_plan(settings)
    configure_logs(settings.log_level, settings.log_format)
    share_one_arena()
    with data_directory(settings.data_dir):
        uvloop.run(_run(settings))
        leave()


async def _run(settings: ServeSettings) -> None:
    metrics = make_metrics()
    me = SelfReport(node_id(settings.data_dir), ROLES, metrics, encoder=await _fingerprint())
    async with AsyncExitStack() as stack:
        place = stack.enter_context(door(settings))
        app = make_app(metrics, TokenGate(settings.token_text, settings.token_keys()))
        compose = _among_others if settings.bus else _alone
        served = await compose(stack, settings, app, _Self(me, metrics, place))
        url = await stack.enter_async_context(listening(app, settings, metrics, place))
        await stack.enter_async_context(running(_look_at_itself(me), "what this process says of itself"))
        if settings.demo:
            demo = _demo(url, served.rooms, settings, settings.token_keys())
            await stack.enter_async_context(demo)
            say(f"Longwave plays a demo room: {url}/listen/{_DEMO_ROOM}")
            say(f"Speak in a room of your own: {url}/speak/my-room")
        else:
            say(f"Longwave listens on {url}/")
        await stopped(served.background)
        me.draining = True
        await served.hand_over()
        served.origin.drain()
        await served.ingest.stop()


async def _look_at_itself(me: SelfReport) -> None:
    """What it says is of the last half minute, also where no heartbeats ask for it."""
    while True:
        me()
        await asyncio.sleep(_LOOK_SECONDS)


async def _fingerprint() -> str:
    return await asyncio.to_thread(encoder_fingerprint)


@dataclass(frozen=True, slots=True)
class _Self:
    """This process: what it says of itself, its metrics, and the port that it has."""

    me: SelfReport
    metrics: Metrics
    place: Door


@dataclass(frozen=True, slots=True)
class _Served:
    """The roles in this process; `hand_over` leaves its takes to others, where there are any."""

    origin: Origin
    ingest: Ingest
    rooms: RoomStore
    background: list[asyncio.Task[None]]
    hand_over: Callable[[], Awaitable[None]]


async def _alone(
    stack: AsyncExitStack, settings: ServeSettings, app: web.Application, this: _Self
) -> _Served:
    """Every role, with a bus in memory: no other server is needed."""
    me, metrics = this.me, this.metrics
    house = await stack.enter_async_context(opened_house(settings, metrics))
    here, sweeper = await stack.enter_async_context(opened_origin(settings, metrics))
    counted = await stack.enter_async_context(counting(settings, here, me, None))
    whereabouts = counted.whereabouts
    await stack.enter_async_context(filled(settings, here, None))
    crashes = await asyncio.to_thread(survey_crashes, settings.data_dir, time.monotonic())
    quarantine = Quarantine(metrics, time.monotonic, counted=crashes.counted)
    hub = MemoryHub(sound_held=_SOUND_HELD)
    speaking = speaking_of(settings, house, hub, lambda: me.encoder, remembered=lambda: not here.degraded())
    origins = KnownOrigins(
        [str(url) for url in settings.origin], role_token(settings.token_keys()), local=LocalOrigin(here)
    )
    work = Work(hub, quarantine, house.kept, metrics, speaking.keeper.keeps)
    ingest = speaking.ingest
    # From the source on, so that what was said last is still encoded, published and kept in the end.
    await ingest.start()
    encoder = await stack.enter_async_context(encoding(settings, work, origins.clients))
    stack.push_async_callback(ingest.stop)

    def degraded() -> list[str]:
        troubles = (ingest.degraded, encoder.archive.archiver.degraded, quarantine.degraded)
        return [each for each in troubles if each]

    replays = add_origin_routes(app, settings, house, whereabouts, degraded)
    hosts = host_handlers(
        house,
        encoder.archive.finisher,
        is_live=live_here(ingest),
        forget=Forgetting(lambda: origins.clients),
        changed=replays.forget,
    )
    workers.http_app.add_routes(app, ingest, house.rooms, listeners_of=whereabouts.listeners, replays=hosts)
    add_whip_routes(app, ingest, settings.whip(), metrics)
    view = LocalView(me, hub.live, quarantine.holds, lambda: (whereabouts.headcount(),))
    ClusterHandlers(view, house.rooms).add_routes(app)
    me.carrying = lambda: frozenset(f"{bus.key.room}/{bus.key.take}" for bus in hub.live())
    background = [sweeper, *counted.background, *ingest.background, *encoder.background]
    return _Served(here, ingest, house.rooms, background, _nobody_to_hand_over_to)


async def _nobody_to_hand_over_to() -> None:
    """The next process goes on."""


async def _among_others(
    stack: AsyncExitStack, settings: ServeSettings, app: web.Application, this: _Self
) -> _Served:
    """Every role, each as one of many."""
    me, metrics = this.me, this.metrics
    me.url = reached_at(this.place, settings, settings.advertise)
    cluster = await stack.enter_async_context(joined(settings, me, metrics))
    house = await stack.enter_async_context(opened_house(settings, metrics, cluster))
    here, sweeper = await stack.enter_async_context(opened_origin(settings, metrics))
    counted = await stack.enter_async_context(counting(settings, here, me, cluster))
    await stack.enter_async_context(filled(settings, here, cluster))
    origins = KnownOrigins(
        [str(url) for url in settings.origin], role_token(settings.token_keys()), local=LocalOrigin(here)
    )
    carried = await stack.enter_async_context(carried_takes(settings, cluster, house.kept, metrics, origins))
    owned = await stack.enter_async_context(owned_rooms(settings, house, cluster, me.encoder))

    def degraded() -> list[str]:
        speaking = [each for each in (owned.ingest.degraded,) if each]
        return carried.degraded() + speaking + unshared(shared=house.shared) + cluster.degraded()

    replays = add_origin_routes(app, settings, house, counted.whereabouts, degraded)
    finisher = carried.encoding.archive.finisher
    among = Among(cluster, carried.directory, owned, finisher, lambda: origins.clients)
    add_speakers_and_hosts(app, settings, house, among, replays.forget)
    background = [sweeper, *counted.background, *cluster.background, *carried.background, *owned.background]
    return _Served(here, owned.ingest, house.rooms, background, carried.hand_over)


@asynccontextmanager
async def _demo(
    url: str, rooms: RoomStore, settings: ServeSettings, keys: Keys | None
) -> AsyncIterator[None]:
    """A room that speaks for as long as the server runs, fed as any other room is."""
    with suppress(DependencyError):
        if await asyncio.to_thread(rooms.get, _DEMO_ROOM) is None:
            await asyncio.to_thread(rooms.put, _DEMO_ROOM, RoomRecord(title="Longwave demo"))
    # It goes no further than this machine, and is shown for as long as the process lives.
    grant, expires = Grant("speaker", _DEMO_ROOM), int(time.time()) + _YEARS
    token = None if keys is None else keys.sign(grant, expires)
    options = PublishOptions(
        DEMO, _DEMO_ROOM, url, token=token, speaker="Demo", loop=True, ca=settings.tls_cert
    )
    task = asyncio.create_task(_play(options), name="demo")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _play(options: PublishOptions) -> None:
    try:
        await publish(options)
    except LongwaveError as error:
        log.error("the demo room is silent", reason=error.message)  # noqa: TRY400 - expected, and said in a line
