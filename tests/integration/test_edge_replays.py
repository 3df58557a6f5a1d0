"""Replays, feeds and pages through real edges, from a real origin before a storage."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.edge_site import HIDDEN, REPLAY, SIZE, Site, real_site
from tests.edge_stage import PROGRAMS
from tests.replay_site import KEY, bearer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PROGRAMS)
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    async with real_site(request.param, tmp_path_factory.mktemp) as site:
        yield site


@pytest.mark.parametrize(
    "wanted", ["bytes=1048000-1049000", "bytes=-100", "bytes=3200000-", "bytes=0-0", "bytes=2500000-2500099"]
)
async def test_ranges_are_those_of_the_origin_and_cut_from_what_is_kept(site: Site, wanted: str) -> None:
    there = await site.behind.get(".m4a", Range=wanted)
    here = await site.get(f"{REPLAY}.m4a", Range=wanted)
    fields = ("Content-Range", "Content-Length", "Content-Type", "ETag", "Cache-Control")
    assert (here.status, here.body) == (there.status, there.body) == (206, there.body)
    assert [here.headers[name] for name in fields] == [there.headers[name] for name in fields]
    assert here.headers["Access-Control-Allow-Origin"] == "*"
    before = site.asked("replay")
    again = await site.get(f"{REPLAY}.m4a", Range=wanted)
    assert (again.status, again.body, site.asked("replay")) == (206, there.body, before)


async def test_a_range_of_what_is_another_by_now_is_answered_with_the_whole(site: Site) -> None:
    etag = (await site.behind.get(".m4a")).headers["ETag"]
    part = await site.get(f"{REPLAY}.m4a", Range="bytes=0-7", If_Range=etag)
    assert (part.status, part.body) == (206, site.kept.m4a[:8])
    whole = await site.get(f"{REPLAY}.m4a", Range="bytes=0-7", If_Range='"other"')
    assert (whole.status, whole.body) == (200, site.kept.m4a)


async def test_a_range_beyond_the_end_is_told_so(site: Site) -> None:
    for first in (SIZE, 99_999_999):
        assert (await site.get(f"{REPLAY}.m4a", Range=f"bytes={first}-")).status == 416


async def test_a_replay_is_whole_and_nobody_loads_it_twice(site: Site) -> None:
    whole = await site.get(f"{REPLAY}.m4a")
    assert (whole.status, whole.body) == (200, site.kept.m4a)
    assert whole.headers["ETag"] == (await site.behind.get(".m4a")).headers["ETag"]
    before = site.asked("replay")
    known = await site.get(f"{REPLAY}.m4a", If_None_Match=whole.headers["ETag"])
    assert (known.status, known.body, site.asked("replay")) == (304, b"", before)


@pytest.mark.parametrize(
    "name", ["index.m3u8", "64k/index.m3u8", "64k/0.mp4", "64k/init.mp4", "chapters.json", "peaks.json"]
)
async def test_everything_of_a_replay_is_asked_for_once(site: Site, name: str) -> None:
    # As browsers ask. To others Varnish gives what it has unpacked, under a weaker name.
    there = await site.behind.get(f"{REPLAY}/{name}", Accept_Encoding="gzip")
    before = site.asked("replay")
    answers = [
        await site.get(f"{REPLAY}/{name}?from={number}", Accept_Encoding="gzip") for number in range(2)
    ]
    assert [(answer.status, answer.body) for answer in answers] == [(200, there.body)] * 2
    assert site.asked("replay") - before == 1
    assert answers[1].headers["ETag"] == there.headers["ETag"]
    assert answers[1].headers["Cache-Control"] == "public, max-age=60"


async def test_a_host_sees_what_is_not_published_and_leaves_it_to_nobody(site: Site) -> None:
    path = f"/replay/{HIDDEN.room}/{HIDDEN.take}"
    for name in (".m4a", "/chapters.json", "/64k/0.mp4"):
        for _ in range(2):
            shown = await site.get(path + name, **bearer("host"))
            assert (shown.status, shown.headers["Cache-Control"]) == (200, "no-store")
            assert (await site.get(path + name)).status == 404
        part = await site.get(path + name, Range="bytes=1-9", **bearer("host"))
        assert part.body == shown.body[1:10] or name == "/chapters.json"


async def test_a_feed_is_kept_for_each_name_that_it_is_asked_under(site: Site) -> None:
    before = site.asked("feed")
    names = ("a.example", "b.example", "a.example", "b.example")
    feeds = [await site.get(f"/feeds/{KEY.room}.xml", Host=name) for name in names]
    assert [feed.status for feed in feeds] == [200] * 4
    for name, feed in zip(names, feeds, strict=True):
        assert [f"http://{one}.example/" in feed.text for one in "ab"] == [one in name[0] for one in "ab"]
    assert 2 <= site.asked("feed") - before <= 3


@pytest.mark.parametrize("path", ["/", f"/listen/{KEY.room}", REPLAY, "/assets/style.css", "/rooms.json"])
async def test_pages_are_those_of_the_origin_also_without_their_bodies(site: Site, path: str) -> None:
    there = await site.behind.get(path, Accept_Encoding="gzip")
    here = await site.get(path, Accept_Encoding="gzip")
    assert (here.status, here.body) == (200, there.body)
    for name in ("Content-Type", "Cache-Control", "ETag"):
        assert here.headers[name] == there.headers[name]
    assert here.headers.get("Content-Security-Policy") == there.headers.get("Content-Security-Policy")
    assert (await site.get(path, Accept_Encoding="gzip", If_None_Match=here.headers["ETag"])).status == 304
    plain = await site.get(path)
    assert plain.body == (await site.behind.get(path)).body
    assert (await site.get(path, If_None_Match=plain.headers["ETag"])).status == 304
