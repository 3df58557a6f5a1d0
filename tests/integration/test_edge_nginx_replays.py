"""Replays, feeds and pages through a real nginx edge, from a real origin before a storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from storage.disk_objects import DiskObjects
from tests.edge_stage import edge_before, fetch, stand_in
from tests.edges import Edge
from tests.origins import Answer
from tests.replay_site import KEY, Kept, Serving, bearer, keep, serving

pytestmark = [
    pytest.mark.needs("nginx", "njs"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
SIZE = 3_300_000
REPLAY = f"/replay/{KEY.room}/{KEY.take}"


@dataclass
class Site:
    """An edge, and the origin behind it."""

    edge: Edge
    behind: Serving
    kept: Kept

    async def get(self, path: str, **headers: str) -> Answer:
        return await fetch(self.edge.url + path, **headers)

    def asked(self, *kinds: str) -> int:
        """How many answers of these kinds the origin gave."""
        families = {family.name: family for family in self.behind.origin.metrics.registry.collect()}
        samples = families["longwave_http_requests"].samples
        return int(sum(s.value for s in samples if s.name.endswith("_total") and s.labels["kind"] in kinds))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    objects = DiskObjects(tmp_path_factory.mktemp("storage"))
    kept = keep(objects, Kept(size=SIZE))
    hidden = KEY._replace(take="20260102T000000Z-abc234")
    keep(objects, Kept(hidden, published=False, size=2_000))
    async with AsyncExitStack() as stack:
        behind = await stack.enter_async_context(serving(objects, pages=None))
        directory = tmp_path_factory.mktemp("edge")
        edge = await stack.enter_async_context(edge_before("nginx", [f"127.0.0.1:{behind.port}"], directory))
        yield Site(edge, behind, kept)


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
    assert whole.headers["ETag"] == (await site.behind.get(".m4a")).headers["ETag"]
    known = await site.get(f"{REPLAY}.m4a", If_None_Match=whole.headers["ETag"])
    assert (known.status, known.body) == (304, b"")


@pytest.mark.parametrize("wanted", ["bytes=1048000-1049000", "bytes=-100", "bytes=3200000-", "bytes=0-0"])
async def test_ranges_are_those_of_the_origin(site: Site, wanted: str) -> None:
    there = await site.behind.get(".m4a", Range=wanted)
    here = await site.get(f"{REPLAY}.m4a", Range=wanted)
    fields = ("Content-Range", "Content-Length", "Content-Type", "ETag", "Cache-Control")
    assert (here.status, here.body) == (there.status, there.body) == (206, there.body)
    assert [here.headers[name] for name in fields] == [there.headers[name] for name in fields]
    assert here.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_range_beyond_the_end_is_told_so(site: Site) -> None:
    assert (await site.get(f"{REPLAY}.m4a", Range="bytes=99999999-")).status == 416
    assert (await site.get(f"{REPLAY}.m4a", Range="bytes=3300000-")).status == 416


@pytest.mark.parametrize(
    "name", ["index.m3u8", "64k/index.m3u8", "64k/0.mp4", "64k/init.mp4", "chapters.json", "peaks.json"]
)
async def test_everything_of_a_replay_is_asked_for_once(site: Site, name: str) -> None:
    there = await site.behind.get(f"{REPLAY}/{name}")
    before = site.asked("replay")
    answers = [await site.get(f"{REPLAY}/{name}?from={number}") for number in range(2)]
    assert [(answer.status, answer.body) for answer in answers] == [(200, there.body)] * 2
    assert site.asked("replay") - before == 1
    assert answers[1].headers["ETag"] == there.headers["ETag"]
    assert answers[1].headers["Cache-Control"] == "public, max-age=60"


async def test_a_host_sees_what_is_not_published_and_leaves_it_to_nobody(site: Site) -> None:
    path = f"/replay/{KEY.room}/20260102T000000Z-abc234"
    for name in (".m4a", "/chapters.json", "/64k/0.mp4"):
        shown = await site.get(path + name, **bearer("host"))
        assert (shown.status, shown.headers["Cache-Control"]) == (200, "no-store")
        assert (await site.get(path + name)).status == 404
        part = await site.get(path + name, Range="bytes=1-9", **bearer("host"))
        assert part.body == shown.body[1:10] or name == "/chapters.json"


async def test_a_feed_is_kept_for_each_name_that_it_is_asked_under(site: Site) -> None:
    before = site.asked("feed")
    feeds = [
        await site.get(f"/feeds/{KEY.room}.xml", Host=name)
        for name in ("a.example", "b.example", "a.example")
    ]
    assert [feed.status for feed in feeds] == [200] * 3
    assert ["http://a.example/" in feed.text for feed in feeds] == [True, False, True]
    assert "http://b.example/" in feeds[1].text
    assert 2 <= site.asked("feed") - before <= 3


@pytest.mark.parametrize("path", ["/", f"/listen/{KEY.room}", REPLAY, "/assets/style.css", "/rooms.json"])
async def test_pages_are_those_of_the_origin_also_without_their_bodies(site: Site, path: str) -> None:
    there = await site.behind.get(path)
    here = await site.get(path)
    assert (here.status, here.body) == (200, there.body)
    for name in ("Content-Type", "Cache-Control", "ETag"):
        assert here.headers[name] == there.headers[name]
    assert here.headers.get("Content-Security-Policy") == there.headers.get("Content-Security-Policy")
    assert (await site.get(path, If_None_Match=here.headers["ETag"])).status == 304


async def test_what_was_changed_is_seen_when_its_time_is_over(tmp_path: Path) -> None:
    """Also where the file of the cache is still open."""
    path = f"{REPLAY}/chapters.json"
    async with stand_in() as origin, edge_before("nginx", [origin.url], tmp_path) as edge:
        for version in ("one", "two"):
            origin.says(path, version, Cache_Control="public, max-age=1", ETag=f'"{version}"')
            async with asyncio.timeout(5):
                async for answer in answers_of(edge.url + path):
                    if answer.text == version:
                        break
            answers = [await fetch(edge.url + path) for _ in range(5)]
            assert {(answer.text, answer.headers["ETag"]) for answer in answers} == {
                (version, f'"{version}"')
            }
        assert 2 <= len(origin.asked) <= 4


async def answers_of(url: str) -> AsyncIterator[Answer]:
    """One after the other."""
    while True:
        yield await fetch(url)
        await asyncio.sleep(0.02)
