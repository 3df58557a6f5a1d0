"""A Varnish edge before two origins that were fed alike: either may go, and listeners do not notice."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from origin.service import OriginLimits
from tests.edge_stage import Stage, asked, edge_before, until, until_answered
from tests.origins import Answer, RunningOrigin, running, settings
from tests.tcp_proxy import TcpProxy

pytestmark = [
    pytest.mark.needs("varnishd", "vmod_digest"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
CROWD = 50
PLAYLISTS = ("playlist", "blocking_playlist")
# Longer than an answer of 503 takes that another origin is asked after.
LIMITS = OriginLimits(block_seconds=3.2)


@dataclass
class Pair(Stage):
    """The stage, and the lines between the edge and its origins."""

    links: tuple[TcpProxy, TcpProxy]

    def line(self, take: RunningOrigin, which: int) -> RunningOrigin:
        """The take as that origin has it."""
        return replace(self.origins[which], take=take.take, put_so_far=take.put_so_far)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running_pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        origins = [await stack.enter_async_context(running(settings(), limits=LIMITS)) for _ in range(2)]
        ports = [int(origin.url.rpartition(":")[2]) for origin in origins]
        first, second = (stack.enter_context(TcpProxy(port)) for port in ports)
        urls = [f"127.0.0.1:{link.port}" for link in (first, second)]
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before("varnish", urls, directory))
        yield Pair(edge, origins, (first, second))


@pytest_asyncio.fixture(loop_scope="module")
async def pair(running_pair: Pair) -> AsyncIterator[Pair]:
    """Both origins are there, and the edge knows it."""
    yield running_pair
    for link, origin in zip(running_pair.links, running_pair.origins, strict=True):
        link.heal()
        origin.origin.being_filled = False
    direct, through = await running_pair.take()
    for number in fresh_numbers():
        before = asked(direct, "part")
        await through.get(f"{number}.0.m4s")
        if asked(direct, "part") > before:
            return
        await asyncio.sleep(0.1)


def fresh_numbers() -> Iterator[int]:
    """Addresses that nobody asked for yet."""
    return iter(range(1_000, 1_200))


async def crowd(pair: Pair, through: RunningOrigin, path: str) -> list[asyncio.Task[Answer]]:
    """Some who ask for the same, of whom all but one wait in the edge."""
    before = pair.asleep()
    tasks = [asyncio.create_task(through.get(path)) for _ in range(CROWD)]
    await until(lambda: pair.asleep() - before >= CROWD - 1, "all but one wait in the edge")
    return tasks


async def test_those_who_wait_at_an_origin_that_dies_are_answered_by_its_sister(pair: Pair) -> None:
    direct, through = await pair.take((3, 2))
    sister = pair.line(direct, 1)
    waiting = await crowd(pair, through, "index.m3u8?_HLS_msn=3&_HLS_part=2")
    hinted = await crowd(pair, through, "3.2.m4s")
    await until(lambda: (direct.blocked, sister.blocked) == (2, 0), "they wait at the first one")
    pair.links[0].cut()
    await until(lambda: sister.blocked == 2, "they wait at its sister")
    await sister.feed((3, 3))
    playlists = await asyncio.gather(*waiting)
    parts = await asyncio.gather(*hinted)
    assert {(answer.status, answer.body) for answer in parts} == {(200, direct.part(3, 2))}
    assert {(answer.status, answer.body) for answer in playlists} == {(200, (await sister.playlist()).body)}
    assert "3.2.m4s" in playlists[0].text


async def test_bytes_and_etags_are_those_of_the_origin_that_is_gone(pair: Pair) -> None:
    direct, through = await pair.take((4, 0))
    before = await through.get("1.m4s")
    pair.links[0].cut()
    after = [await through.get("2.m4s"), await through.get("index.m3u8?_HLS_msn=3")]
    assert [answer.status for answer in after] == [200, 200]
    assert after[0].headers["ETag"] == (await direct.get("2.m4s")).headers["ETag"]
    assert after[1].text == (await direct.playlist("?_HLS_msn=3")).text
    assert before.headers["ETag"] == (await direct.get("1.m4s")).headers["ETag"]


async def test_an_origin_that_says_503_at_once_is_passed_over_and_then_left_alone(pair: Pair) -> None:
    direct, through = await pair.take((3, 2))
    sister = pair.line(direct, 1)
    direct.origin.being_filled = True
    asked_before = asked(direct, *PLAYLISTS)
    answer = await through.playlist("?_HLS_msn=2")
    assert (answer.status, asked(direct, *PLAYLISTS) - asked_before) == (200, 1)
    # /readyz says it too: soon nobody asks there any more, and nothing else changes.
    numbers = iter(range(100))
    left_alone = 0
    while left_alone < 3:
        before = asked(direct, *PLAYLISTS), asked(sister, *PLAYLISTS)
        assert (await through.playlist(f"?_HLS_msn=2&_HLS_part={next(numbers)}")).status in {200, 400}
        left_alone = left_alone + 1 if asked(direct, *PLAYLISTS) == before[0] else 0
        assert asked(sister, *PLAYLISTS) == before[1] + 1
        await asyncio.sleep(0.1)


async def test_an_origin_that_had_nothing_for_its_whole_time_is_believed(pair: Pair) -> None:
    direct, through = await pair.take((3, 2))
    sister = pair.line(direct, 1)
    before = asked(direct, *PLAYLISTS), asked(sister, *PLAYLISTS)
    answers = await asyncio.gather(*await crowd(pair, through, "index.m3u8?_HLS_msn=3&_HLS_part=2"))
    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=1"}
    assert (asked(direct, *PLAYLISTS) - before[0], asked(sister, *PLAYLISTS) - before[1]) == (1, 0)


async def test_where_no_origin_answers_the_edge_says_so_and_no_longer_than_that(pair: Pair) -> None:
    direct, through = await pair.take((3, 2))
    kept = await through.get("1.m4s")
    for link in pair.links:
        link.cut()
    answers = await asyncio.gather(*(through.playlist("?_HLS_msn=2") for _ in range(CROWD)))
    assert {answer.status for answer in answers} == {503}
    answer = answers[0]
    assert answer.error == "no origin answers: try again in a moment"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert (await through.get("1.m4s")).body == kept.body
    for link in pair.links:
        link.heal()
    assert (await until_answered(through, f"{through.line()}/index.m3u8?_HLS_msn=2", 200)).text
    assert direct.take == through.take
