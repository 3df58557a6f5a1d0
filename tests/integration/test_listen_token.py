"""`POST /rooms/{room}/listen-token`: who gets a path into a private room, and for how long."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from contracts.access import ACCESS, PUBLIC, Grant, guard
from contracts.http import error_middleware, json_line
from contracts.metrics import Metrics
from contracts.tokens import Keys, TokenGate
from tests.world import World
from workers.http_listen import ListenTokenHandlers
from workers.http_rooms import RoomHandlers

KEYS = Keys({"k": b"k" * 32})
# A whole minute, and twenty seconds.
NOW = 1_800_000_020
DAY = 86_400
FAR = NOW + 1000 * DAY
PATH = "/rooms/room/listen-token"

Client = TestClient[web.Request, web.Application]


def app_with(gate: TokenGate, metrics: Metrics) -> web.Application:
    app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
    guard(app, gate)
    ListenTokenHandlers(metrics.listen_tokens).add_routes(app)
    for (method, path), access in ACCESS.items():
        if access != PUBLIC and not path.endswith("/listen-token"):
            app.router.add_route(method, path, _anything)
    return app


async def _anything(_: web.Request) -> web.Response:
    return json_line({"done": True})


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
async def client(metrics: Metrics) -> AsyncIterator[Client]:
    gate = TokenGate("s3cret", KEYS, lambda: NOW + 0.5)
    async with TestClient(TestServer(app_with(gate, metrics))) as made:
        yield made


def auth(role: str, room: str | None = "room", expires: int = FAR) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS.sign(Grant(role, room), expires)}"}  # type: ignore[arg-type]


async def ask(client: Client, headers: dict[str, str], seconds: object = None) -> tuple[int, Any]:
    body = None if seconds is None else json.dumps({"for": seconds}).encode()
    async with client.post(PATH, data=body, headers=headers) as answer:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        return answer.status, await answer.json()


@pytest.mark.parametrize("role", ["admin", "host", "speaker", "listener"])
async def test_everybody_with_a_token_of_the_room_gets_ten_minutes_to_the_end_of_one(
    client: Client, metrics: Metrics, role: str
) -> None:
    status, answer = await ask(client, auth(role))
    expires = NOW + 40 + 600
    token = KEYS.listen.sign("room", expires)
    assert (status, answer) == (
        201,
        {
            "room": "room",
            "token": token,
            "path": f"/p/{token}",
            "playlist": f"/p/{token}/live/room/index.m3u8",
            "expires": expires,
        },
    )
    KEYS.listen.check(token, "room", expires - 1)
    issued = metrics.registry.get_sample_value("longwave_listen_tokens_total", {"outcome": "issued"})
    assert issued == 1


async def test_listeners_of_one_minute_get_one_path(client: Client) -> None:
    paths = {(await ask(client, auth(role)))[1]["path"] for role in ("listener", "speaker", "host")}
    assert len(paths) == 1


@pytest.mark.parametrize(
    ("role", "asked", "granted"),
    [
        ("host", 60, 100),
        ("host", 3 * 3600, 40 + 3 * 3600),
        ("host", 366 * DAY, 40 + 366 * DAY),
        ("admin", 30 * DAY, 40 + 30 * DAY),
        ("listener", 20, 40),
        ("listener", 601, 640),
        ("speaker", 366 * DAY, 640),
    ],
)
async def test_hosts_say_for_how_long_and_others_get_ten_minutes_at_most(
    client: Client, role: str, asked: int, granted: int
) -> None:
    status, answer = await ask(client, auth(role), asked)
    assert (status, answer["expires"]) == (201, NOW + granted)


@pytest.mark.parametrize("role", ["host", "listener"])
async def test_nobody_lets_in_for_longer_than_they_may_come_in_themselves(client: Client, role: str) -> None:
    status, answer = await ask(client, auth(role, expires=NOW + 33), 300)
    assert (status, answer["expires"]) == (201, NOW + 33)
    # Clocks of those who sign may be a few seconds off: that is no reason to give a token that is over.
    status, answer = await ask(client, auth(role, expires=NOW - 5))
    assert (status, answer["error"]) == (403, "this token has expired")


async def test_who_has_no_token_of_the_room_gets_none(client: Client) -> None:
    assert (await ask(client, {}))[0] == 401
    for wrong in (auth("listener", "other"), auth("host", "other"), auth("publish", None), auth("publish")):
        assert (await ask(client, wrong))[0] == 403
    # One path leads to no other: a listen token is no bearer's.
    token = (await ask(client, auth("host")))[1]["token"]
    assert (await ask(client, {"Authorization": f"Bearer {token}"}))[0] == 403


@pytest.mark.parametrize("seconds", [0, -1, 366 * DAY + 1, 1.5, "60", True, [60]])
async def test_a_wish_that_makes_no_sense_is_refused(client: Client, seconds: object) -> None:
    status, answer = await ask(client, auth("host"), seconds)
    assert status == 400
    assert '{"for": seconds}' in answer["error"]


@pytest.mark.parametrize("body", [b"[]", b"{}", b"nonsense", b'{"for": 60, "room": "other"}', b"\xff"])
async def test_other_bodies_are_refused(client: Client, body: bytes) -> None:
    async with client.post(PATH, data=body, headers=auth("host")) as answer:
        assert answer.status == 400


async def test_pages_of_other_sites_may_ask(client: Client) -> None:
    origin = {"Origin": "https://elsewhere.example"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with client.options(PATH, headers=origin | asked) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        # `*` would not stand for this one (Fetch, "CORS non-wildcard request-header name").
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert (await ask(client, origin | auth("listener")))[0] == 201


async def test_an_invitation_lets_nobody_do_anything_else(client: Client) -> None:
    done = 0
    for (method, path), access in ACCESS.items():
        if access != PUBLIC and not path.endswith("/listen-token"):
            at = path.format(
                room="room", name="x", session="x", take="t", rendition="64k", msn=1, part=1, event=1
            )
            async with client.request(method, at, headers=auth("listener")) as answer:
                assert answer.status == 403, (method, path)
            async with client.request(method, at, headers={"Authorization": "Bearer s3cret"}) as answer:
                assert answer.status == 200, (method, path)
            done += 1
    assert done > 20


async def test_where_everything_is_open_nothing_is_private(metrics: Metrics) -> None:
    async with TestClient(TestServer(app_with(TokenGate(), metrics))) as client:
        status, answer = await ask(client, {})
        assert status == 400
        assert "LONGWAVE_TOKEN" in answer["error"]


@pytest.mark.parametrize(("gate", "status"), [(TokenGate(), 400), (TokenGate(keys=KEYS), 201)])
async def test_a_room_can_be_private_where_tokens_are_asked_for(
    tmp_path: Path, metrics: Metrics, gate: TokenGate, status: int
) -> None:
    app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
    guard(app, gate)
    world = World(tmp_path)
    RoomHandlers(world.ingest, world.rooms, lambda _: 0).add_routes(app)
    async with TestClient(TestServer(app)) as client:
        room = {"visibility": "private"}
        async with client.put("/rooms/room", json=room, headers=auth("host")) as answer:
            assert answer.status == status
            assert ("LONGWAVE_TOKEN or LONGWAVE_KEYS" in await answer.text()) == (status == 400)
        assert (world.rooms.get("room") is None) == (status == 400)
        async with client.put("/rooms/room", json={"visibility": "unlisted"}, headers=auth("host")) as answer:
            assert answer.status in {200, 201}
