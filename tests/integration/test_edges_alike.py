"""Requests that go in circles, and preflights of private rooms: answered alike by Varnish and by nginx."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from multidict import CIMultiDict

from contracts.listen import ListenKeys, listen_key
from tests.edge_stage import StandIn, edge_before, fetch, stand_in
from tests.edges import Edge
from tests.origins import Answer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
BOTH = (
    pytest.param("varnish", marks=pytest.mark.needs("varnishd", "vmod_digest")),
    pytest.param("nginx", marks=pytest.mark.needs("nginx", "njs")),
)
OURS = "longwave-edge"
KEYS = ListenKeys({"k": listen_key(b"of these tests")})
_NEW = count()


@dataclass
class Door:
    """An edge, and the stand-in behind it."""

    edge: Edge
    origin: StandIn

    async def get(self, lines: Sequence[str]) -> Answer:
        """Something that nobody asked for before, with these lines of `CDN-Loop`."""
        path = f"/live/room/20260101T000000Z-abc234/64k/{next(_NEW)}.m4s"
        self.origin.says(path, "sound", Cache_Control="public, max-age=60")
        self.origin.asked.clear()
        fields = CIMultiDict([("CDN-Loop", line) for line in lines])
        async with ClientSession() as client, client.get(self.edge.url + path, headers=fields) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=BOTH)
async def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Door]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(stand_in())
        directory = tmp_path_factory.mktemp("edge")
        keys = tuple(KEYS.by_kid.items())
        edge = await stack.enter_async_context(edge_before(request.param, [origin.url], directory, keys=keys))
        yield Door(edge, origin)


@pytest.mark.parametrize(
    "lines",
    [[], ["other.example"], [OURS, OURS, OURS], ["other.example", f"{OURS}, another; x=1", OURS]],
    ids=len,
)
async def test_what_caches_before_have_said_of_themselves_is_passed_on_and_added_to(
    door: Door, lines: list[str]
) -> None:
    assert (await door.get(lines)).status == 200
    (asked,) = door.origin.asked
    assert asked.headers["CDN-Loop"] == ", ".join([*lines, OURS])


@pytest.mark.parametrize(
    "lines", [[", ".join([OURS] * 4)], [OURS] * 4, ["other.example", f"{OURS}, {OURS}", OURS, OURS]], ids=len
)
async def test_a_request_that_goes_in_circles_is_ended(door: Door, lines: list[str]) -> None:
    answer = await door.get(lines)
    assert (answer.status, answer.error) == (508, "this request goes round in circles between edges")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert door.origin.asked == []


@pytest.mark.parametrize(
    "token", ["x", KEYS.sign("other", 4_000_000_000), KEYS.sign("closed", 1_700_000_000)]
)
async def test_a_preflight_needs_no_token_that_is_good(door: Door, token: str) -> None:
    door.origin.asked.clear()
    address = f"{door.edge.url}/p/{token}/live/closed/20260101T000000Z-abc234/64k/index.m3u8"
    assert (await fetch(address)).status == 403
    answer = await fetch(address, "OPTIONS", Origin="https://player.example")
    assert (answer.status, answer.body) == (204, b"")
    fields = ("Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Max-Age")
    assert [answer.headers[field] for field in fields] == ["*", "*", "86400"]
    assert door.origin.asked == []
