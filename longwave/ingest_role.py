"""`longwave ingest`: speakers and hosts; takes go onto the bus, for workers elsewhere."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import uvloop

from contracts.status import READY, StatusHandlers
from contracts.tokens import TokenGate
from longwave.among import Among, add_speakers_and_hosts
from longwave.cluster import joined, known_origins, unshared
from longwave.door import door, reached_at
from longwave.heap import share_one_arena
from longwave.house import opened_house
from longwave.listening import data_directory, leave, listening, stopped
from longwave.logs import configure_logs
from longwave.owned_rooms import owned_rooms
from longwave.role_token import role_token
from longwave.self_report import SelfReport, node_id
from longwave.serve_origin import make_app, make_metrics, say
from pipeline.fingerprint import encoder_fingerprint
from workers.archive.finish import Finisher
from workers.cluster.directory import Directory

if TYPE_CHECKING:
    from aiohttp import web

    from longwave.cluster import Cluster
    from longwave.house import House
    from longwave.settings import IngestRoleSettings
    from workers.ingest import Ingest


def run_ingest(settings: IngestRoleSettings) -> None:
    """Run until SIGINT or SIGTERM. Raises UsageError or DependencyError where it cannot start."""
    settings.check_exposure()
    settings.check_bus()
    configure_logs(settings.log_level, settings.log_format)
    share_one_arena()
    with data_directory(settings.data_dir):
        uvloop.run(_run(settings))
        leave()


async def _run(settings: IngestRoleSettings) -> None:
    metrics = make_metrics()
    me = SelfReport(node_id(settings.data_dir), {"ingest"}, metrics)
    async with AsyncExitStack() as stack:
        place = stack.enter_context(door(settings))
        me.url = reached_at(place, settings, settings.advertise)
        cluster = await stack.enter_async_context(joined(settings, me, metrics))
        house = await stack.enter_async_context(opened_house(settings, metrics, cluster))
        encoder = await asyncio.to_thread(encoder_fingerprint)
        owned = await stack.enter_async_context(owned_rooms(settings, house, cluster, encoder))
        directory = Directory(cluster.links)
        directory.start()
        stack.push_async_callback(directory.stop)
        app = make_app(metrics, TokenGate(settings.token_text, settings.token_keys()))
        token = role_token(settings.token_keys())
        known, looking = await stack.enter_async_context(known_origins(cluster, token))
        finisher = Finisher(house.kept.objects, metrics, clock=time.time)
        among = Among(cluster, directory, owned, finisher, lambda: known.clients)
        add_speakers_and_hosts(app, settings, house, among)
        _add_status(app, house, cluster, owned.ingest)
        url = await stack.enter_async_context(listening(app, settings, metrics, place))
        say(f"Longwave's ingest {me.id} listens on {url}/")
        await stopped([*cluster.background, *owned.background, *directory.background, looking])
        me.draining = True
        await owned.ingest.stop()


def _add_status(app: web.Application, house: House, cluster: Cluster, ingest: Ingest) -> None:
    def status() -> str:
        return "draining" if cluster.me.draining else READY

    def degraded() -> list[str]:
        return [each for each in (ingest.degraded, *cluster.degraded()) if each] + unshared(
            shared=house.shared
        )

    StatusHandlers(status, degraded, house.metrics.registry).add_routes(app)
