"""The routes for speakers and hosts of a process among others: rooms may live elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import workers.http_app
from longwave.hosts import Forgetting, host_handlers, live_anywhere
from longwave.running import running
from workers.cluster.listeners import ListenerCounts
from workers.cluster.redis_view import RedisView
from workers.http_cluster import ClusterHandlers
from workers.relay import Relay
from workers.whip.http_whip import add_whip_routes

if TYPE_CHECKING:
    from aiohttp import web

    from contracts.take import TakeKey
    from longwave.cluster import Cluster
    from longwave.house import House
    from longwave.owned_rooms import OwnedRooms
    from longwave.settings import IngestRoleSettings
    from workers.archive.finish import Finisher
    from workers.cluster.directory import Directory
    from workers.origin_client import OriginClient


@dataclass(frozen=True, slots=True)
class Among:
    """The others, what lives there, and what is owned here; `origins` gives those to be told of a delete."""

    cluster: Cluster
    directory: Directory
    owned: OwnedRooms
    finisher: Finisher
    origins: Callable[[], Iterable[OriginClient]]


def add_speakers_and_hosts(
    app: web.Application,
    settings: IngestRoleSettings,
    house: House,
    among: Among,
    changed: Callable[[TakeKey], None] = lambda _: None,
) -> None:
    """WHIP, PCM, rooms, replays and the state of the cluster.

    `changed` is told of each take whose replay is another one now.
    """
    cluster, ingest = among.cluster, among.owned.ingest
    relay = Relay(among.owned.ownership.owners_of)
    counts = ListenerCounts(cluster.links, lambda: [node.id for node in cluster.nodes.alive("origin")])
    app.cleanup_ctx.append(lambda _: _followed(counts))
    hosts = host_handlers(
        house,
        among.finisher,
        is_live=live_anywhere(ingest, among.directory),
        forget=Forgetting(among.origins),
        changed=changed,
    )
    workers.http_app.add_routes(app, ingest, house.rooms, listeners_of=counts.of, replays=hosts, relay=relay)
    add_whip_routes(app, ingest, settings.whip(), house.metrics, relay)
    ClusterHandlers(RedisView(cluster.nodes, cluster.links, counts.known), house.rooms).add_routes(app)


async def _followed(counts: ListenerCounts) -> AsyncIterator[None]:
    """Keep the counts while the app runs."""
    async with running(counts.follow(), "listeners of all origins"):
        yield
