"""Listeners of a room are those of all living origins, as they say every two seconds."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from prometheus_client import CollectorRegistry

from contracts.listeners import EdgeReport, Headcount, Tier
from contracts.metrics import Metrics
from tests.bus_writing import eventually
from tests.redis_server import RedisServer
from workers.cluster.listeners import ListenerCounts
from workers.redis_bus.links import open_links

pytestmark = pytest.mark.needs("redis-server")

EDGE = EdgeReport(Tier.EDGE, {"hall": 20})
TWO = Headcount({"hall": 4, "other": 1}, {"e1": EDGE}, {"hall": Tier.EDGE})


async def test_what_origins_say_is_added_up_without_being_asked_for() -> None:
    with RedisServer() as redis:
        links = open_links([redis.url], Metrics(CollectorRegistry()))
        alive = ["one", "two"]
        counts = ListenerCounts(links, lambda: alive)
        tasks = [
            asyncio.create_task(counts.say_for_ever("one", lambda: Headcount({"hall": 3}, {"e1": EDGE}))),
            asyncio.create_task(counts.say_for_ever("two", lambda: TWO)),
            asyncio.create_task(counts.follow()),
        ]
        # The edge tells both, and is one all the same.
        await eventually(lambda: counts.of("hall") == 27)
        assert counts.beside("one") == (TWO,)
        assert [counts.claimed(name) for name in ("one", "two")] == [frozenset(), frozenset({"e1"})]
        alive.clear()
        await eventually(lambda: counts.of("hall") == 0)
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await links.close()
