"""`longwave worker`: takes from the bus to parts at origins, and to the archive."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import uvloop

from contracts.status import READY, StatusHandlers
from contracts.tokens import TokenGate
from longwave.carried_takes import carried_takes
from longwave.cluster import KnownOrigins, joined, unshared
from longwave.door import door, said_to_be_at
from longwave.heap import share_one_arena
from longwave.listening import data_directory, leave, listening, stopped
from longwave.logs import configure_logs
from longwave.role_token import role_token
from longwave.self_report import SelfReport, node_id
from longwave.serve_origin import make_app, make_metrics, say
from longwave.serve_replays import opened_storage
from pipeline.fingerprint import encoder_fingerprint

if TYPE_CHECKING:
    from contracts.metrics import Metrics
    from longwave.carried_takes import CarriedTakes
    from longwave.cluster import Cluster
    from longwave.settings import WorkerSettings


def run_worker(settings: WorkerSettings) -> None:
    """Run until SIGINT or SIGTERM. Raises UsageError or DependencyError where it cannot start."""
    settings.check_bus()
    if settings.port is not None:
        settings.check_exposure()
    configure_logs(settings.log_level, settings.log_format)
    share_one_arena()
    with data_directory(settings.data_dir):
        uvloop.run(_run(settings))
        leave()


async def _run(settings: WorkerSettings) -> None:
    metrics = make_metrics()
    me = SelfReport(node_id(settings.data_dir), {"worker"}, metrics, encoder=encoder_fingerprint())
    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(opened_storage(settings))
        cluster = await stack.enter_async_context(joined(settings, me, metrics))
        origins = KnownOrigins([str(url) for url in settings.origin], role_token(settings.token_keys()))
        carried = await stack.enter_async_context(carried_takes(settings, cluster, kept, metrics, origins))
        place = ""
        if settings.port is not None:
            place = " on " + await _listen(stack, settings, metrics, cluster, carried)
        say(f"Longwave's worker {me.id} is ready{place}")
        await stopped([*cluster.background, *carried.background])
        me.draining = True
        await carried.hand_over()


async def _listen(
    stack: AsyncExitStack, settings: WorkerSettings, metrics: Metrics, cluster: Cluster, carried: CarriedTakes
) -> str:
    """Say how this worker is; its URL."""
    place = stack.enter_context(door(settings))
    # For operators to see; nobody calls a worker.
    cluster.me.url = said_to_be_at(place, settings, settings.advertise)
    app = make_app(metrics, TokenGate(settings.token_text, settings.token_keys()))

    def degraded() -> list[str]:
        return carried.degraded() + cluster.degraded() + unshared(shared=settings.shares_storage)

    def status() -> str:
        return "draining" if cluster.me.draining else READY

    StatusHandlers(status, degraded, metrics.registry).add_routes(app)
    return await stack.enter_async_context(listening(app, settings, metrics, place))
