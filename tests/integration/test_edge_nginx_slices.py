"""Ranges of a long replay through nginx: what is fetched for them, and what is no range."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.edge_site import REPLAY, SIZE, Site, real_site

pytestmark = [
    pytest.mark.needs("nginx", "njs"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with real_site("nginx", tmp_path_factory.mktemp) as site:
        yield site


async def test_a_jump_into_the_middle_brings_the_megabyte_that_it_needs_once(site: Site) -> None:
    before = site.asked("replay")
    for wanted in ("bytes=2500000-2500099", "bytes=2500100-2500199"):
        answer = await site.get(f"{REPLAY}.m4a", Range=wanted)
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"{wanted.replace('=', ' ')}/{SIZE}"
        assert answer.body == site.kept.m4a[first : last + 1]
    assert site.asked("replay") - before == 1
    whole = await site.get(f"{REPLAY}.m4a")
    assert (whole.status, whole.body) == (200, site.kept.m4a)
    # The three others.
    assert site.asked("replay") - before == 4


# Within the last megabyte nginx finds it out, beyond it the origin.
@pytest.mark.parametrize("first", [SIZE, 99_999_999])
async def test_a_range_beyond_the_end_is_refused_in_the_words_of_the_origin(site: Site, first: int) -> None:
    wanted = f"bytes={first}-"
    there = await site.behind.get(".m4a", Range=wanted)
    here = await site.get(f"{REPLAY}.m4a", Range=wanted)
    assert (here.status, here.body) == (there.status, there.body)
    assert here.status == 416
    for name in ("Content-Type", "Content-Range", "Access-Control-Allow-Origin"):
        assert here.headers.getall(name) == there.headers.getall(name)
    assert here.headers.getall("Cache-Control")[-1] == "no-store"


async def test_several_ranges_at_once_are_the_whole_as_at_the_origin(site: Site) -> None:
    for name, wanted in ((".m4a", "bytes=0-7,1000000-1000007"), ("/chapters.json", "bytes=0-1,5-6")):
        there = await site.behind.get(f"{REPLAY}{name}", Range=wanted)
        assert there.status == 200
        # On its way into the cache, and from there.
        for _ in range(2):
            here = await site.get(f"{REPLAY}{name}", Range=wanted)
            assert (here.status, here.body) == (there.status, there.body)
