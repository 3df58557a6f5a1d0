"""Origins that start with sisters: what they serve afterwards, and what they cost nobody meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from contracts.metrics import Metrics
from contracts.position import Position
from contracts.take import TakeEvent, TakeKey
from origin.contents import contents, header_record
from origin.fill import start_filling
from origin.journal import Journal
from origin.journal_format import pack
from origin.journal_store import JournalStore
from origin.reload import reload
from origin.service import Origin, OriginLimits
from origin.sisters import Offer, Sister
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests import takes
from tests.origins import KEY, TAKE, RunningOrigin, running
from tests.playlists import segments
from tests.takes import EPOCH_US

GRID = Grid(5)
HEADER = takes.header()
INIT = init_segment(HEADER.settings, HEADER.settings.renditions[0])
LIST = f"/publish/{KEY.room}/{TAKE}"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def begin(origin: Origin, key: TakeKey = KEY) -> None:
    origin.put_take(key, HEADER)
    origin.put_init(key, "64k", INIT)


def play(
    origin: Origin,
    start: tuple[int, int],
    stop: tuple[int, int],
    *,
    unit: bytes = b"\x01" * 8,
    key: TakeKey = KEY,
) -> None:
    begin(origin, key)
    for position in takes.positions(GRID, Position(*start), Position(*stop)):
        origin.put_part(key, "64k", *position, takes.part(GRID, *position, unit))


def served(origin: Origin, key: TakeKey = KEY) -> dict[int, bytes]:
    line = origin.line(*key, "64k").window
    return {msn: b"".join(parts) for msn in range(line.next.msn + 1) if (parts := line.parts_held(msn))}


def state(origin: Origin, key: TakeKey = KEY) -> dict[str, object]:
    return origin.state(key).to_json()


async def fill(room: RunningOrigin, *urls: str, patience: float = 5.0, total: float = 10.0) -> None:
    await start_filling(room.origin, [Sister(url) for url in urls], patience=patience, total=total)


@asynccontextmanager
async def bad_sister(window: Handler, offer: Origin) -> AsyncIterator[str]:
    """Somebody who lists what `offer` has, and answers in her own way when asked for a window."""

    async def listing(_: web.Request) -> web.Response:
        takes = [{"room": KEY.room, "take": TAKE, "age": 0.0, **state(offer)}]
        return web.json_response({"takes": takes})

    async with other_sister(listing, window) as url:
        yield url


@asynccontextmanager
async def other_sister(listing: Handler, window: Handler) -> AsyncIterator[str]:
    """Somebody who answers in her own way."""
    app = web.Application()
    app.router.add_get("/publish", listing)
    app.router.add_get(f"{LIST}/window", window)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def sister() -> AsyncIterator[RunningOrigin]:
    """Segments 0 to 8, a gap at 3, a chapter, and two parts of segment 9."""
    async with running() as room:
        play(room.origin, (0, 0), (3, 0))
        room.origin.put_gap(KEY, "64k", 3)
        play(room.origin, (4, 0), (9, 2))
        room.origin.put_event(KEY, TakeEvent(96_000, 0, "chapter", title="Öne"))
        yield room


@pytest.fixture
async def fresh() -> AsyncIterator[RunningOrigin]:
    async with running() as room:
        yield room


# ---------------------------------------------------------------- what is served afterwards


async def test_a_fresh_origin_serves_its_sisters_whole_window(
    sister: RunningOrigin, fresh: RunningOrigin
) -> None:
    await fill(fresh, sister.url)
    for path in (
        f"{fresh.line()}/index.m3u8",
        "/live/room/index.m3u8",
        f"{fresh.line()}/init.mp4",
        f"{fresh.line()}/0.m4s",
        f"{fresh.line()}/9.1.m4s",
        LIST,
    ):
        here, there = await fresh.get(path), await sister.get(path)
        assert (here.status, here.body, here.headers.get("ETag")) == (
            200,
            there.body,
            there.headers.get("ETag"),
        )
    # And goes on from there, at once.
    assert (await fresh.put("64k/9.m4s", takes.segment(GRID, 9))).status == 201
    assert segments(await fresh.playlist())[-1] == "9.m4s"


async def test_a_worker_that_starts_in_the_middle_does_not_cut_the_window_short(
    sister: RunningOrigin, fresh: RunningOrigin
) -> None:
    filling = start_filling(fresh.origin, [Sister(sister.url)])
    early = await fresh.put("64k/9.0.m4s", takes.part(GRID, 9, 0))
    assert (early.status, early.headers["Retry-After"]) == (503, "1")
    await filling
    assert (await fresh.put("64k/9.0.m4s", takes.part(GRID, 9, 0))).status == 204
    assert segments(await fresh.playlist())[0] == "0.m4s"


async def test_an_ended_take_comes_with_its_end(sister: RunningOrigin, fresh: RunningOrigin) -> None:
    sister.origin.end(KEY, GRID.start_sample(Position(9, 2)))
    await fill(fresh, sister.url)
    assert (await fresh.playlist()).lines[-1] == "#EXT-X-ENDLIST"
    assert state(fresh.origin) == state(sister.origin)


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


async def test_a_second_sister_fills_what_the_first_lacks(fresh: RunningOrigin) -> None:
    other = TakeKey("other", TAKE)
    async with running() as old, running() as new:
        play(old.origin, (0, 0), (6, 0))
        play(new.origin, (4, 0), (9, 2))
        play(new.origin, (0, 0), (2, 0), key=other)
        await fill(fresh, new.url, old.url)
    assert served(fresh.origin) == {
        msn: takes.segment(GRID, msn, parts=2 if msn == 9 else None) for msn in range(10)
    }
    assert served(fresh.origin, other) == {msn: takes.segment(GRID, msn) for msn in range(2)}


async def test_what_is_here_keeps_its_bytes_and_a_conflict_is_shown(fresh: RunningOrigin) -> None:
    async with running() as sister:
        play(sister.origin, (0, 0), (9, 0))
        play(fresh.origin, (4, 0), (6, 2), unit=b"ours")
        with capture_logs() as logs:
            await fill(fresh, sister.url)
    ours = {msn: takes.segment(GRID, msn, b"ours") for msn in (4, 5)}
    there = served(fresh.origin)
    assert {msn: there[msn] for msn in (4, 5)} == ours
    assert sorted(there) == [*range(9)]
    said = [(log["what"], log["msn"]) for log in logs if log["event"].startswith("other bytes")]
    assert said == [("64k", 4), ("64k", 5), ("64k", 6)]
    assert fresh.origin.conflicts.count == 3
    assert "conflicts: " in (await fresh.get("/readyz")).text


async def test_a_sister_with_another_header_is_not_believed(fresh: RunningOrigin) -> None:
    async with running() as sister:
        sister.origin.put_take(KEY, takes.header(parts=4))
        sister.origin.put_init(KEY, "64k", INIT)
        for msn in range(5):
            sister.origin.put_segment(KEY, "64k", msn, takes.segment(Grid(4), msn))
        play(fresh.origin, (1, 0), (2, 1))
        play(fresh.origin, (1, 0), (2, 1), key=TakeKey("other", TAKE))
        await fill(fresh, sister.url)
    assert served(fresh.origin) == served(fresh.origin, TakeKey("other", TAKE))
    assert fresh.origin.conflicts.count == 1


async def test_a_full_origin_takes_no_more_takes_from_sisters(sister: RunningOrigin) -> None:
    async with running(limits=OriginLimits(max_takes=1)) as fresh:
        begin(fresh.origin, TakeKey("other", TAKE))
        await fill(fresh, sister.url)
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


async def test_a_restarted_origin_asks_only_for_what_follows(sister: RunningOrigin, tmp_path: Path) -> None:
    async with restarted(tmp_path) as room:
        play(room.origin, (0, 0), (3, 0))
        room.origin.put_gap(KEY, "64k", 3)
        play(room.origin, (4, 0), (7, 2))
    asked: list[str] = []

    async def window(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        take = sister.origin.takes.known(KEY)
        return web.Response(body=pack(contents(take.window, int(request.query["from"]))))

    async with restarted(tmp_path) as room, bad_sister(window, sister.origin) as url:
        take = room.origin.takes.find(KEY)
        await fill(room, url)
        assert asked == ["from=7"]
        assert room.origin.takes.find(KEY) is take  # and what is on disk stays there
        assert served(room.origin) == served(sister.origin)
    # And all of it is in the journal.
    async with restarted(tmp_path) as room:
        assert served(room.origin) == served(sister.origin)


async def test_what_the_disk_lost_comes_from_a_sister_and_is_on_disk_again(
    sister: RunningOrigin, tmp_path: Path
) -> None:
    async with restarted(tmp_path) as room:
        play(room.origin, (5, 0), (6, 0))
        room.origin.put_gap(KEY, "64k", 6)
        play(room.origin, (7, 0), (7, 3))
    async with restarted(tmp_path) as room:
        await fill(room, sister.url)
        assert served(room.origin) == served(sister.origin)
        room.origin.put_part(KEY, "64k", 9, 2, takes.part(GRID, 9, 2))
    async with restarted(tmp_path) as room:
        assert served(room.origin) == {**served(sister.origin), 9: takes.segment(GRID, 9, parts=3)}
        assert (await room.playlist()).text.count("#EXT-X-GAP") == 1
        assert len((await room.playlist()).text.split("#EXT-X-DATERANGE")) == 2


async def test_an_old_window_before_a_hole_gives_way(sister: RunningOrigin, tmp_path: Path) -> None:
    """Nobody has what lies between: a playlist full of gaps would help no listener."""
    async with restarted(tmp_path) as room, running() as later:
        play(room.origin, (0, 0), (3, 0))
        play(later.origin, (50, 0), (60, 0))
        await fill(room, later.url)
        assert sorted(served(room.origin)) == [*range(50, 60)]


# ---------------------------------------------------------------- meanwhile


async def test_while_it_is_filled_it_shows_no_playlist_takes_nothing_and_says_so(
    sister: RunningOrigin,
) -> None:
    release = asyncio.Event()

    async def window(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(body=pack(contents(sister.origin.takes.known(KEY).window)))

    limits = OriginLimits(block_seconds=3_600)
    async with bad_sister(window, sister.origin) as url, running(limits=limits) as fresh:
        play(fresh.origin, (0, 0), (2, 1))
        filling = start_filling(fresh.origin, [Sister(url)], patience=60, total=60)
        for path in (
            f"{fresh.line()}/index.m3u8",
            "/live/room/index.m3u8",
            "/live/nobody/index.m3u8",
            f"{fresh.line()}/2.1.m4s",  # hinted: nobody may wait for it in a window that will be another one
            f"{fresh.line()}/8.m4s",
            LIST,
            f"{LIST}/64k/1.m4s",
        ):
            answer = await fresh.get(path)
            assert (path, answer.status, answer.headers["Retry-After"]) == (path, 503, "1")
        ready = await fresh.get("/readyz")
        assert (ready.status, json.loads(ready.body)["status"]) == (503, "filling")
        assert (await fresh.request("DELETE", LIST)).status == 503
        # What is known is no other later.
        assert (await fresh.get("1.m4s")).body == takes.segment(GRID, 1)
        # Two origins that start together can help each other.
        assert json.loads((await fresh.get("/publish")).body)["takes"][0]["take"] == TAKE
        release.set()
        await filling
        assert (await fresh.get("/readyz")).status == 200
        assert (await fresh.get("8.m4s")).status == 200
        assert (await fresh.get("1.m4s")).body == takes.segment(GRID, 1)


async def test_what_was_answered_from_a_window_that_was_replaced_ends_with_the_take(
    sister: RunningOrigin, fresh: RunningOrigin
) -> None:
    play(fresh.origin, (1, 0), (2, 1))
    for _ in range(3):  # connections remember it
        assert (await fresh.get("1.m4s")).status == 200
    await fill(fresh, sister.url)
    assert (await fresh.get("1.m4s")).body == takes.segment(GRID, 1)
    fresh.origin.forget(KEY)
    assert (await fresh.get("1.m4s")).status == 404


async def test_without_an_answer_it_goes_on_alone(fresh: RunningOrigin, unused_tcp_port: int) -> None:
    play(fresh.origin, (0, 0), (4, 0))
    await fill(fresh, f"http://127.0.0.1:{unused_tcp_port}")
    assert (await fresh.playlist()).status == 200


# ---------------------------------------------------------------- sisters that do not help


async def hangs(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def trickles(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for byte in pack([header_record(HEADER)] * 100):
        await response.write(bytes([byte]))
        await asyncio.sleep(0.25)
    return response


async def lies(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"<html>" * 1000)


async def refuses(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [(hangs, "sends nothing"), (trickles, "too slow"), (lies, "no records"), (refuses, "answers 500")],
)
async def test_a_bad_sister_costs_a_limited_time_and_the_next_one_is_asked(
    sister: RunningOrigin, fresh: RunningOrigin, bad: Handler, reason: str
) -> None:
    async with running() as longer:
        play(longer.origin, (0, 0), (20, 0))  # so that she is asked first
        async with bad_sister(bad, longer.origin) as url:
            with capture_logs() as logs:
                await fill(fresh, url, sister.url, patience=1.0, total=30)
    assert served(fresh.origin) == served(sister.origin)
    assert [reason in log["reason"] for log in logs if "reason" in log] == [True]


async def test_time_is_up_also_for_a_sister_who_goes_on_and_on(fresh: RunningOrigin) -> None:
    async def for_ever(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(pack(contents(fresh.origin.takes.known(KEY).window)[:1]))
        event = pack([contents(fresh.origin.takes.known(KEY).window)[1]])
        while True:
            await response.write(event * 1000)
            await asyncio.sleep(0.01)

    async with running() as longer:
        play(longer.origin, (0, 0), (20, 0))
        play(fresh.origin, (0, 0), (2, 0))
        async with bad_sister(for_ever, longer.origin) as url:
            await fill(fresh, url, patience=0.3, total=0.3)
    assert sorted(served(fresh.origin)) == [0, 1]
    assert not fresh.origin.filling


async def test_half_a_window_closes_a_hole_but_is_not_shown_alone(fresh: RunningOrigin) -> None:
    async with running() as sister:
        play(sister.origin, (0, 0), (20, 0))
        play(sister.origin, (0, 0), (20, 0), key=TakeKey("other", TAKE))

        async def half(request: web.Request) -> web.StreamResponse:
            data = pack(contents(sister.origin.takes.known(KEY).window))
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.abort()
            return response

        async with bad_sister(half, sister.origin) as url:
            await fill(fresh, url)
            assert fresh.origin.takes.find(KEY) is None
            play(fresh.origin, (8, 0), (12, 0))
            await fill(fresh, url)
    assert sorted(served(fresh.origin)) == [*range(12)]


async def test_media_that_a_worker_could_not_put_does_not_come_from_a_sister_either(
    fresh: RunningOrigin,
) -> None:
    async with running() as sister:
        play(sister.origin, (0, 0), (3, 0))

        async def window(_: web.Request) -> web.Response:
            records = contents(sister.origin.takes.known(KEY).window)
            bad = replace(records[8], payload=records[8].payload.replace(b"moof", b"foom"))
            return web.Response(body=pack([*records[:8], bad, *records[9:]]))

        async with bad_sister(window, sister.origin) as url:
            await fill(fresh, url)
    assert fresh.origin.takes.find(KEY) is None


@pytest.mark.parametrize("nonsense", ["1e999", "NaN", "-1", "1" + "0" * 400, '"x"', "null", "true", "[]"])
async def test_a_take_that_makes_no_sense_hides_no_other_of_a_sister(
    sister: RunningOrigin, fresh: RunningOrigin, nonsense: str
) -> None:
    """Of its age, and of where it is, in turn; the good one comes all the same, and everybody is let in."""
    line = f'"renditions": {{"64k": {{"first": {nonsense}, "next": {{"msn": 1, "part": 1}}, "gaps": []}}}}'
    bad = [
        f'{{"room": "bad", "take": "{TAKE}", "age": 0, {line}, "end": null}}',
        f'{{"room": "bad2", "take": "{TAKE}", "age": {nonsense}, "renditions": {{}}, "end": null}}',
        f'{{"room": {nonsense}, "take": "{TAKE}", "age": 0, "renditions": {{}}, "end": null}}',
        nonsense,
    ]
    good = json.dumps({"room": KEY.room, "take": TAKE, "age": 0.0, **state(sister.origin)})

    async def listing(_: web.Request) -> web.Response:
        return web.Response(text=f'{{"takes": [{", ".join(bad)}, {good}]}}')

    async def window(_: web.Request) -> web.Response:
        return web.Response(body=(await sister.get(f"{LIST}/window")).body)

    async with other_sister(listing, window) as url:
        await fill(fresh, url)
    assert state(fresh.origin) == state(sister.origin)
    assert not fresh.origin.being_filled


async def test_a_bug_that_one_sister_meets_leaves_the_others_to_be_asked(
    sister: RunningOrigin, fresh: RunningOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = Sister("http://127.0.0.1:1"), Sister(sister.url)

    async def broken() -> list[Offer]:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(bad, "offers", broken)
    await start_filling(fresh.origin, [bad, good], patience=5, total=10)
    assert state(fresh.origin) == state(sister.origin)
