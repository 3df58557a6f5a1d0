"""`longwave serve`: every role in one process. What the roles need of one another is put together here."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
import uvloop

import origin.app
import workers.http_app
from contracts.access import Grant
from contracts.errors import DependencyError, LongwaveError
from contracts.tokens import OwnToken, TokenGate
from longwave.heap import share_one_arena
from longwave.listening import data_directory, leave, listening, stopped
from longwave.local_origin import LocalOrigin
from longwave.logs import configure_logs
from longwave.publish import PublishOptions, publish
from longwave.rooms_kept import opened_rooms
from longwave.serve_archive import archive_of, host_handlers, sweeping
from longwave.serve_origin import make_app, make_metrics, opened_origin, say
from longwave.serve_replays import feeds_of, opened_storage, replays_of
from pipeline.fingerprint import encoder_fingerprint
from pipeline.grid import BLOCK, SAMPLE_RATE
from samples import DEMO
from storage.rooms import RoomRecord, RoomStore
from storage.stories import Stories
from workers.http_origin import HttpOrigin
from workers.ingest import Ingest, IngestSettings
from workers.memory_bus import MemoryHub
from workers.publisher import Publisher
from workers.storyteller import Storyteller
from workers.take_clock import Clocks
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore
from workers.transcoder_pool import TranscoderPool
from workers.whip.http_whip import add_whip_routes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from contracts.metrics import Metrics
    from contracts.tokens import Keys
    from longwave.serve_archive import Archive
    from longwave.serve_replays import Kept
    from longwave.settings import ServeSettings
    from origin.service import Origin
    from workers.origin_client import OriginClient

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
        leave()


async def _run(settings: ServeSettings) -> None:
    metrics, keys = make_metrics(), settings.token_keys()
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(opened_storage(settings))
        rooms = await stack.enter_async_context(opened_rooms(settings, kept))
        here, sweeper = await stack.enter_async_context(opened_origin(settings, metrics))
        parties = _Parties(settings, metrics, rooms, kept, here, keys)
        ingest, archive, background = await stack.enter_async_context(_working(parties))
        app = make_app(metrics, TokenGate(settings.token_text, keys))
        replays = replays_of(kept, here, settings)
        hosts = host_handlers(archive, kept, ingest, here, replays)
        workers.http_app.add_routes(app, ingest, rooms, listeners_of=here.listeners, replays=hosts)
        add_whip_routes(app, ingest, settings.whip(), metrics)
        origin.app.add_routes(
            app,
            here,
            title_of=_titles(rooms),
            degraded=lambda: [each for each in (ingest.degraded, archive.archiver.degraded) if each],
            replays=replays,
        )
        feeds_of(here, replays, settings, room_of=rooms.known).add_routes(app)
        url = await stack.enter_async_context(listening(app, settings, metrics))
        if settings.demo:
            await stack.enter_async_context(_demo(url, rooms, settings, keys))
            say(f"Longwave plays a demo room: {url}/listen/{_DEMO_ROOM}")
            say(f"Speak in a room of your own: {url}/speak/my-room")
        else:
            say(f"Longwave listens on {url}/")
        await stopped([sweeper, *background])
        here.drain()
        await ingest.stop()


@dataclass(frozen=True, slots=True)
class _Parties:
    """What the workers of this process stand on."""

    settings: ServeSettings
    metrics: Metrics
    rooms: RoomStore
    kept: Kept
    here: Origin
    keys: Keys | None


@asynccontextmanager
async def _working(parties: _Parties) -> AsyncIterator[tuple[Ingest, Archive, list[asyncio.Task[None]]]]:
    """The workers: from connections to parts and to the archive. Live takes of the last process go on."""
    settings, metrics, here = parties.settings, parties.metrics, parties.here
    hub = MemoryHub(sound_held=_SOUND_HELD)
    token = None if parties.keys is None else OwnToken(parties.keys, Grant("publish"))
    others = [HttpOrigin(str(url), token=token) for url in settings.origin]
    origins: list[OriginClient] = [LocalOrigin(here), *others]
    publisher = Publisher(origins, metrics, window_segments=here.limits.window_segments)
    keeper = _keeper(parties)
    archive = archive_of(settings, parties.kept, metrics, origins, keeper.keeps)
    archiver = archive.archiver
    pool = TranscoderPool(hub, publisher, metrics, threads=settings.encoder_threads, archiver=archiver)
    ingest = Ingest(
        hub,
        parties.rooms,
        keeper,
        await _ingest_settings(settings),
        metrics,
        Clocks(block=_BLOCK),
    )
    await ingest.start()
    archiver.start(lambda: {bus.key for bus in hub.live()})
    pool.start()
    try:
        async with sweeping(archive, parties.kept, hub, shared=settings.shares_storage) as orphans:
            yield ingest, archive, [*ingest.background, *pool.background, orphans]
    finally:
        # From the source on, so that what was said is still encoded, published and kept.
        await ingest.stop()
        await pool.stop()
        await archiver.stop()
        await publisher.stop()


def _keeper(parties: _Parties) -> TakeKeeper:
    store = TakeStore(parties.settings.data_dir / "takes")
    return TakeKeeper(
        store,
        Storyteller(store, Stories(parties.kept.objects), parties.rooms),
        parties.metrics,
        remembered=lambda: not parties.here.degraded(),
    )


async def _ingest_settings(settings: ServeSettings) -> IngestSettings:
    return IngestSettings(
        encoder=await asyncio.to_thread(encoder_fingerprint),
        idle_timeout=settings.idle_timeout,
        sender_timeout=settings.sender_timeout,
        max_rooms=settings.max_rooms,
        max_speakers=settings.max_speakers,
    )


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
