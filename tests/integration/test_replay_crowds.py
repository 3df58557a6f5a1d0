"""Many who take replays at once, quickly or slowly."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from contracts.take import TakeKey
from origin.http_replay import ReplayHandlers
from origin.replay_reader import Reader, Stored
from storage.derived import BLOCK
from storage.disk_objects import DiskObjects
from storage.names import REPLAY_M4A
from storage.pooled import Pooled
from tests.replay_bytes import LARGE, M4A, taken
from tests.replay_site import KEY, Kept, Serving, Watched, keep, serving


@pytest.fixture
def objects(tmp_path: Path) -> Watched:
    return Watched(DiskObjects(tmp_path))


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
