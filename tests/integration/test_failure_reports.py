"""All workers know which takes are dangerous: failures are counted in every Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import BusUnavailable
from contracts.metrics import Metrics
from contracts.take import TakeKey
from tests.publishing import until
from tests.redis_server import RedisServer
from workers.cluster.failure_reports import FailureReports
from workers.redis_bus import keys
from workers.redis_bus.links import BusLinks, open_links

pytestmark = pytest.mark.needs("redis-server")


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RedisServer]]:
    with RedisServer() as first, RedisServer() as second:
        yield [first, second]


@pytest.fixture
async def links(servers: list[RedisServer]) -> AsyncIterator[BusLinks]:
    opened = open_links([server.url for server in servers], Metrics(CollectorRegistry()))
    yield opened
    await opened.close()


@pytest.fixture
async def reports(links: BusLinks) -> AsyncIterator[tuple[FailureReports, Clock]]:
    clock = Clock()
    reporting = FailureReports(links, clock)
    reporting.start()
    yield reporting, clock
    await reporting.stop()


async def ask(links: BusLinks) -> None:
    """As other parts of a process do all the time: so it is known which Redis answers."""
    for link in links:
        try:
            await link.call("coordinate", link.client.ping())
        except BusUnavailable:
            continue


def counted(server: RedisServer, key: TakeKey) -> int:
    return int(server.command("GET", keys.failures(key)) or 0)


async def test_each_redis_counts_what_was_reported_also_before_it_answered(
    servers: list[RedisServer], links: BusLinks, reports: tuple[FailureReports, Clock]
) -> None:
    key = TakeKey("reports-both", "20260101T000000Z-abc234")
    reports[0].add(key)
    reports[0].add(key)
    await ask(links)
    await until(lambda: all(counted(server, key) == 2 for server in servers))
    reports[0].add(key)
    await until(lambda: all(counted(server, key) == 3 for server in servers))
    for server in servers:
        assert 0 < server.command("TTL", keys.failures(key)) <= keys.EXPIRES_SECONDS


async def test_a_redis_that_is_gone_keeps_nothing_from_the_other_and_is_told_when_it_is_back(
    servers: list[RedisServer], links: BusLinks, reports: tuple[FailureReports, Clock]
) -> None:
    key = TakeKey("reports-gone", "20260101T000000Z-abc234")
    gone, there = servers
    gone.kill()
    await ask(links)
    reports[0].add(key)
    await until(lambda: counted(there, key) == 1)
    gone.start()
    await ask(links)
    await until(lambda: counted(gone, key) == 1)
    assert counted(there, key) == 1


async def test_a_failure_is_told_once_also_to_a_redis_that_hangs(
    servers: list[RedisServer], links: BusLinks, reports: tuple[FailureReports, Clock]
) -> None:
    key, after = (TakeKey(room, "20260101T000000Z-abc234") for room in ("reports-hang", "reports-after"))
    hanging, there = servers
    await ask(links)
    hanging.freeze()
    reports[0].add(key)
    await until(lambda: not links[0].up)
    hanging.thaw()
    await ask(links)
    reports[0].add(after)
    await until(lambda: counted(hanging, after) == 1)
    assert counted(hanging, key) <= 1
    assert counted(there, key) == 1


async def test_a_failure_from_long_ago_is_told_to_nobody(
    servers: list[RedisServer], links: BusLinks, reports: tuple[FailureReports, Clock]
) -> None:
    old, new = (TakeKey(room, "20260101T000000Z-abc234") for room in ("reports-old", "reports-new"))
    reporting, clock = reports
    reporting.add(old)
    clock.now += keys.EXPIRES_SECONDS
    reporting.add(new)
    await ask(links)
    await until(lambda: all(counted(server, new) == 1 for server in servers))
    assert [counted(server, old) for server in servers] == [0, 0]


async def test_it_is_known_when_the_first_redis_has_heard_of_all(
    servers: list[RedisServer], links: BusLinks, reports: tuple[FailureReports, Clock]
) -> None:
    key = TakeKey("reports-told", "20260101T000000Z-abc234")
    await asyncio.wait_for(reports[0].told(), 5)
    reports[0].add(key)
    waiting = asyncio.create_task(reports[0].told())
    # Nobody knows yet which Redis answers.
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await links[1].call("coordinate", links[1].client.ping())
    await asyncio.wait_for(waiting, 5)
    assert counted(servers[1], key) == 1
    assert counted(servers[0], key) == 0
