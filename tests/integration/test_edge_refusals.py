"""A Varnish edge before origins that refuse whom it lets in: they do not have the key of the token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count

import pytest
import pytest_asyncio
from aiohttp import web

from contracts.listen import ListenKeys, listen_key
from tests.edge_stage import StandIn, edge_before, fetch, stand_in, until
from tests.edge_waiting import Inside
from tests.edges import Edge
from tests.origins import Answer

pytestmark = [
    pytest.mark.needs("varnishd", "varnishstat", "vmod_digest"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
KNOWN = ListenKeys({"2025.q4": listen_key(b"of last year")})
# Edges have it already, origins do not.
EARLY = ListenKeys({"2026.q1": listen_key(b"of this year")})
FAR = 4_000_000_000
REFUSAL = '{"error": "this address is not known here: ask whoever invited you for a new one"}\n'
_NUMBERS = count()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Edge, StandIn]]:
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(stand_in())
        keys = (*KNOWN.by_kid.items(), *EARLY.by_kid.items())
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before("varnish", [origin.url], directory, keys=keys))
        yield edge, origin


class Part:
    """A part of a private room that nobody has asked for yet. The origin lets all wait who ask."""

    def __init__(self, edge: Edge, origin: StandIn) -> None:
        self.edge = edge
        self.origin = origin
        self.path = f"/live/closed/20260101T000000Z-abc234/64k/{next(_NUMBERS)}.m4s"
        self.released = asyncio.Event()
        origin.asked.clear()

    def signed(self, keys: ListenKeys, expires: int = FAR) -> str:
        """Its address for a listener; the origin knows what to say to them."""
        address = f"/p/{keys.sign('closed', expires)}{self.path}"

        async def answer(_: web.Request) -> web.Response:
            await self.released.wait()
            if keys is EARLY:
                return refused()
            return web.Response(text="sound", headers={"Cache-Control": "public, max-age=60"})

        self.origin.answers[address] = answer
        return address

    async def get(self, address: str) -> Answer:
        return await fetch(self.edge.url + address)

    async def wait_behind(self, first: str, others: list[str]) -> list[Answer]:
        """All ask while the origin lets the first one wait; their answers, in this order."""
        inside = Inside(self.edge)
        tasks = [asyncio.create_task(self.get(first))]
        await until(lambda: self.origin.asked, "the first one is there")
        tasks += [asyncio.create_task(self.get(address)) for address in others]
        await inside.are(len(tasks))
        self.released.set()
        return await asyncio.gather(*tasks)


def refused() -> web.Response:
    fields = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*", "Vary": "Accept-Encoding"}
    return web.Response(text=REFUSAL, status=403, headers=fields, content_type="application/json")


async def test_who_is_refused_by_an_origin_hears_it_in_its_words(doors: tuple[Edge, StandIn]) -> None:
    part = Part(*doors)
    part.released.set()
    answer = await part.get(part.signed(EARLY))
    assert (answer.status, answer.text) == (403, REFUSAL)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "x-lw" not in str(answer.headers).lower()
    assert len(part.origin.asked) == 1


async def test_a_crowd_with_a_key_that_origins_do_not_have_is_one_request(
    doors: tuple[Edge, StandIn],
) -> None:
    part = Part(*doors)
    first, *others = (part.signed(EARLY, FAR + number) for number in range(100))
    answers = await part.wait_behind(first, others)
    assert {(answer.status, answer.text) for answer in answers} == {(403, REFUSAL)}
    assert part.origin.paths() == [first]


async def test_nobody_is_refused_for_the_key_of_others_and_all_who_have_a_good_one_are_one_request(
    doors: tuple[Edge, StandIn],
) -> None:
    part = Part(*doors)
    first, *others = (part.signed(EARLY, FAR + number) for number in range(40))
    known = [part.signed(KNOWN, FAR + number) for number in range(39)]
    answers = await part.wait_behind(first, [one for pair in zip(others, known, strict=True) for one in pair])
    assert {(answer.status, answer.text) for answer in answers[2::2]} == {(200, "sound")}
    # Who looks when it has come for the others gets it, too, from the edge, which knows the key.
    assert {answer.status for answer in answers[1::2]} <= {200, 403}
    asked = part.origin.paths()
    assert (asked[0], len(asked)) == (first, 2)
    assert asked[1] in known


async def test_a_refusal_is_over_when_the_key_has_come(doors: tuple[Edge, StandIn]) -> None:
    part = Part(*doors)
    part.released.set()
    address = part.signed(EARLY)
    assert (await part.get(address)).status == 403
    part.origin.says(address, "sound", Cache_Control="public, max-age=60")
    # It stands for all who asked before it came, and for a millisecond.
    await asyncio.sleep(0.01)
    answer = await part.get(address)
    assert (answer.status, answer.text) == (200, "sound")


async def test_a_refused_token_that_is_about_to_end_is_no_word_about_its_key(
    doors: tuple[Edge, StandIn],
) -> None:
    """The clock of the origin may be ahead."""
    part = Part(*doors)
    ending = part.signed(KNOWN, int(time.time()) + 30)

    async def over(_: web.Request) -> web.Response:
        await part.released.wait()
        return refused()

    part.origin.answers[ending] = over
    first, *others = await part.wait_behind(ending, [part.signed(KNOWN, FAR + 1)] * 20)
    assert first.status == 403
    assert {(answer.status, answer.text) for answer in others} == {(200, "sound")}
    assert len(part.origin.asked) == 2
