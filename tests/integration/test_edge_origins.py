"""Edges before two origins that were fed alike: either may go, and listeners do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from origin.service import OriginLimits
from tests.edge_stage import PROGRAMS, Stage, asked, edge_before, until, until_answered
from tests.origins import RunningOrigin, running, settings
from tests.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
CROWD = 50
PLAYLISTS = ("playlist", "blocking_playlist")
# As long as each believes an origin that says 503 after it: nginx looks at the 6 s of use, Varnish at 3 s.
BLOCK_SECONDS = {"varnish": 3.2, "nginx": 6.0}


@dataclass
class Pair(Stage):
    """The stage, and the lines between the edge and its origins."""

    links: tuple[TcpProxy, TcpProxy]

    def sister_of(self, take: RunningOrigin) -> RunningOrigin:
        """The take as the second origin has it."""
        return replace(self.origins[1], take=take.take, put_so_far=take.put_so_far)


@pytest_asyncio.fixture(loop_scope="module", params=PROGRAMS)
async def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Pair]:
    """New for each test: an edge remembers for a while which origin was away."""
    limits = OriginLimits(block_seconds=BLOCK_SECONDS[request.param])
    async with AsyncExitStack() as stack:
        origins = [await stack.enter_async_context(running(settings(), limits=limits)) for _ in range(2)]
        ports = [int(origin.url.rpartition(":")[2]) for origin in origins]
        first, second = (stack.enter_context(TcpProxy(port)) for port in ports)
        urls = [f"127.0.0.1:{link.port}" for link in (first, second)]
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before(request.param, urls, directory))
        yield Pair(edge, origins, (first, second))


async def test_those_who_wait_at_an_origin_that_dies_get_the_same_bytes_and_etags_of_its_sister(
    pair: Pair,
) -> None:
    direct, through = await pair.take((3, 2))
    sister = pair.sister_of(direct)
    before = await through.get("1.m4s")
    waiting = await pair.crowd(through, "index.m3u8?_HLS_msn=3&_HLS_part=2", CROWD)
    hinted = await pair.crowd(through, "3.2.m4s", CROWD)
    await until(lambda: (direct.blocked, sister.blocked) == (2, 0), "they wait at the first one")
    pair.links[0].cut()
    await until(lambda: sister.blocked == 2, "they wait at its sister")
    await sister.feed((3, 3))
    playlists, parts = await asyncio.gather(*waiting), await asyncio.gather(*hinted)
    assert {(answer.status, answer.body) for answer in parts} == {(200, direct.part(3, 2))}
    assert {(answer.status, answer.body) for answer in playlists} == {(200, (await sister.playlist()).body)}
    assert "3.2.m4s" in playlists[0].text
    # And what is asked for only then.
    after = [await through.get("2.m4s"), await through.get("index.m3u8?_HLS_msn=2")]
    assert [answer.status for answer in after] == [200, 200]
    assert asked(sister, "segment") == 1
    assert after[0].headers["ETag"] == (await direct.get("2.m4s")).headers["ETag"]
    assert after[1].text == (await sister.playlist("?_HLS_msn=2")).text
    assert before.headers["ETag"] == (await direct.get("1.m4s")).headers["ETag"]


async def test_what_the_next_origin_has_not_got_yet_is_waited_for_there(pair: Pair) -> None:
    """Two origins are some milliseconds apart: what one has listed the other is about to be given."""
    direct, through = await pair.take((3, 4))
    sister = pair.sister_of(direct)
    await direct.feed((4, 1))
    pair.links[0].cut()
    names = ("3.4.m4s", "4.0.m4s", "3.m4s")
    waiting = [asyncio.create_task(through.get(name)) for name in names]
    await until(lambda: sister.blocked == len(names), "they wait at the second one")
    await sister.feed((4, 1))
    answers = await asyncio.gather(*waiting)
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, direct.part(3, 4)),
        (200, direct.part(4, 0)),
        (200, direct.segment(3)),
    ]


async def test_an_origin_that_says_503_at_once_is_passed_over_and_then_left_alone(pair: Pair) -> None:
    direct, through = await pair.take((3, 2))
    sister = pair.sister_of(direct)
    direct.origin.being_filled = True
    assert (await through.playlist("?_HLS_msn=2")).status == 200
    assert (asked(direct, *PLAYLISTS), asked(sister, *PLAYLISTS)) == (1, 1)
    # After its second failure (nginx), or once /readyz says it too (Varnish), nobody asks there for a while,
    # and nothing else changes. Each address is a new one; what the origin refuses counts as well.
    left_alone = number = 0
    while left_alone < 3:
        before, number = asked(direct, *PLAYLISTS), number + 1
        assert (await through.playlist(f"?_HLS_msn=2&_HLS_part={number}")).status in {200, 400}
        assert asked(sister, *PLAYLISTS) == number + 1
        left_alone = left_alone + 1 if asked(direct, *PLAYLISTS) == before else 0
        assert number < 100
        await asyncio.sleep(0.02)


async def test_an_origin_that_had_nothing_for_its_whole_time_is_believed(pair: Pair) -> None:
    direct, through = await pair.take((3, 2))
    answers = await asyncio.gather(*await pair.crowd(through, "index.m3u8?_HLS_msn=3&_HLS_part=2", CROWD))
    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=1"}
    assert (asked(direct, *PLAYLISTS), asked(pair.sister_of(direct), *PLAYLISTS)) == (1, 0)
    # It is not taken for one that fails: other rooms stay where they are.
    assert (await through.playlist("?_HLS_msn=2")).status == 200
    assert (asked(direct, *PLAYLISTS), asked(pair.sister_of(direct), *PLAYLISTS)) == (2, 0)


async def test_where_no_origin_answers_the_edge_says_so_and_no_longer_than_that(pair: Pair) -> None:
    _, through = await pair.take((3, 2))
    kept = await through.get("1.m4s")
    for link in pair.links:
        link.cut()
    answers = await asyncio.gather(*(through.playlist("?_HLS_msn=2") for _ in range(CROWD)))
    assert {answer.status for answer in answers} == {503}
    answer = answers[0]
    words = {"varnish": "no origin answers", "nginx": "no origin has an answer yet"}
    assert answer.error == f"{words[pair.edge.program]}: try again in a moment"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert (await through.get("1.m4s")).body == kept.body
    for link in pair.links:
        link.heal()
    assert (await until_answered(through, "index.m3u8?_HLS_msn=2", 200)).text.startswith("#EXTM3U")
