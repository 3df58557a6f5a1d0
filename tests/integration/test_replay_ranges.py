"""Ranges of replays over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from storage.derived import BLOCK
from storage.disk_objects import DiskObjects
from tests.replay_bytes import LARGE, M4A
from tests.replay_site import KEY, Kept, Serving, Watched, keep, serving


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


async def test_any_range_is_exactly_those_bytes(objects: Watched) -> None:
    kept = keep(objects, Kept())
    wanted = [
        (0, 0),
        (0, 1),
        (BLOCK - 1, BLOCK),
        (BLOCK, 2 * BLOCK - 1),
        (1, kept.size - 2),
        (kept.size - 1,) * 2,
    ]
    chance = random.Random(7)
    wanted += [tuple(sorted(chance.sample(range(kept.size), 2))) for _ in range(12)]  # type: ignore[misc]
    async with serving(objects) as site:
        for path, body in ((".m4a", kept.m4a), ("64k/15.mp4", kept.fragments[15])):
            tags = set()
            for first, last in wanted:
                if first >= len(body):
                    continue
                answer = await site.get(path, Range=f"bytes={first}-{last}")
                part = body[first : last + 1]
                assert (answer.status, answer.body == part) == (206, True), (path, first, last)
                stop = first + len(part) - 1
                assert answer.headers["Content-Range"] == f"bytes {first}-{stop}/{len(body)}"
                assert answer.headers["Content-Length"] == str(len(part))
                assert answer.headers["Accept-Ranges"] == "bytes"
                assert answer.headers["Cache-Control"] == "public, max-age=60"
                tags.add(answer.headers["ETag"])
            assert tags == {(await site.get(path)).headers["ETag"]}
            assert (await site.get(path, Range="bytes=-5")).body == body[-5:]
            assert (await site.get(path, Range=f"bytes={len(body) - 5}-")).body == body[-5:]


async def test_a_range_reads_no_more_than_the_blocks_that_hold_it(objects: Watched) -> None:
    keep(objects, Kept(size=LARGE))
    async with serving(objects) as site:
        answer = await site.get(".m4a", Range=f"bytes={5 * BLOCK - 1}-{5 * BLOCK}")
        assert (answer.status, objects.reads.count(M4A)) == (206, 2)


async def test_a_range_of_what_has_changed_is_the_whole(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects) as site:
        tag = (await site.get(".m4a")).headers["ETag"]
        same = await site.get(".m4a", Range="bytes=5-9", If_Range=tag)
        assert (same.status, same.body) == (206, kept.m4a[5:10])
        for other in ('"other"', f"W/{tag}", "Thu, 01 Jan 2026 00:00:00 GMT", "rubbish"):
            answer = await site.get(".m4a", Range="bytes=5-9", If_Range=other)
            assert (answer.status, answer.body == kept.m4a) == (200, True), other
        # Whether a range could be had does not matter then.
        assert (await site.get(".m4a", Range="bytes=9-5", If_Range='"other"')).status == 200
        changed = keep(objects, kept.changed(seed=2))
        answer = await site.get(".m4a", Range="bytes=5-9", If_Range=tag)
        assert (answer.status, answer.body == changed.m4a) == (200, True)
        assert answer.headers["ETag"] != tag


async def test_conditions_come_before_ranges(objects: Watched) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        tag = (await site.get(".m4a")).headers["ETag"]
        assert (await site.get(".m4a", Range="bytes=0-1", If_None_Match=tag)).status == 304
        assert (await site.get(".m4a", Range="bytes=0-1", If_Match=f'"x", {tag}')).status == 206
        assert (await site.get(".m4a", If_Match="*")).status == 200
        for other in ('"x"', f"W/{tag}"):
            answer = await site.get(".m4a", Range="bytes=0-1", If_Match=other)
            assert (answer.status, bool(answer.error)) == (412, True)
        # A head has the length of the whole: ranges are for GET alone.
        head = await site.request("HEAD", ".m4a", {"Range": "bytes=0-1"})
        assert (head.status, head.headers["Content-Length"]) == (200, str(Kept().size))
        assert objects.reads.count(M4A) == 3


@pytest.mark.parametrize("path", [".m4a", "64k/0.mp4"])
async def test_a_range_that_cannot_be_is_refused_with_the_size(objects: Watched, path: str) -> None:
    keep(objects, Kept())
    async with serving(objects) as site:
        size = (await site.get(path)).headers["Content-Length"]
        for field in ("9-5", f"{size}-", "99999999999999999999999-", "9" * 5000 + "-", "-0"):
            answer = await site.get(path, Range=f"bytes={field}")
            assert (answer.status, bool(answer.error)) == (416, True), field
            assert answer.headers["Content-Range"] == f"bytes */{size}"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_what_is_no_single_range_of_bytes_is_answered_with_the_whole(objects: Watched) -> None:
    kept = keep(objects, Kept())
    thousand = ",".join(["0-0"] * 1000)
    async with serving(objects) as site:
        for field in (
            f"bytes={thousand}",
            "bytes=0-1,5-6",
            "bytes=a-b",
            "bytes=",
            "lines=1-2",
            "0-5",
            "bytes=\u00e4",
        ):
            answer = await site.get(".m4a", Range=field)
            assert (answer.status, answer.body == kept.m4a) == (200, True), field
        # Several fields are one list.
        async with site.session.get(
            f"http://127.0.0.1:{site.port}/replay/{KEY.room}/{KEY.take}.m4a",
            headers=[("Range", "bytes=0-1"), ("Range", "bytes=5-6")],
        ) as twice:
            assert twice.status == 200


async def raw(site: Serving, request: bytes) -> bytes:
    """All that comes back, until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_header_without_end_is_refused(objects: Watched) -> None:
    keep(objects, Kept())
    field = b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(2_000))
    async with serving(objects) as site:
        path = f"/replay/{KEY.room}/{KEY.take}.m4a".encode()
        answer = await raw(
            site, b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: %b\r\n\r\n" % (path, field)
        )
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert (await site.get(".m4a", Range="bytes=0-0")).status == 206


async def test_an_old_client_gets_what_it_asks_for(objects: Watched) -> None:
    kept = keep(objects, Kept())
    path = f"/replay/{KEY.room}/{KEY.take}.m4a".encode()
    async with serving(objects) as site:
        head, _, body = (
            await raw(site, b"GET %b HTTP/1.0\r\nRange: bytes=3-300002\r\n\r\n" % path)
        ).partition(b"\r\n\r\n")
        assert b" 206 " in head.partition(b"\r\n")[0]
        assert b"Content-Length: 300000" in head
        assert b"chunked" not in head
        assert body == kept.m4a[3:300_003]


async def test_of_a_file_without_bytes_there_is_no_range(objects: Watched) -> None:
    keep(objects, Kept(size=0))
    async with serving(objects) as site:
        answer = await site.get(".m4a")
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
        for field in ("bytes=0-", "bytes=-1", "bytes=0-0"):
            assert (await site.get(".m4a", Range=field)).headers["Content-Range"] == "bytes */0"
