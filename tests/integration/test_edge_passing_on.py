"""What edges tell an origin, and for how long they keep what it said, before a stand-in that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from multidict import CIMultiDict

from tests.edge_stage import PROGRAMS, StandIn, edge_before, fetch, fresh_take, stand_in
from tests.edge_waiting import all_inside
from tests.edges import Edge
from tests.origins import Answer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
KEPT = "public, max-age=60"
OURS = "longwave-edge"
_NUMBERS = count()


@dataclass
class Shelf:
    """An edge, and the stand-in behind it."""

    edge: Edge
    origin: StandIn

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return await fetch(self.edge.url + path, method, **headers)

    async def says(self, path: str, text: str) -> None:
        """Return once `path` is answered so."""
        async with asyncio.timeout(20):
            while (await self.get(path)).text != text:  # noqa: ASYNC110 - nothing tells when an answer is over
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROGRAMS)
async def whole_shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shelf]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(stand_in())
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before(request.param, [origin.url], directory))
        yield Shelf(edge, origin)


@pytest_asyncio.fixture(loop_scope="module")
async def shelf(whole_shelf: Shelf) -> Shelf:
    whole_shelf.origin.asked.clear()
    whole_shelf.origin.answers.clear()
    return whole_shelf


def replay(name: str = ".m4a") -> str:
    """An address of a replay that no other test has."""
    return f"/replay/room/{fresh_take()}{name}"


def playlist() -> str:
    """The address of a live playlist that no other test has."""
    return f"/live/room/{fresh_take()}/64k/index.m3u8"


async def test_what_an_edge_tells_an_origin_is_nobodys_but_its_own(shelf: Shelf) -> None:
    for path in (replay(), playlist()):
        shelf.origin.asked.clear()
        shelf.origin.says(path, "sound", Cache_Control=KEPT)
        theirs = {"Cookie": "a=b", "Referer": "https://x.example/", "User_Agent": "Somebody/1", "X_Own": "1"}
        await shelf.get(path, CDN_Loop="other", **theirs)
        (request,) = shelf.origin.asked
        assert request.headers["CDN-Loop"] == "other, longwave-edge"
        own = {"Cookie", "Referer", "User-Agent", "X-Forwarded-For", "X-Varnish"}
        assert not own & set(request.headers)


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", ""),
        ("x=1", ""),
        ("_HLS_skip=v2", "?_HLS_skip=v2"),
        ("_HLS_part=1&_HLS_msn=2", "?_HLS_msn=2&_HLS_part=1"),
        ("_HLS_skip=YES&_HLS_msn=2", "?_HLS_msn=2&_HLS_skip=YES"),
        ("_HLS_skip=YES&_HLS_part=0", "?_HLS_part=0&_HLS_skip=YES"),
        ("a&_HLS_skip=YES&_HLS_part=0&b=1&_HLS_msn=2", "?_HLS_msn=2&_HLS_part=0&_HLS_skip=YES"),
    ],
)
async def test_directives_reach_the_origin_in_one_order(shelf: Shelf, query: str, sent: str) -> None:
    path = playlist()
    await shelf.get(f"{path}?{query}")
    assert shelf.origin.paths() == [path + sent]


async def test_an_error_is_kept_for_the_second_that_it_is_good_for(shelf: Shelf) -> None:
    paths = {f"{playlist()}?_HLS_msn=2": status for status in (400, 404, 500, 503)}
    for path, status in paths.items():
        shelf.origin.says(path, "{}", status, Cache_Control="public, max-age=1")
        assert [(await shelf.get(path)).status for _ in range(4)] == [status] * 4
        # The second may end between them.
        assert shelf.origin.paths().count(path) in {1, 2}
        shelf.origin.says(path, "text", Cache_Control="public, max-age=1")
    for path in paths:
        await shelf.says(path, "text")


@pytest.mark.parametrize("name", [".m4a", "/take.json"])
async def test_what_somebody_got_for_showing_who_he_is_is_kept_for_nobody(shelf: Shelf, name: str) -> None:
    path = replay(name)
    # Whatever an origin says of it.
    shelf.origin.says(path, "for a host", Cache_Control=KEPT)
    assert (await shelf.get(path, Authorization="Bearer t")).body == b"for a host"
    shelf.origin.says(path, "for all", Cache_Control=KEPT)
    assert (await shelf.get(path)).body == b"for all"
    assert (await shelf.get(path, Authorization="Bearer t")).body == b"for all"
    shown = [one.headers.get("Authorization") for one in shelf.origin.asked]
    assert shown == ["Bearer t", None, "Bearer t"]


async def test_an_answer_that_no_cache_may_keep_makes_no_crowd_at_the_origin_later(shelf: Shelf) -> None:
    path = replay()
    shelf.origin.says(path, "finishing", 409, Cache_Control="no-store")
    assert (await shelf.get(path)).status == 409
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response(text="sound", headers={"Cache-Control": KEPT})

    shelf.origin.answers[path] = answer
    waiting = await all_inside(shelf.edge, (shelf.get(path) for _ in range(20)))
    released.set()
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    assert len(shelf.origin.asked) == 2


async def test_what_was_changed_is_seen_when_its_time_is_over(shelf: Shelf) -> None:
    """Also where nginx has the file of its cache still open."""
    path = replay("/chapters.json")
    for version in ("one", "two"):
        shelf.origin.says(path, version, Cache_Control="public, max-age=1", ETag=f'"{version}"')
        await shelf.says(path, version)
        answers = [await shelf.get(path) for _ in range(5)]
        assert {(one.text, one.headers["ETag"]) for one in answers} == {(version, f'"{version}"')}
    assert 2 <= len(shelf.origin.asked) <= 4


async def test_pages_are_asked_for_once_a_second_or_less_while_browsers_ask_each_time(shelf: Shelf) -> None:
    path = f"/listen/room{next(_NUMBERS)}"
    fields = {"Cache-Control": "no-cache", "CDN-Cache-Control": "max-age=10", "ETag": '"page"'}
    shelf.origin.says(path, "<html>", fields=fields)
    answers = await asyncio.gather(*(shelf.get(path) for _ in range(50)))
    assert {(answer.text, answer.headers["Cache-Control"]) for answer in answers} == {("<html>", "no-cache")}
    assert (await shelf.get(path, If_None_Match='"page"')).status == 304
    # Varnish for as long as CDN-Cache-Control says.
    assert 1 <= len(shelf.origin.asked) <= {"varnish": 1, "nginx": 3}[shelf.edge.program]


@pytest.mark.parametrize(
    "lines",
    [[], ["other.example"], [OURS, OURS, OURS], ["other.example", f"{OURS}, another; x=1", OURS]],
    ids=len,
)
async def test_what_caches_before_have_said_of_themselves_is_passed_on_and_added_to(
    shelf: Shelf, lines: list[str]
) -> None:
    path = replay()
    shelf.origin.says(path, "sound", Cache_Control=KEPT)
    assert (await looped(shelf.edge.url + path, lines)).status == 200
    (asked,) = shelf.origin.asked
    assert asked.headers["CDN-Loop"] == ", ".join([*lines, OURS])


@pytest.mark.parametrize(
    "lines", [[", ".join([OURS] * 4)], [OURS] * 4, ["other.example", f"{OURS}, {OURS}", OURS, OURS]], ids=len
)
async def test_a_request_that_goes_in_circles_is_ended(shelf: Shelf, lines: list[str]) -> None:
    answer = await looped(shelf.edge.url + replay(), lines)
    assert (answer.status, answer.error) == (508, "this request goes round in circles between edges")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert shelf.origin.asked == []


async def looped(url: str, lines: list[str]) -> Answer:
    """One request with these lines of `CDN-Loop`."""
    fields = CIMultiDict([("CDN-Loop", line) for line in lines])
    async with ClientSession() as client, client.get(url, headers=fields) as answer:
        return Answer(answer.status, answer.headers, await answer.read())
