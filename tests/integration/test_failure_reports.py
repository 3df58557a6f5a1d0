"""All workers know which takes are dangerous: failures are counted in every Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import BusUnavailable
from contracts.metrics import Metrics
from contracts.take import TakeKey
from tests.redis_server import RedisServer
from tests.waiting import until
from workers.cluster.failure_reports import FailureReports, Reported, all_reported, parse_reported
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
    reporting = FailureReports(links, "here", clock)
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
    return int(server.command("HGET", keys.failures(key), "here") or 0)


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


async def test_what_ended_a_process_is_counted_for_its_node_and_as_a_crash(
    servers: list[RedisServer], links: BusLinks, reports: tuple[FailureReports, Clock]
) -> None:
    key = TakeKey("reports-crash", "20260101T000000Z-abc234")
    reports[0].add(key)
    reports[0].add(key, crashed=True)
    await ask(links)
    await until(lambda: all(counted(server, key) == 2 for server in servers))
    for server in servers:
        with server.client() as client:
            assert parse_reported(client.hgetall(keys.failures(key))) == Reported({"here": 2}, 1)


@pytest.mark.parametrize(
    ("by_node", "crashes", "condemned"),
    [
        ({}, 0, False),
        ({"a": 100}, 0, False),
        ({"a": 100}, 2, False),
        ({"a": 3}, 3, True),
        ({"a": 1, "b": 1}, 0, False),
        ({"a": 2, "b": 1}, 0, True),
    ],
)
def test_a_take_is_to_blame_where_two_nodes_failed_or_three_processes_died(
    by_node: dict[str, int], crashes: int, condemned: bool
) -> None:
    assert Reported(by_node, crashes).condemned == condemned


def test_what_two_redis_counted_is_no_more_than_what_happened() -> None:
    said = parse_reported({b"a": b"1", b"b": b"2", keys.CRASHES: b"1", b"c": b"nonsense"})
    assert all_reported([said, Reported({"a": 2}, 2), parse_reported(b"no hash")]) == Reported(
        {"a": 2, "b": 2}, 2
    )
