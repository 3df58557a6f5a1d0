"""The table of routes and roles: an app that is not in it, and what a request meets before its handler."""

from __future__ import annotations

import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from contracts.access import ACCESS, GRANT, PUBLIC, Grant, guard
from contracts.errors import Forbidden
from contracts.http import error_middleware, expect_later, json_line, read_body
from contracts.metrics import Metrics
from contracts.tokens import Keys, TokenGate

KEYS = Keys({"k": b"k" * 32})
FAR = 4_000_000_000


def app_with(*routes: tuple[str, str], metrics: Metrics | None = None) -> web.Application:
    metrics = metrics or Metrics(CollectorRegistry())
    app = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
    guard(app, TokenGate("s3cret", KEYS))
    for method, path in routes:
        app.router.add_route(method, path, _who, expect_handler=expect_later)
    return app


async def _who(request: web.Request) -> web.Response:
    grant = request.get(GRANT)
    body = await read_body(request, 100)
    return json_line({"role": None if grant is None else grant.role, "body": body.decode()})


def auth(grant: Grant) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS.sign(grant, FAR)}"}


@pytest.mark.parametrize(
    "route", [("GET", "/secrets"), ("PUT", "/rooms.json"), ("*", "/healthz"), ("GET", "/pcm/{x}")]
)
async def test_an_app_with_a_route_that_nobody_decided_on_does_not_start(route: tuple[str, str]) -> None:
    server = TestServer(app_with(("GET", "/readyz"), route))
    with pytest.raises(RuntimeError, match=rf"does not say who may use .*{re.escape(route[1])}"):
        await server.start_server()
    await server.close()


async def test_a_part_of_the_table_is_enough_to_start() -> None:
    async with TestServer(app_with(("GET", "/healthz"), ("PUT", "/pcm/{room:[a-z]+}"))):
        pass


async def test_public_routes_ask_nobody_and_others_everybody() -> None:
    app = app_with(("GET", "/healthz"), ("POST", "/rooms/{room}/end"))
    async with TestClient(TestServer(app)) as client:
        async with client.get("/healthz", headers={"Authorization": "Bearer wrong"}) as answer:
            assert (answer.status, (await answer.json())["role"]) == (200, None)
        async with client.post("/rooms/a/end") as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["Access-Control-Allow-Origin"] == "*"
        for scheme in ("Bearer", "bearer", "BEARER "):
            async with client.post("/rooms/a/end", headers={"Authorization": f"{scheme} s3cret"}) as answer:
                assert (await answer.json())["role"] == "admin"
        for wrong in ("Basic s3cret", "s3cret", "Bearer", "Bearer x", ""):
            async with client.post("/rooms/a/end", headers={"Authorization": wrong}) as answer:
                assert answer.status == 403, wrong


async def test_a_token_is_good_for_its_room_however_the_room_is_spelled() -> None:
    async with TestClient(TestServer(app_with(("POST", "/rooms/{room}/end")))) as client:
        for path, status in [("/rooms/a/end", 200), ("/rooms/%61/end", 200), ("/rooms/b/end", 403)]:
            async with client.post(path, headers=auth(Grant("host", "a"))) as answer:
                assert answer.status == status, path
        # Roles that need no room may have one.
        async with client.post("/rooms/b/end", headers=auth(Grant("admin", "a"))) as answer:
            assert answer.status == 403
            assert "for the room a only" in (await answer.json())["error"]


async def test_what_is_nowhere_is_not_found_and_needs_no_token() -> None:
    async with TestClient(TestServer(app_with(("POST", "/rooms/{room}/end")))) as client:
        async with client.get("/nowhere") as answer:
            assert answer.status == 404
        async with client.get("/rooms/a/end") as answer:
            assert answer.status == 405


async def test_a_refusal_is_counted_under_the_kind_of_its_route() -> None:
    metrics = Metrics(CollectorRegistry())
    async with TestClient(TestServer(app_with(("PUT", "/pcm/{room}"), metrics=metrics))) as client:
        await client.put("/pcm/a")
        await client.put("/pcm/a", headers={"Authorization": "Bearer x"})
    for status in ("401", "403"):
        labels = {"kind": "pcm", "status": status}
        assert metrics.registry.get_sample_value("longwave_http_requests_total", labels) == 1


async def test_who_waits_to_be_asked_for_a_body_is_asked_after_the_check() -> None:
    async with (
        TestClient(TestServer(app_with(("PUT", "/rooms/{room}")))) as client,
        client.put(
            "/rooms/a", data=b"x", headers={"Authorization": "Bearer s3cret"}, expect100=True
        ) as answer,
    ):
        assert (await answer.json())["body"] == "x"


async def test_a_token_in_the_address_counts_for_one_route_only() -> None:
    app = app_with(("GET", "/pcm/{room}/ws"), ("GET", "/rooms/{room}"), ("PUT", "/pcm/{room}"))
    token = KEYS.sign(Grant("speaker", "a"), FAR)
    async with TestClient(TestServer(app)) as client:
        for method, path, status in [
            ("GET", "/pcm/a/ws", 200),
            ("GET", "/pcm/b/ws", 403),
            ("GET", "/rooms/a", 401),
            ("PUT", "/pcm/a", 401),
        ]:
            async with client.request(method, f"{path}?token={token}") as answer:
                assert answer.status == status, path
        # What stands in the header is what is shown.
        wrong = {"Authorization": "Bearer x"}
        async with client.get(f"/pcm/a/ws?token={token}", headers=wrong) as answer:
            assert answer.status == 403


def test_a_speaker_speaks_under_the_name_on_the_token() -> None:
    ada = Grant("speaker", "room", "Ada")
    assert ada.speaks_as(None) == ada.speaks_as("Ada") == "Ada"
    with pytest.raises(Forbidden, match="'Ada' only"):
        ada.speaks_as("Bob")
    assert Grant("speaker", "room").speaks_as("Bob") == "Bob"
    assert Grant("speaker", "room").speaks_as(None) is None
    # A host speaks for others too: who feeds the room from another system.
    assert Grant("host", "room", "Ada").speaks_as("Bob") == "Bob"
    assert Grant("admin").speaks_as("Bob") == "Bob"


def test_nothing_that_changes_anything_is_public() -> None:
    methods = {method for (method, _), access in ACCESS.items() if access == PUBLIC}
    assert methods == {"GET", "HEAD", "OPTIONS"}
    assert all(access for access in ACCESS.values())
