"""The speaking side of a process among others: rooms are claimed, takes are written to every Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from longwave.speaking import speaking_of, started
from pipeline.grid import SAMPLE_RATE
from workers.cluster.namesakes import elder_namesake
from workers.cluster.ownership import Ownership
from workers.memory_bus import MemoryHub
from workers.redis_bus.writers import BusWriters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from longwave.cluster import Cluster
    from longwave.house import House
    from longwave.settings import IngestRoleSettings
    from workers.cluster.nodes import Nodes
    from workers.ingest import Ingest

# What Redis may lose in an outage, and gets again (`keys.EXPIRES_SECONDS` is of another kind).
_SOUND_HELD: Final = 60 * SAMPLE_RATE
# What writers get to hand over what was said last, when the process is told to stop.
_FLUSH_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class OwnedRooms:
    """An ingest that owns rooms among others, what it owns, and its tasks that never return."""

    ingest: Ingest
    ownership: Ownership
    background: tuple[asyncio.Task[None], ...]


@asynccontextmanager
async def owned_rooms(
    settings: IngestRoleSettings, house: House, cluster: Cluster, encoder: str
) -> AsyncIterator[OwnedRooms]:
    """An ingest among others, from now on.

    In the end its rooms are given up, once Redis has all that was said in them: another ingest goes on with
    their takes at once.
    """
    links = cluster.links
    hub = MemoryHub(sound_held=_SOUND_HELD)
    ownership = Ownership(
        links,
        cluster.me.id,
        cluster.me.url,
        namesake=lambda: elder_namesake(cluster.me.id, cluster.nodes.alive("ingest")),
    )
    speaking = speaking_of(settings, house, hub, common_encoder(cluster.nodes, encoder), claims=ownership)
    writers = BusWriters(links, hub, ownership, house.metrics)
    ownership.start()
    writers.start()
    try:
        async with started(speaking.ingest):
            tasks = [*speaking.ingest.background, *ownership.background, *writers.background]
            yield OwnedRooms(speaking.ingest, ownership, tuple(tasks))
    finally:
        await writers.stop(_FLUSH_SECONDS)
        await ownership.stop()


def common_encoder(nodes: Nodes, own: str) -> Callable[[], str]:
    """Gives the fingerprint that most workers have, which will encode the take; `own` where there is none."""

    def encoder() -> str:
        counts = Counter(node.encoder for node in nodes.alive("worker") if node.encoder and not node.draining)
        return max(counts, key=lambda each: (counts[each], each)) if counts else own

    return encoder
