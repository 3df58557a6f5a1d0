"""`longwave serve`: every role in one process. What the roles need of one another is put together here."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING

import structlog
import uvloop

import origin.app
import workers.http_app
from contracts.access import Grant
from contracts.errors import DiskUnavailable, LongwaveError
from contracts.tokens import OwnToken, TokenGate
from longwave.heap import share_one_arena
from longwave.listening import data_directory, listening, stopped
from longwave.local_origin import LocalOrigin
from longwave.logs import configure_logs
from longwave.publish import PublishOptions, publish
from longwave.serve_origin import make_app, make_metrics, opened_origin, say
from origin.replays import Replays
from pipeline.fingerprint import encoder_fingerprint
from pipeline.grid import BLOCK, SAMPLE_RATE
from samples import DEMO
from storage.disk_objects import DiskObjects
from storage.pooled import Pooled
from storage.rooms import RoomRecord, RoomStore
from storage.stories import Stories
from workers.http_origin import HttpOrigin
from workers.ingest import Ingest, IngestSettings
from workers.memory_bus import MemoryHub
from workers.publisher import Publisher
from workers.take_clock import Clocks
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore
from workers.transcoder_pool import TranscoderPool
from workers.whip.http_whip import add_whip_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from contracts.metrics import Metrics
    from contracts.tokens import Keys
    from longwave.settings import ServeSettings
    from origin.service import Origin

log = structlog.get_logger()

_DEMO_ROOM = "demo"
_YEARS = 10 * 365 * 86_400
# 5 ms: a part leaves with the block that completes it, which 20 ms ones keep waiting (docs/decisions/0006).
_BLOCK = BLOCK // 4
# The transcoder is in the same process: it is never further behind than a failed segment and its retries.
_SOUND_HELD = 6 * SAMPLE_RATE


def run_serve(settings: ServeSettings) -> None:
    """Run until SIGINT or SIGTERM. Raises UsageError or DependencyError where it cannot start."""
    settings.check_exposure()
    configure_logs(settings.log_level, settings.log_format)
    share_one_arena()
    with data_directory(settings.data_dir):
        uvloop.run(_run(settings))


async def _run(settings: ServeSettings) -> None:
    metrics, keys = make_metrics(), settings.token_keys()
    rooms = RoomStore(settings.data_dir / "rooms")
    await asyncio.to_thread(rooms.load)
    async with AsyncExitStack() as stack:
        here, sweeper = await stack.enter_async_context(opened_origin(settings, metrics))
        ingest, pool = await stack.enter_async_context(_working(settings, metrics, rooms, here, keys))
        app = make_app(metrics, TokenGate(settings.token_text, keys))
        workers.http_app.add_routes(app, ingest, rooms, listeners_of=here.listeners)
        add_whip_routes(app, ingest, settings.whip(), metrics)
        origin.app.add_routes(
            app,
            here,
            title_of=_titles(rooms),
            degraded=lambda: [ingest.degraded] if ingest.degraded else [],
            replays=Replays(DiskObjects(settings.data_dir), Pooled(), live=here.is_live),
        )
        url = await stack.enter_async_context(listening(app, settings, metrics))
        if settings.demo:
            await stack.enter_async_context(_demo(url, rooms, settings, keys))
            say(f"Longwave plays a demo room: {url}/listen/{_DEMO_ROOM}")
            say(f"Speak in a room of your own: {url}/speak/my-room")
        else:
            say(f"Longwave listens on {url}/")
        await stopped([sweeper, *ingest.background, *pool.background])
        here.drain()
        await ingest.stop()


@asynccontextmanager
async def _working(
    settings: ServeSettings, metrics: Metrics, rooms: RoomStore, here: Origin, keys: Keys | None
) -> AsyncIterator[tuple[Ingest, TranscoderPool]]:
    """The workers: from connections to parts. Live takes of the last process go on."""
    hub = MemoryHub(sound_held=_SOUND_HELD)
    token = None if keys is None else OwnToken(keys, Grant("publish"))
    others = [HttpOrigin(str(url), token=token) for url in settings.origin]
    publisher = Publisher([LocalOrigin(here), *others], metrics, window_segments=here.limits.window_segments)
    pool = TranscoderPool(hub, publisher, metrics, threads=settings.encoder_threads)
    keeper = TakeKeeper(
        TakeStore(settings.data_dir / "takes"),
        Stories(DiskObjects(settings.data_dir)),
        rooms,
        metrics,
        remembered=lambda: not here.degraded(),
    )
    ingest_settings = IngestSettings(
        encoder=await asyncio.to_thread(encoder_fingerprint),
        idle_timeout=settings.idle_timeout,
        sender_timeout=settings.sender_timeout,
        max_rooms=settings.max_rooms,
        max_speakers=settings.max_speakers,
    )
    ingest = Ingest(hub, rooms, keeper, ingest_settings, metrics, Clocks(block=_BLOCK))
    await ingest.start()
    pool.start()
    try:
        yield ingest, pool
    finally:
        # From the source on, so that what was said is still encoded and published.
        await ingest.stop()
        await pool.stop()
        await publisher.stop()


def _titles(rooms: RoomStore) -> Callable[[str], str | None]:
    """A room's title for the lobby, from memory; None for one that is not to be listed."""

    def title_of(room: str) -> str | None:
        record = rooms.known(room)
        if record is None:
            return ""
        return record.title if record.visibility == "public" else None

    return title_of


@asynccontextmanager
async def _demo(
    url: str, rooms: RoomStore, settings: ServeSettings, keys: Keys | None
) -> AsyncIterator[None]:
    """A room that speaks for as long as the server runs, fed as any other room is."""
    with suppress(DiskUnavailable):
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
