"""A room that grows over an origin and two real edges: who listens follows it, and is counted where they are.

One of the edges stands in for a CDN, before the other. How a room shrinks again, which takes minutes, is a
long run (`tests/soak/test_tiers.py`); what makes it do so has tests with a clock of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from contracts.listeners import Tier
from longwave.load.crowd import Crowd
from origin.app import Rooms
from origin.service import Origin
from origin.tiers import TierPlan
from origin.whereabouts import Whereabouts
from tests.crowds import listening, on_air
from tests.edge_stage import edge_before, until
from tests.origins import ROOM, running

pytestmark = [
    pytest.mark.needs("varnishd", "varnishncsa", "varnishstat", "vmod_digest"),
    pytest.mark.timeout(120),
]
FEW, SOME, MANY = 3, 7, 6
STARTS = {Tier.EDGE: 8, Tier.CDN: 12}


class Site:
    """What an origin knows of where its rooms are heard; the edges come later than it."""

    def rooms(self, origin: Origin) -> Rooms:
        self.whereabouts = Whereabouts(origin)
        return Rooms(whereabouts=self.whereabouts)

    def begin(self, origin: str, edge: str, cdn: str) -> None:
        bases = {Tier.ORIGIN: (origin,), Tier.EDGE: (edge,), Tier.CDN: (cdn,)}
        self.whereabouts.plan = TierPlan(bases, STARTS, origin)

    @property
    def counted(self) -> tuple[int, ...]:
        value = self.whereabouts.origin.metrics.registry.get_sample_value
        counts = (value("longwave_tier_listeners", {"tier": tier.word}) for tier in Tier)
        return tuple(int(count or 0) for count in counts)


def all_at(tier: str, *crowds: Crowd) -> Callable[[], bool]:
    """Whether all of them have been told that they listen at `tier`."""

    def there() -> bool:
        standings = [each._where.standing for crowd in crowds for each in list(crowd.listeners)]
        return all(standing is not None and standing.tier == tier for standing in standings)

    return there


async def test_listeners_follow_their_room_to_the_edge_and_to_the_cdn_and_are_counted_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("origin.http_listen._ASK_AGAIN", dict.fromkeys(Tier, 1))
    site = Site()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        room = await enter(running(rooms=site.rooms))
        edge = await enter(edge_before("varnish", [room.url], tmp_path, count="", name="edge-1"))
        # What it asks the edge for is nobody's listening there, and it tells the origin itself.
        tell = room.url.removeprefix("http://")
        cdn = await enter(
            edge_before("varnish", [edge.url], tmp_path, count="", name="cdn-1", tier="cdn", tell=tell)
        )
        site.begin(room.url, edge.url, cdn.url)
        room.segments = 40
        await enter(on_air(room))

        async def come(number: int) -> Crowd:
            url, listen = room.url, f"/listen/{ROOM}.json"
            return await enter(listening(url, number, low_latency=True, listen=listen))

        few = await come(FEW)
        await until(lambda: site.counted == (FEW, 0, 0), "the few are counted at the origin")
        assert site.whereabouts.tier(ROOM) is Tier.ORIGIN
        some = await come(SOME)
        await until(lambda: len(some.listeners) == SOME, "they come")
        await until(all_at("edge", few, some), "all move to the edge")
        many = await come(MANY)
        await until(lambda: len(many.listeners) == MANY, "more come")
        await until(all_at("cdn", few, some, many), "all move to the CDN")
        everybody = FEW + SOME + MANY
        await until(lambda: site.counted == (0, 0, everybody), f"{everybody} are counted at the CDN alone")
        assert site.whereabouts.listeners(ROOM) == everybody
        assert few.tally.under("move") == {"edge>cdn": FEW, "origin>edge": FEW}
        for crowd in (few, some, many):
            assert crowd.tally.counts["flaps"] == 0
            assert crowd.tally.under("error") == {}
