"""PURGE at real edges: all that is kept of a take is let go of, for those who may say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from contracts.listen import ListenKeys, listen_key
from tests.edge_stage import PROGRAMS, StandIn, edge_before, fetch, fresh_take, stand_in
from tests.edges import Edge
from tests.origins import Answer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
KEYS = ListenKeys({"k1": listen_key(b"of this edge")})
SIGNED = f"/p/{KEYS.sign('room', 4_000_000_000)}"
KEPT = {"Cache-Control": "public, max-age=31536000, immutable", "ETag": '"one"'}


@dataclass
class Shelf:
    """Two edges, and the stand-in behind both: `closed` takes purges from nobody who is here."""

    edge: Edge
    closed: Edge
    origin: StandIn

    async def get(self, path: str) -> str:
        return (await fetch(self.edge.url + path)).text

    async def purge(self, key: str, path: str = "/") -> Answer:
        return await fetch(self.edge.url + path, "PURGE", Surrogate_Key=key)

    def says(self, body: str, paths: list[str], key: str) -> None:
        for path in paths:
            self.origin.says(path, body, fields=KEPT, Surrogate_Key=key)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROGRAMS)
async def shelf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shelf]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(stand_in())
        directory = tmp_path_factory.mktemp("edge")
        started = edge_before(request.param, [origin.url], directory, keys=tuple(KEYS.by_kid.items()))
        edge = await stack.enter_async_context(started)
        elsewhere = edge_before(request.param, [origin.url], directory, purge_from="192.0.2.0/24")
        yield Shelf(edge, await stack.enter_async_context(elsewhere), origin)


def all_of(take: str) -> list[str]:
    """What edges keep of a take."""
    live = f"/live/room/{take}/64k"
    replay = f"/replay/room/{take}"
    public = [
        *(f"{live}/{name}" for name in ("init.mp4", "7.m4s", "8.0.m4s", "index.m3u8?_HLS_msn=8&_HLS_part=0")),
        *(f"{replay}{name}" for name in ("", ".m4a", "/index.m3u8", "/chapters.json", "/64k/0.mp4")),
    ]
    return [*public, *(f"{SIGNED}{path}" for path in public)]


async def test_everything_of_a_take_is_let_go_of_each_time_and_nothing_else(shelf: Shelf) -> None:
    take, other = fresh_take(), fresh_take()
    paths = all_of(take)
    # Pages are asked about once a second by nginx, whatever is kept of them.
    kept, others = ([path for path in all_of(each) if not path.endswith(each)] for each in (take, other))
    shelf.says("other", others, other)
    for path in others:
        assert await shelf.get(path) == "other"
    shelf.says("not asked for", others, other)
    for said in ("first", "second", "third"):
        shelf.says(said, paths, take)
        assert [await shelf.get(path) for path in paths] == [said] * len(paths)
        shelf.says("not asked for", paths, take)
        assert [await shelf.get(path) for path in kept] == [said] * len(kept)
        done = await shelf.purge(take)
        assert (done.status, done.text) == (200, f'{{"purged": "{take}"}}\n')
        assert done.headers["Cache-Control"] == "no-store"
        assert done.headers["Access-Control-Allow-Origin"] == "*"
    assert [await shelf.get(path) for path in others] == ["other"] * len(others)


async def test_a_take_that_was_deleted_is_gone(shelf: Shelf) -> None:
    take = fresh_take()
    (path, *_) = all_of(take)
    shelf.says("sound", [path], take)
    assert await shelf.get(path) == "sound"
    del shelf.origin.answers[path]
    assert await shelf.get(path) == "sound"
    assert (await shelf.purge(take, "/any/other")).status == 200
    assert (await fetch(shelf.edge.url + path)).status == 404


async def test_what_was_purged_stays_so_when_keys_are_read_again(shelf: Shelf) -> None:
    take = fresh_take()
    (path, *_) = all_of(take)
    shelf.says("before", [path], take)
    assert await shelf.get(path) == "before"
    await shelf.purge(take)
    shelf.says("after", [path], take)
    assert await shelf.get(path) == "after"
    shelf.says("not asked for", [path], take)
    await asyncio.to_thread(shelf.edge.reload, tuple(KEYS.by_kid.items()))
    for _ in range(10):
        assert await shelf.get(path) == "after"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("key", ["", 'x" || obj.status == 200', "a b", "../x", "a/b", "x" * 65])
async def test_what_names_no_take_purges_nothing(shelf: Shelf, key: str) -> None:
    answer = await shelf.purge(key)
    assert (answer.status, answer.error) == (400, "name a take: Surrogate-Key")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_nobody_else_may_purge(shelf: Shelf) -> None:
    take = fresh_take()
    (path, *_) = all_of(take)
    shelf.says("before", [path], take)
    assert (await fetch(shelf.closed.url + path)).text == "before"
    shelf.says("after", [path], take)
    refused = await fetch(f"{shelf.closed.url}/", "PURGE", Surrogate_Key=take)
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert refused.error == "this resource takes GET, HEAD, OPTIONS"
    assert (await fetch(shelf.closed.url + path)).text == "before"


@pytest.mark.parametrize("path", ["/", "/readyz", "/live/room/index.m3u8"])
async def test_a_purge_is_told_of_as_one_wherever_it_is_sent(shelf: Shelf, path: str) -> None:
    take = fresh_take()
    answer = await shelf.purge(take, path)
    assert (answer.status, answer.text) == (200, f'{{"purged": "{take}"}}\n')


async def test_a_request_cannot_purge_by_the_address_at_which_it_is_done(shelf: Shelf) -> None:
    answer = await fetch(f"{shelf.edge.url}/-/purge", Surrogate_Key="take")
    assert (answer.status, answer.error) == (404, "nothing lives at this address")


async def test_two_takes_in_one_purge_are_refused_and_not_half_done(shelf: Shelf) -> None:
    keys = [("Surrogate-Key", fresh_take()) for _ in range(2)]
    async with (
        aiohttp.ClientSession() as session,
        session.request("PURGE", shelf.edge.url, headers=keys) as no,
    ):
        assert no.status == 400
