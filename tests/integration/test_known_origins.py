"""Which origins a worker publishes to when their signs of life stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from contracts.errors import LongwaveError, OriginUnavailable
from contracts.take import TakeKey
from longwave.cluster import Cluster, KnownOrigins, follow_origins, known_origins
from workers.http_origin import HttpOrigin
from workers.news import News
from workers.origin_client import OriginClient

_KEY = TakeKey("room", "20260101T000000Z-abcdef")


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def origin() -> AsyncIterator[BaseTestServer]:
    """One that answers, if only that it knows nothing."""
    async with TestServer(web.Application(), host="127.0.0.1") as server:
        yield server


async def _ask(known: KnownOrigins) -> type[Exception]:
    (client,) = known.clients
    try:
        await client.forget(_KEY)
    except LongwaveError as error:
        return type(error)
    finally:
        await client.close()
    raise AssertionError("it knows this take")


async def test_an_origin_that_answers_is_published_to_although_its_heartbeats_stopped(
    origin: BaseTestServer,
) -> None:
    clock = _Clock()
    known = KnownOrigins((), None, clock=clock)
    assert known.look([str(origin.make_url("/"))])
    clock.now += 59
    assert await _ask(known) is not OriginUnavailable
    clock.now += 59
    assert not known.look([])
    clock.now += 2
    assert known.look([])
    assert not known.clients


async def test_an_origin_that_neither_beats_nor_answers_is_forgotten_after_a_minute() -> None:
    clock = _Clock()
    known = KnownOrigins((), None, clock=clock)
    assert known.look(["http://127.0.0.1:9"])
    clock.now += 59
    assert await _ask(known) is OriginUnavailable
    assert not known.look([])
    clock.now += 2
    assert known.look([])
    assert not known.clients


async def test_the_minute_begins_with_the_last_heartbeat_however_long_nothing_changed() -> None:
    clock, nodes, alive = _Clock(), News(), ["http://127.0.0.1:9"]
    used: list[Sequence[OriginClient]] = []

    async def use(clients: Sequence[OriginClient]) -> None:
        used.append(clients)

    known = KnownOrigins((), None, clock=clock)
    looks = 0

    def origins() -> list[str]:
        nonlocal looks
        looks += 1
        return alive

    async def looked_again() -> None:
        before = looks
        while looks < before + 2:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.001)

    cluster = cast("Cluster", SimpleNamespace(origins=origins, nodes=nodes))
    task = asyncio.create_task(follow_origins(cluster, known, use, every=0.001))
    try:
        async with asyncio.timeout(20):
            await looked_again()
            clock.now += 1000
            await looked_again()
            alive.clear()
            clock.now += 59
            nodes.announce()
            await looked_again()
            assert len(used) == 1
            clock.now += 2
            await looked_again()
    finally:
        task.cancel()
    assert [len(clients) for clients in used] == [1, 0]


async def test_clients_of_an_ingest_are_closed_when_an_origin_leaves_and_in_the_end(
    origin: BaseTestServer,
) -> None:
    nodes, other = News(), "http://localhost:9"
    alive = [str(origin.make_url("/")), other]
    cluster = cast("Cluster", SimpleNamespace(origins=lambda: alive, nodes=nodes))
    async with asyncio.timeout(20), known_origins(cluster, None) as (known, looking):
        while len(known.clients) < 2:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.001)
        stays, leaves = cast("tuple[HttpOrigin, HttpOrigin]", known.clients)
        for client in (stays, leaves):
            with pytest.raises(LongwaveError):
                await client.forget(_KEY)
        assert stays._session is not None
        assert leaves._session is not None
        known._seen.clear()
        alive.remove(other)
        nodes.announce()
        session = leaves._session
        while not session.closed:  # noqa: ASYNC110 - once
            await asyncio.sleep(0.001)
        assert known.clients == (stays,)
        assert stays._session is not None
        session = stays._session
        assert not session.closed
        assert not looking.done()
    assert session.closed


def test_an_origin_is_known_by_one_name_however_it_is_written() -> None:
    known = KnownOrigins(["http://127.0.0.1:9/"], None)
    (fixed,) = known.clients
    assert isinstance(fixed, HttpOrigin)
    assert not known.look(["http://127.0.0.1:9"])
    assert known.clients == (fixed,)


def test_what_an_origin_was_before_its_disk_was_emptied_is_no_other_origin() -> None:
    urls = {"me": "http://a", "before": "http://a", "sister": "http://b", "nowhere": ""}
    nodes = SimpleNamespace(alive=lambda _: [SimpleNamespace(id=name, url=url) for name, url in urls.items()])
    me = cast("Any", SimpleNamespace(id="me", url="http://a"))
    cluster = Cluster(cast("Any", None), cast("Any", nodes), me)
    assert cluster.origins() == ["http://b"]


async def test_an_address_that_nobody_can_ask_is_no_origin_and_hides_none() -> None:
    known = KnownOrigins((), None)
    assert known.look(["http://[::1", "http://a:1", "", "ftp://b", "http://c:99999"])
    assert [client.name for client in known.clients] == ["http://a:1"]
    assert not known.look(["http://[::1", "http://a:1"])
