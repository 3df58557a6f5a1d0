"""The tiers of the settings, and an origin's view of its rooms on them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.errors import UsageError
from contracts.listeners import Tier
from longwave.running import running
from origin.tier_memory import TierMemory, look_for_ever, remember_for_ever
from origin.tiers import TierPlan
from origin.whereabouts import Whereabouts
from workers.cluster.listeners import ListenerCounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pydantic import AnyHttpUrl

    from longwave.cluster import Cluster
    from longwave.self_report import SelfReport
    from longwave.settings import OriginSettings
    from origin.service import Origin

_FILE: Final = "tiers.json"


def tier_plan(settings: OriginSettings) -> TierPlan:
    """Where rooms are heard, by their size. Raises UsageError where listeners could not find back."""
    edges = tuple(_base("LONGWAVE_EDGE_URL", url) for url in settings.edge_url)
    cdn = "" if settings.cdn_url is None else _base("LONGWAVE_CDN_URL", settings.cdn_url)
    public_url = "" if settings.public_url is None else str(settings.public_url).rstrip("/")
    if not edges and not cdn:
        return TierPlan(public_url=public_url)
    if not public_url:
        raise UsageError(
            "LONGWAVE_PUBLIC_URL: with edges or a CDN, set it to what listeners call this server: "
            "small rooms are heard there"
        )
    if edges and cdn and settings.edge_from >= settings.cdn_from:
        raise UsageError(
            f"LONGWAVE_EDGE_FROM: {settings.edge_from} is not less than LONGWAVE_CDN_FROM, "
            f"{settings.cdn_from}: rooms go to the edges first"
        )
    bases = {Tier.ORIGIN: (public_url,), Tier.EDGE: edges, Tier.CDN: (cdn,) if cdn else ()}
    starts = {Tier.EDGE: settings.edge_from, Tier.CDN: settings.cdn_from}
    there = [tier for tier in Tier if bases[tier]]
    return TierPlan(
        {tier: bases[tier] for tier in there},
        {tier: starts[tier] for tier in there if tier in starts},
        public_url,
    )


@dataclass(frozen=True, slots=True)
class Counting:
    """Who listens to an origin's rooms, and where; the tasks that look never return by themselves."""

    whereabouts: Whereabouts
    background: tuple[asyncio.Task[None], ...]


@asynccontextmanager
async def counting(
    settings: OriginSettings, origin: Origin, me: SelfReport, cluster: Cluster | None
) -> AsyncIterator[Counting]:
    """Look at the rooms of `origin`, and with a cluster ask the others what they know, and tell them."""
    async with AsyncExitStack() as stack:
        counts = None if cluster is None else _counts(cluster)
        memory = TierMemory(settings.data_dir / _FILE)
        whereabouts = Whereabouts(
            origin,
            tier_plan(settings),
            others=tuple if counts is None else lambda: counts.beside(me.id),
            remembered=await asyncio.to_thread(memory.load),
        )
        work = {
            "tiers": look_for_ever(whereabouts),
            "tiers' memory": remember_for_ever(whereabouts, memory),
        }
        if counts is None:
            me.listeners = whereabouts.told_here
        else:
            me.listeners = lambda: whereabouts.told_here(counts.claimed(me.id))
            work["listeners of other origins"] = counts.follow()
            work["listeners"] = counts.say_for_ever(me.id, whereabouts.headcount)
        tasks = [await stack.enter_async_context(running(each, name)) for name, each in work.items()]
        yield Counting(whereabouts, tuple(tasks))


def _counts(cluster: Cluster) -> ListenerCounts:
    return ListenerCounts(cluster.links, lambda: [node.id for node in cluster.nodes.alive("origin")])


def _base(name: str, url: AnyHttpUrl) -> str:
    """What addresses of playlists begin with. Raises UsageError."""
    if url.query or url.fragment or url.username or url.password:
        raise UsageError(f"{name}: an address without a query, such as https://edge.example")
    return str(url).rstrip("/")
