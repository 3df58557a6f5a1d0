"""`take.json` over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from contracts.errors import DiskUnavailable
from contracts.http import error_middleware
from contracts.ids import check_take
from contracts.metrics import Metrics
from contracts.take import TakeKey
from origin.app import add_routes
from origin.cache_policy import error_cache_control
from origin.http_record import RecordOf
from origin.service import Origin, OriginLimits

TAKE = "20260101T000000Z-abc234"
PATH = f"/replay/town-hall/{TAKE}/take.json"
BODY = b'{"room": "town-hall"}\n'


def known(key: TakeKey) -> bytes | None:
    check_take(key.take)
    return BODY if key == ("town-hall", TAKE) else None


@asynccontextmanager
async def serving(record_of: RecordOf) -> AsyncIterator[aiohttp.ClientSession]:
    metrics = Metrics(CollectorRegistry())
    app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)])
    add_routes(app, Origin(OriginLimits(), metrics), record_of=record_of, pages={})
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            yield session
    finally:
        await runner.cleanup()


async def test_the_record_is_public_and_kept_for_a_minute() -> None:
    async with serving(known) as session:
        async with session.get(PATH) as answer:
            assert (answer.status, await answer.read()) == (200, BODY)
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["Cache-Control"] == "public, max-age=60"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
            tag = answer.headers["ETag"]
            assert not tag.startswith("W/")
        async with session.get(PATH, headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
        async with session.head(PATH) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(BODY)))


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"/replay/elsewhere/{TAKE}/take.json", 404), ("/replay/town-hall/yesterday/take.json", 400)],
)
async def test_no_record_is_an_error_that_is_kept_for_a_second(path: str, status: int) -> None:
    async with serving(known) as session, session.get(path) as answer:
        assert answer.status == status
        assert answer.headers["Cache-Control"] == "public, max-age=1"
        assert (await answer.json())["error"]


async def test_a_disk_that_fails_is_not_the_listeners_fault() -> None:
    def broken(_: TakeKey) -> bytes | None:
        raise DiskUnavailable("it is broken")

    async with serving(broken) as session, session.get(PATH) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (507, "no-store")
