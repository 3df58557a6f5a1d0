"""The bytes of a replay over HTTP: any range, never damaged, never of two versions, for many at once."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from contracts.take import TakeKey
from origin.http_replay import ReplayHandlers
from origin.replay_reader import Reader, Stored
from storage.derived import BLOCK
from storage.disk_objects import DiskObjects
from storage.names import REPLAY_M4A, entry_name, fragment_name, take_object
from storage.pooled import Pooled
from tests.replay_site import KEY, Kept, Serving, Watched, keep, mark_open, serving, steps

M4A = take_object(KEY, REPLAY_M4A)
FRAGMENT = fragment_name(KEY, "64k", 15)
# More than the kernel takes for a socket: 4 MB is what it sends ahead at most.
LARGE = 30 * BLOCK + 1_000


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


def spoil(objects: Watched, name: str, at: int) -> None:
    """Another byte, where nothing of the length tells."""
    data = bytearray(objects.inner.read(name).data)
    data[at] ^= 1
    objects.write(name, [bytes(data)])


# ---- ranges ------------------------------------------------------------------------------------------------


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


# ---- damage and change -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["other bytes", "cut short", "missing"])
@pytest.mark.parametrize(("name", "path"), [(M4A, ".m4a"), (FRAGMENT, "64k/15.mp4")])
async def test_damaged_bytes_are_never_sent(objects: Watched, name: str, path: str, how: str) -> None:
    keep(objects, Kept())
    match how:
        case "other bytes":
            spoil(objects, name, 1_000)
        case "cut short":
            objects.write(name, [b"x"])
        case _:
            objects.delete([name])
    async with serving(objects) as site:
        for n in range(1, 3):
            answer = await site.get(path)
            assert (answer.status, name in answer.error) == (502, True)
            assert (answer.headers["Cache-Control"], site.failures("damaged")) == ("no-store", n)
        # What is sound is served.
        assert (await site.get("64k/0.mp4")).status == 200
        assert (await site.get("take.json")).status == 200


async def test_a_text_that_is_damaged_is_never_shown(objects: Watched) -> None:
    keep(objects, Kept())
    for name in ("replay.m3u8", "64k/replay.m3u8", "chapters.json", "peaks.json"):
        spoil(objects, take_object(KEY, name), 3)
    async with serving(objects) as site:
        for path in ("index.m3u8", "64k/index.m3u8", "chapters.json", "peaks.json"):
            assert (await site.get(path)).status == 502


async def taken(site: Serving, path: str = ".m4a", **headers: str) -> tuple[int, bytes, bool]:
    """Status, what came of the body, and whether it was all."""
    body = bytearray()
    url = f"http://127.0.0.1:{site.port}/replay/{KEY.room}/{KEY.take}{path}"
    async with site.session.get(url, headers=headers) as answer:
        try:
            async for chunk in answer.content.iter_any():
                body += chunk
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            return answer.status, bytes(body), False
        return answer.status, bytes(body), len(body) == answer.content_length


async def test_damage_in_the_middle_cuts_the_answer_before_it(objects: Watched) -> None:
    kept = keep(objects, Kept(size=4 * BLOCK))
    spoil(objects, M4A, 2 * BLOCK + 7)
    async with serving(objects) as site:
        status, body, whole = await taken(site)
        assert (status, whole) == (200, False)
        assert kept.m4a.startswith(body)
        assert len(body) <= 2 * BLOCK
        assert site.failures("damaged") == 1
        # What does not touch it is served, and the server lives.
        assert await taken(site, Range=f"bytes=0-{2 * BLOCK - 1}") == (206, kept.m4a[: 2 * BLOCK], True)
        assert await taken(site, Range=f"bytes={3 * BLOCK}-") == (206, kept.m4a[3 * BLOCK :], True)
        assert (await site.get(".m4a", Range=f"bytes={2 * BLOCK}-")).status == 502


async def test_a_storage_that_fails_in_the_middle_cuts_the_answer(objects: Watched) -> None:
    kept = keep(objects, Kept(size=4 * BLOCK))

    def fail_later(name: str, start: int) -> None:
        objects.broken = name == M4A and start == BLOCK

    objects.before_read = fail_later
    async with serving(objects) as site:
        # The read that fails is the one after: the second block comes, the third does not.
        status, body, whole = await taken(site)
        assert (status, whole, kept.m4a.startswith(body)) == (200, False, True)
        assert len(body) <= 2 * BLOCK
        assert site.failures("storage") == 1


async def test_a_version_that_comes_in_the_middle_is_not_mixed_in(objects: Watched) -> None:
    kept = keep(objects, Kept(size=4 * BLOCK))
    changed = kept.changed(seed=2, title="Another")

    def edit_later(name: str, start: int) -> None:
        if name == M4A and start == BLOCK:
            objects.before_read = lambda _name, _start: None
            keep(objects.inner, changed)

    objects.before_read = edit_later
    async with serving(objects) as site:
        status, body, whole = await taken(site)
        assert (status, whole) == (200, False)
        assert kept.m4a.startswith(body)
        assert (site.failures("replaced"), site.failures("damaged")) == (1, 0)
        assert await taken(site) == (200, changed.m4a, True)


async def test_a_version_that_came_before_the_first_byte_is_the_answer(objects: Watched) -> None:
    kept = keep(objects, Kept())
    changed = kept.changed(seed=2, title="Another")
    async with serving(objects, fresh_seconds=600) as site:
        # It is known for long, and none of its bytes are.
        assert (await site.get("take.json")).status == 200
        keep(objects, changed)
        for path, body in ((".m4a", changed.m4a), ("chapters.json", changed.made["chapters.json"])):
            answer = await site.get(path)
            assert (answer.status, answer.body == body) == (200, True)
        assert site.failures("damaged") == 0


async def test_a_replay_that_was_hidden_meanwhile_is_not_shown_in_its_new_version(objects: Watched) -> None:
    kept = keep(objects, Kept())
    async with serving(objects, fresh_seconds=600) as site:
        assert (await site.get("take.json")).status == 200
        keep(objects, kept.changed(seed=2, published=False))
        assert (await site.get(".m4a")).status == 404
        objects.delete([entry_name(KEY)])
        objects.delete([M4A])
        assert (await site.get(".m4a")).status == 404


@pytest.mark.parametrize(
    "last", ["meta", "replay.m4a", "replay.m3u8", "64k/replay.m3u8", "chapters.json", "derived"]
)
async def test_while_it_is_changed_a_replay_is_one_version_or_comes_later(
    objects: Watched, last: str
) -> None:
    kept = keep(objects, Kept())
    changed = kept.changed(seed=2, title="Another")
    mark_open(objects)
    keep(objects, changed, upto=last)
    async with serving(objects) as site:
        for path, name in (
            (".m4a", "replay.m4a"),
            ("chapters.json", "chapters.json"),
            ("index.m3u8", "replay.m3u8"),
        ):
            answer = await site.get(path)
            if answer.status == 503:
                assert (answer.headers["Retry-After"], "being changed" in answer.error) == ("1", True)
            else:
                assert answer.status == 200
                assert answer.body in {kept.made[name], changed.made[name]}
        assert (await site.get("64k/0.mp4")).body == kept.fragments[0]
        assert site.failures("damaged") == 0
        keep(objects, changed)
        assert (await site.get(".m4a")).body == changed.m4a


async def test_no_answer_is_ever_a_mix_of_versions(objects: Watched) -> None:
    versions = [Kept(size=3 * BLOCK + n, seed=n, title=f"Title {n}") for n in range(4)]
    whole = {kept.m4a for kept in versions}
    keep(objects, versions[0])
    mark_open(objects)
    done = asyncio.Event()

    async def edit() -> None:
        for turn in range(10):
            for _, name, data in steps(versions[turn % len(versions)]):
                if "64k/" not in name or name.endswith("m3u8"):
                    await asyncio.to_thread(objects.write, name, [data])
        done.set()

    async def listen(seen: list[int]) -> None:
        while not done.is_set():
            with contextlib.suppress(aiohttp.ClientError):
                status, body, all_of_it = await taken(site)
                seen.append(status)
                assert status in {200, 503}
                assert not all_of_it or status == 503 or body in whole
                assert status == 503 or any(each.startswith(body) for each in whole)

    seen: list[int] = []
    async with serving(objects) as site:
        await asyncio.gather(edit(), *(listen(seen) for _ in range(4)))
        assert 200 in seen
        assert site.failures("damaged") == 0


# ---- many at once ------------------------------------------------------------------------------------------


async def test_while_many_wait_for_a_slow_storage_the_server_answers_others(objects: Watched) -> None:
    takes = [Kept(TakeKey(f"room{n}", KEY.take), seed=n, size=20_000) for n in range(12)]
    for kept in takes:
        keep(objects, kept)
    async with serving(objects, fresh_seconds=600) as site:
        for kept in takes:
            assert (await site.get(f"/replay/{kept.key.room}/{KEY.take}/take.json")).status == 200
        objects.hold()
        try:
            reading = [
                asyncio.create_task(site.get(f"/replay/{kept.key.room}/{KEY.take}.m4a"))
                for kept in takes
                for _ in range(10)
            ]
            while objects.at_once < 8:  # noqa: ASYNC110 - threads do not tell
                await asyncio.sleep(0.01)
            for _ in range(10):
                assert (await site.get("/healthz")).status == 200
            assert not any(task.done() for task in reading)
            # Threads are bounded, and reads of the same wait for one another.
            assert objects.most_at_once == 8
        finally:
            objects.release()
        answers = await asyncio.gather(*reading)
        bodies = [kept.m4a for kept in takes for _ in range(10)]
        assert [answer.body == body for answer, body in zip(answers, bodies, strict=True)] == [True] * 120
        assert len([name for name in objects.reads if name.endswith(".m4a")]) == 12


async def test_readers_in_plenty_do_not_use_up_the_threads_of_the_storage(objects: Watched) -> None:
    keep(objects, Kept(size=40 * BLOCK))
    pooled = Pooled(threads=2, waiting=14)
    stored = Stored(M4A, 40 * BLOCK, "", Kept(size=40 * BLOCK).derived().objects[REPLAY_M4A].blocks, BLOCK)
    reader = Reader(objects, pooled)
    objects.hold()
    try:
        reading = [asyncio.create_task(reader.piece(piece)) for piece in stored.pieces(0, stored.size)]
        while objects.at_once < 2:  # noqa: ASYNC110 - threads do not tell
            await asyncio.sleep(0.01)
        # Somebody else's call has its place beside forty that wait.
        other = asyncio.create_task(pooled.call(objects.head, M4A))
        await asyncio.sleep(0)
        assert not other.done()
    finally:
        objects.release()
    assert b"".join(await asyncio.gather(*reading)) == Kept(size=40 * BLOCK).m4a
    assert await other
    pooled.close()


async def test_who_leaves_is_not_read_for(objects: Watched) -> None:
    takes = [Kept(TakeKey(f"room{n}", KEY.take), seed=n, size=10) for n in range(14)]
    for kept in takes:
        keep(objects, kept)
    async with serving(objects, fresh_seconds=600) as site:
        for kept in takes:
            assert (await site.get(f"/replay/{kept.key.room}/{KEY.take}/take.json")).status == 200
        objects.reads.clear()
        objects.hold()
        reading = [asyncio.create_task(site.get(f"/replay/{kept.key.room}/{KEY.take}.m4a")) for kept in takes]
        while objects.at_once < 8:  # noqa: ASYNC110 - threads do not tell
            await asyncio.sleep(0.01)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        assert (await site.get("/healthz")).status == 200
        objects.release()
        assert (await site.get(f"/replay/room0/{KEY.take}.m4a")).body == takes[0].m4a
        # Those in the threads were read; those behind them were not.
        assert len(objects.reads) <= 8 + 1


async def test_many_who_take_quickly_leave_the_loop_to_others(
    objects: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep(objects, Kept(size=4 * BLOCK))
    write, written, turns = web.StreamResponse.write, 0, [0]

    async def counting(response: web.StreamResponse, data: bytes) -> None:
        nonlocal written
        written += 1
        await write(response, data)

    async def turn() -> None:
        nonlocal written
        while True:
            await asyncio.sleep(0)
            turns.append(written)
            written = 0

    async with serving(objects) as site:
        assert (await site.get(".m4a")).body == kept.m4a
        monkeypatch.setattr(web.StreamResponse, "write", counting)
        turning = asyncio.create_task(turn())
        answers = await asyncio.gather(*(taken(site) for _ in range(40)))
        turning.cancel()
        assert answers == [(200, kept.m4a, True)] * 40
        # A block is four slices; none of them comes with all others.
        assert sum(turns) == 40 * 16
        assert max(turns) <= 16


@asynccontextmanager
async def slow_listener(site: Serving) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One who asks for everything and takes nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=1)
    writer.write(f"GET /replay/{KEY.room}/{KEY.take}.m4a HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_for_who_takes_slowly_is_read_slowly(objects: Watched) -> None:
    kept = keep(objects, Kept(size=LARGE))
    async with serving(objects) as site, slow_listener(site) as (reader, _):
        # Sockets hold some; reading stops when they are full.
        before, now = -1, 0
        while before != now or not now:
            await asyncio.sleep(0.4)
            before, now = now, objects.reads.count(M4A)
        assert now < 30
        # What was not taken was not lost.
        come = b""
        while not come.endswith(kept.m4a[-100:]):
            come += await reader.read(BLOCK)
        head, _, body = come.partition(b"\r\n\r\n")
        assert (b" 200 " in head.partition(b"\r\n")[0], body == kept.m4a) == (True, True)
        assert objects.reads.count(M4A) == 31


async def test_who_takes_nothing_for_long_is_cut_off(
    objects: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(objects, Kept(size=LARGE))
    begin = ReplayHandlers.__init__
    monkeypatch.setattr(
        ReplayHandlers,
        "__init__",
        lambda self, replays, metrics: begin(self, replays, metrics, stall_seconds=0.2),
    )
    async with serving(objects) as site, slow_listener(site):
        while not site.failures("stalled"):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
