"""Origins that start with sisters: what they serve afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeKey
from origin.contents import contents
from origin.fill import start_filling
from origin.journal import Journal
from origin.journal_format import pack
from origin.journal_store import JournalStore
from origin.reload import reload
from origin.service import OriginLimits
from origin.sisters import Sister
from pipeline.grid import Grid
from tests import takes
from tests.origins import KEY, TAKE, RunningOrigin, running
from tests.playlists import segments
from tests.sisters import GRID, INIT, LIST, bad_sister, begin, fill, play, served, state
from tests.takes import EPOCH_US

# ---------------------------------------------------------------- what is served afterwards


async def test_a_fresh_origin_serves_its_sisters_whole_window(
    sister_origin: RunningOrigin, fresh_origin: RunningOrigin
) -> None:
    await fill(fresh_origin, sister_origin.url)
    for path in (
        f"{fresh_origin.line()}/index.m3u8",
        "/live/room/index.m3u8",
        f"{fresh_origin.line()}/init.mp4",
        f"{fresh_origin.line()}/0.m4s",
        f"{fresh_origin.line()}/9.1.m4s",
        LIST,
    ):
        here, there = await fresh_origin.get(path), await sister_origin.get(path)
        assert (here.status, here.body, here.headers.get("ETag")) == (
            200,
            there.body,
            there.headers.get("ETag"),
        )
    # And goes on from there, at once.
    assert (await fresh_origin.put("64k/9.m4s", takes.segment(GRID, 9))).status == 201
    assert segments(await fresh_origin.playlist())[-1] == "9.m4s"


async def test_a_worker_that_starts_in_the_middle_does_not_cut_the_window_short(
    sister_origin: RunningOrigin, fresh_origin: RunningOrigin
) -> None:
    filling = start_filling(fresh_origin.origin, [Sister(sister_origin.url)])
    early = await fresh_origin.put("64k/9.0.m4s", takes.part(GRID, 9, 0))
    assert (early.status, early.headers["Retry-After"]) == (503, "1")
    await filling
    assert (await fresh_origin.put("64k/9.0.m4s", takes.part(GRID, 9, 0))).status == 204
    assert segments(await fresh_origin.playlist())[0] == "0.m4s"


async def test_an_ended_take_comes_with_its_end(
    sister_origin: RunningOrigin, fresh_origin: RunningOrigin
) -> None:
    sister_origin.origin.end(KEY, GRID.start_sample(Position(9, 2)))
    await fill(fresh_origin, sister_origin.url)
    assert (await fresh_origin.playlist()).lines[-1] == "#EXT-X-ENDLIST"
    assert state(fresh_origin.origin) == state(sister_origin.origin)


async def test_a_take_leaves_when_it_would_leave_at_the_sister() -> None:
    limits = OriginLimits(window_seconds=60)
    now = [0.0, 1_000.0]
    async with (
        running(limits=limits, clock=lambda: now[0]) as sister,
        running(limits=limits, clock=lambda: now[1]) as fresh,
    ):
        play(sister.origin, (0, 0), (4, 0))
        sister.origin.end(KEY, 4 * 96_000)
        now[0] = 40.0
        await fill(fresh, sister.url)
        fresh.origin.sweep(1_000 + 19)
        assert fresh.origin.takes.find(KEY) is not None
        fresh.origin.sweep(1_000 + 21)
        assert fresh.origin.takes.find(KEY) is None
        now[0] = 61.0  # not swept yet there
        await fill(fresh, sister.url)
        assert fresh.origin.takes.find(KEY) is None


async def test_a_second_sister_fills_what_the_first_lacks(fresh_origin: RunningOrigin) -> None:
    other = TakeKey("other", TAKE)
    async with running() as old, running() as new:
        play(old.origin, (0, 0), (6, 0))
        play(new.origin, (4, 0), (9, 2))
        play(new.origin, (0, 0), (2, 0), key=other)
        await fill(fresh_origin, new.url, old.url)
    assert served(fresh_origin.origin) == {
        msn: takes.segment(GRID, msn, parts=2 if msn == 9 else None) for msn in range(10)
    }
    assert served(fresh_origin.origin, other) == {msn: takes.segment(GRID, msn) for msn in range(2)}


async def test_what_is_here_keeps_its_bytes_and_a_conflict_is_shown(fresh_origin: RunningOrigin) -> None:
    async with running() as sister:
        play(sister.origin, (0, 0), (9, 0))
        play(fresh_origin.origin, (4, 0), (6, 2), unit=b"ours")
        with capture_logs() as logs:
            await fill(fresh_origin, sister.url)
    ours = {msn: takes.segment(GRID, msn, b"ours") for msn in (4, 5)}
    there = served(fresh_origin.origin)
    assert {msn: there[msn] for msn in (4, 5)} == ours
    assert sorted(there) == [*range(9)]
    said = [(log["what"], log["msn"]) for log in logs if log["event"].startswith("other bytes")]
    assert said == [("64k", 4), ("64k", 5), ("64k", 6)]
    assert fresh_origin.origin.conflicts.count == 3
    assert "conflicts: " in (await fresh_origin.get("/readyz")).text


async def test_a_sister_with_another_header_is_not_believed(fresh_origin: RunningOrigin) -> None:
    async with running() as sister:
        sister.origin.put_take(KEY, takes.header(parts=4))
        sister.origin.put_init(KEY, "64k", INIT)
        for msn in range(5):
            sister.origin.put_segment(KEY, "64k", msn, takes.segment(Grid(4), msn))
        play(fresh_origin.origin, (1, 0), (2, 1))
        play(fresh_origin.origin, (1, 0), (2, 1), key=TakeKey("other", TAKE))
        await fill(fresh_origin, sister.url)
    assert served(fresh_origin.origin) == served(fresh_origin.origin, TakeKey("other", TAKE))
    assert fresh_origin.origin.conflicts.count == 1


async def test_a_full_origin_takes_no_more_takes_from_sisters(sister_origin: RunningOrigin) -> None:
    async with running(limits=OriginLimits(max_takes=1)) as fresh:
        begin(fresh.origin, TakeKey("other", TAKE))
        await fill(fresh, sister_origin.url)
        assert fresh.origin.takes.find(KEY) is None


# ---------------------------------------------------------------- with a journal


@asynccontextmanager
async def restarted(directory: Path) -> AsyncIterator[RunningOrigin]:
    store = JournalStore(directory)
    journal = Journal(store, Metrics(CollectorRegistry()))
    async with running(journal=journal) as room:
        reload(room.origin, store, journal, EPOCH_US)
        journal.start()
        yield room
        journal.close()


async def test_a_restarted_origin_asks_only_for_what_follows(
    sister_origin: RunningOrigin, tmp_path: Path
) -> None:
    async with restarted(tmp_path) as room:
        play(room.origin, (0, 0), (3, 0))
        room.origin.put_gap(KEY, "64k", 3)
        play(room.origin, (4, 0), (7, 2))
    asked: list[str] = []

    async def window(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        take = sister_origin.origin.takes.known(KEY)
        return web.Response(body=pack(contents(take.window, int(request.query["from"]))))

    async with restarted(tmp_path) as room, bad_sister(window, sister_origin.origin) as url:
        take = room.origin.takes.find(KEY)
        await fill(room, url)
        assert asked == ["from=7"]
        assert room.origin.takes.find(KEY) is take  # and what is on disk stays there
        assert served(room.origin) == served(sister_origin.origin)
    # And all of it is in the journal.
    async with restarted(tmp_path) as room:
        assert served(room.origin) == served(sister_origin.origin)


async def test_what_the_disk_lost_comes_from_a_sister_and_is_on_disk_again(
    sister_origin: RunningOrigin, tmp_path: Path
) -> None:
    async with restarted(tmp_path) as room:
        play(room.origin, (5, 0), (6, 0))
        room.origin.put_gap(KEY, "64k", 6)
        play(room.origin, (7, 0), (7, 3))
    async with restarted(tmp_path) as room:
        await fill(room, sister_origin.url)
        assert served(room.origin) == served(sister_origin.origin)
        room.origin.put_part(KEY, "64k", 9, 2, takes.part(GRID, 9, 2))
    async with restarted(tmp_path) as room:
        assert served(room.origin) == {**served(sister_origin.origin), 9: takes.segment(GRID, 9, parts=3)}
        assert (await room.playlist()).text.count("#EXT-X-GAP") == 1
        assert len((await room.playlist()).text.split("#EXT-X-DATERANGE")) == 2


async def test_an_old_window_before_a_hole_gives_way(sister_origin: RunningOrigin, tmp_path: Path) -> None:
    """Nobody has what lies between: a playlist full of gaps would help no listener."""
    async with restarted(tmp_path) as room, running() as later:
        play(room.origin, (0, 0), (3, 0))
        play(later.origin, (50, 0), (60, 0))
        await fill(room, later.url)
        assert sorted(served(room.origin)) == [*range(50, 60)]
