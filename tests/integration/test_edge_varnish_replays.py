"""What a Varnish edge alone promises of what it keeps: one copy, revalidation, stale in need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count

import pytest
import pytest_asyncio
from aiohttp import web

from tests.edge_stage import StandIn, edge_before, fetch, fresh_take, stand_in
from tests.edge_waiting import all_inside
from tests.edges import Edge
from tests.origins import Answer

pytestmark = [
    pytest.mark.needs("varnishd", "varnishstat", "vmod_digest"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
SOUND = "".join(f"{number:08d}" for number in range(20_000))
_NUMBERS = count()


@dataclass
class Shelf:
    """An edge, and the stand-in behind it."""

    edge: Edge
    origin: StandIn

    async def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return await fetch(self.edge.url + path, method, **headers)

    async def answered(self, path: str, status: int) -> None:
        """Return once `path` is answered so."""
        async with asyncio.timeout(20):
            while True:
                if (await self.get(path)).status == status:
                    return
                await asyncio.sleep(0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole_shelf(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shelf]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(stand_in())
        directory = tmp_path_factory.mktemp("edge")
        yield Shelf(await stack.enter_async_context(edge_before("varnish", [origin.url], directory)), origin)


@pytest_asyncio.fixture(loop_scope="module")
async def shelf(whole_shelf: Shelf) -> Shelf:
    whole_shelf.origin.asked.clear()
    whole_shelf.origin.answers.clear()
    return whole_shelf


def replay() -> str:
    """The address of a replay that no other test has."""
    return f"/replay/room/{fresh_take()}.m4a"


KEPT = {"Cache-Control": "public, max-age=60", "ETag": '"one"', "Accept-Ranges": "bytes"}


async def test_ranges_are_cut_from_the_one_copy(shelf: Shelf) -> None:
    path = replay()
    shelf.origin.says(path, SOUND, fields=KEPT)
    for _ in range(2):
        middle = await shelf.get(path, Range="bytes=80000-80007")
        assert (middle.status, middle.text) == (206, "00010000")
        assert middle.headers["Content-Range"] == "bytes 80000-80007/160000"
    assert (await shelf.get(path, Range="bytes=-8")).text == "00019999"
    assert (await shelf.get(path, Range="bytes=0-7", If_Range='"one"')).status == 206
    assert (await shelf.get(path, Range="bytes=0-7", If_Range='"other"')).text == SOUND
    assert len(shelf.origin.asked) == 1


async def test_a_range_that_is_not_there_is_refused_in_the_words_of_the_edge(shelf: Shelf) -> None:
    path = replay()
    shelf.origin.says(path, SOUND, fields=KEPT)
    for wanted in ("bytes=160000-", "bytes=7-3", "bytes=-0"):
        beyond = await shelf.get(path, Range=wanted)
        assert (beyond.status, beyond.headers["Content-Range"]) == (416, "bytes */160000"), wanted
        assert beyond.headers["Cache-Control"] == "no-store"
        assert beyond.error == "this range begins beyond the end: there are 160000 bytes"
    for wanted in ("bytes=0-1,4-7", "bytes=x", "seconds=1-2", f"bytes=0-{'9' * 30}"):
        whole = await shelf.get(path, Range=wanted)
        assert (whole.status, whole.text) == (200, SOUND), wanted
    assert len(shelf.origin.asked) == 1


async def test_what_has_grown_old_is_asked_about_and_not_fetched_again(shelf: Shelf) -> None:
    path = replay()
    asked_about: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        asked_about.append(request.headers.get("If-None-Match"))
        fields = {"Cache-Control": "public, max-age=1", "ETag": '"one"'}
        if request.headers.get("If-None-Match") == '"one"':
            return web.Response(status=304, headers=fields)
        return web.Response(text=SOUND, headers=fields)

    shelf.origin.answers[path] = answer
    while len(asked_about) < 2:
        assert (await shelf.get(path)).text == SOUND
        await asyncio.sleep(0.1)
    assert asked_about == [None, '"one"']
    # And what has been edited meanwhile is seen by the first who asks.
    shelf.origin.says(path, "edited", fields=KEPT)
    await asyncio.sleep(1.1)
    assert (await shelf.get(path)).text == "edited"


async def test_a_feed_is_kept_by_the_name_it_was_asked_for_under_however_that_is_spelt(shelf: Shelf) -> None:
    path = f"/feeds/room{next(_NUMBERS)}.xml"

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.host, headers={"Cache-Control": "public, max-age=60"})

    shelf.origin.answers[path] = answer
    for host in ("a.example", "b.example", "A.example", "B.example"):
        assert (await shelf.get(path, Host=host)).text.lower() == host.lower()
    assert len(shelf.origin.asked) == 2


async def test_time_in_an_edge_between_counts_and_what_is_old_already_still_serves_a_crowd(
    shelf: Shelf,
) -> None:
    path = f"/live/room/{fresh_take()}/64k/index.m3u8"
    fields = {"Cache-Control": "public, max-age=12", "CDN-Cache-Control": "max-age=12, must-revalidate"}
    released = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        await released.wait()
        return web.Response(text="text", headers={**fields, "Age": "12"})

    shelf.origin.answers[path] = answer
    waiting = await all_inside(shelf.edge, (shelf.get(path) for _ in range(20)))
    released.set()
    assert {answer.text for answer in await asyncio.gather(*waiting)} == {"text"}
    assert len(shelf.origin.asked) == 1
    await shelf.get(path)
    assert len(shelf.origin.asked) == 2


async def test_while_no_origin_is_well_what_is_old_is_better_than_nothing_but_for_what_is_live(
    shelf: Shelf,
) -> None:
    """The last of all: it takes Varnish a while to see that an origin is well again."""
    kept, live = replay(), f"/live/room/{fresh_take()}/64k/index.m3u8"
    briefly = {"Cache-Control": "public, max-age=1", "ETag": '"one"'}
    shelf.origin.says(kept, SOUND, fields=briefly)
    shelf.origin.says(live, "text", fields=briefly)
    assert {(await shelf.get(path)).status for path in (kept, live)} == {200}
    shelf.origin.ready = False
    try:
        await shelf.answered(live, 503)
        assert (await shelf.get(kept)).text == SOUND
    finally:
        shelf.origin.ready = True
