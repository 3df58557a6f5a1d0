"""What every role says of itself: alive, ready, degraded, and its numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry, Counter

from contracts.access import guard
from contracts.status import StatusHandlers
from contracts.tokens import TokenGate


@dataclass
class Role:
    """A process with a state of its own."""

    status: str = "ready"
    degraded: list[str] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)


@pytest.fixture
def role() -> Role:
    return Role()


@pytest.fixture
async def client(role: Role) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    guard(app, TokenGate("secret"))
    StatusHandlers(lambda: role.status, lambda: role.degraded, role.registry).add_routes(app)
    async with TestClient(TestServer(app)) as made:
        yield made


async def test_a_role_is_alive_and_ready_to_whoever_asks(
    client: TestClient[web.Request, web.Application],
) -> None:
    for path, status in (("/healthz", "alive"), ("/readyz", "ready")):
        for method in ("GET", "HEAD"):
            answer = await client.request(method, path)
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
            if method == "GET":
                assert (await answer.json())["status"] == status


async def test_what_does_not_work_is_said_and_keeps_nobody_away(
    client: TestClient[web.Request, web.Application], role: Role
) -> None:
    role.degraded = ["one Redis of two gives no answer"]
    answer = await client.get("/readyz")
    assert (answer.status, await answer.json()) == (
        200,
        {"status": "ready", "degraded": ["one Redis of two gives no answer"]},
    )


@pytest.mark.parametrize("status", ["starting", "draining"])
async def test_who_is_not_ready_says_so_and_is_still_alive(
    client: TestClient[web.Request, web.Application], role: Role, status: str
) -> None:
    role.status = status
    answer = await client.get("/readyz")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert (await answer.json())["status"] == status
    assert (await client.get("/healthz")).status == 200


async def test_numbers_are_those_of_the_registry(
    client: TestClient[web.Request, web.Application], role: Role
) -> None:
    Counter("longwave_words", "Words spoken", registry=role.registry).inc(7)
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "longwave_words_total 7.0" in await answer.text()


async def test_what_is_wrong_is_said_without_naming_rooms_or_takes(
    client: TestClient[web.Request, web.Application], role: Role
) -> None:
    take = "board/20260131T200000Z-abc234"
    role.degraded = [f"/data/takes/{take}/reserved: the disk is full", "redis a:6379 gives no answer"]
    answer = await (await client.get("/readyz")).json()
    assert answer["degraded"] == ["/data/takes/…: the disk is full", "redis a:6379 gives no answer"]
