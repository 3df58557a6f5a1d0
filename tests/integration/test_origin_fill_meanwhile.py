"""Origins that start with sisters: what they answer meanwhile, and sisters that do not help."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.take import TakeKey
from origin.contents import contents, header_record
from origin.fill import start_filling
from origin.journal_format import pack
from origin.service import OriginLimits
from origin.sisters import Offer, Sister
from tests import takes
from tests.origins import KEY, TAKE, RunningOrigin, running
from tests.sisters import GRID, HEADER, LIST, Handler, bad_sister, fill, other_sister, play, served, state

# ---------------------------------------------------------------- meanwhile


async def test_while_it_is_filled_it_shows_no_playlist_takes_nothing_and_says_so(
    sister_origin: RunningOrigin,
) -> None:
    release = asyncio.Event()

    async def window(request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(body=pack(contents(sister_origin.origin.takes.known(KEY).window)))

    limits = OriginLimits(block_seconds=3_600)
    async with bad_sister(window, sister_origin.origin) as url, running(limits=limits) as fresh:
        play(fresh.origin, (0, 0), (2, 1))
        filling = start_filling(fresh.origin, [Sister(url)], patience=60, total=60)
        for path in (
            f"{fresh.line()}/index.m3u8",
            "/live/room/index.m3u8",
            "/live/nobody/index.m3u8",
            f"{fresh.line()}/2.1.m4s",  # about to come; nobody may wait in a window that will be another one
            f"{fresh.line()}/2.4.m4s",
            f"{fresh.line()}/2.m4s",
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
    sister_origin: RunningOrigin, fresh_origin: RunningOrigin
) -> None:
    play(fresh_origin.origin, (1, 0), (2, 1))
    for _ in range(3):  # connections remember it
        assert (await fresh_origin.get("1.m4s")).status == 200
    await fill(fresh_origin, sister_origin.url)
    assert (await fresh_origin.get("1.m4s")).body == takes.segment(GRID, 1)
    fresh_origin.origin.forget(KEY)
    assert (await fresh_origin.get("1.m4s")).status == 404


async def test_without_an_answer_it_goes_on_alone(fresh_origin: RunningOrigin, unused_tcp_port: int) -> None:
    play(fresh_origin.origin, (0, 0), (4, 0))
    await fill(fresh_origin, f"http://127.0.0.1:{unused_tcp_port}")
    assert (await fresh_origin.playlist()).status == 200


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
    sister_origin: RunningOrigin, fresh_origin: RunningOrigin, bad: Handler, reason: str
) -> None:
    async with running() as longer:
        play(longer.origin, (0, 0), (20, 0))  # so that she is asked first
        async with bad_sister(bad, longer.origin) as url:
            with capture_logs() as logs:
                await fill(fresh_origin, url, sister_origin.url, patience=1.0, total=30)
    assert served(fresh_origin.origin) == served(sister_origin.origin)
    assert [reason in log["reason"] for log in logs if "reason" in log] == [True]


async def test_time_is_up_also_for_a_sister_who_goes_on_and_on(fresh_origin: RunningOrigin) -> None:
    async def for_ever(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(pack(contents(fresh_origin.origin.takes.known(KEY).window)[:1]))
        event = pack([contents(fresh_origin.origin.takes.known(KEY).window)[1]])
        while True:
            await response.write(event * 1000)
            await asyncio.sleep(0.01)

    async with running() as longer:
        play(longer.origin, (0, 0), (20, 0))
        play(fresh_origin.origin, (0, 0), (2, 0))
        async with bad_sister(for_ever, longer.origin) as url:
            await fill(fresh_origin, url, patience=0.3, total=0.3)
    assert sorted(served(fresh_origin.origin)) == [0, 1]
    assert not fresh_origin.origin.filling


async def test_half_a_window_closes_a_hole_but_is_not_shown_alone(fresh_origin: RunningOrigin) -> None:
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
            await fill(fresh_origin, url)
            assert fresh_origin.origin.takes.find(KEY) is None
            play(fresh_origin.origin, (8, 0), (12, 0))
            await fill(fresh_origin, url)
    assert sorted(served(fresh_origin.origin)) == [*range(12)]


async def test_media_that_a_worker_could_not_put_does_not_come_from_a_sister_either(
    fresh_origin: RunningOrigin,
) -> None:
    async with running() as sister:
        play(sister.origin, (0, 0), (3, 0))

        async def window(_: web.Request) -> web.Response:
            records = contents(sister.origin.takes.known(KEY).window)
            bad = replace(records[8], payload=records[8].payload.replace(b"moof", b"foom"))
            return web.Response(body=pack([*records[:8], bad, *records[9:]]))

        async with bad_sister(window, sister.origin) as url:
            await fill(fresh_origin, url)
    assert fresh_origin.origin.takes.find(KEY) is None


@pytest.mark.parametrize("nonsense", ["1e999", "NaN", "-1", "1" + "0" * 400, '"x"', "null", "true", "[]"])
async def test_a_take_that_makes_no_sense_hides_no_other_of_a_sister(
    sister_origin: RunningOrigin, fresh_origin: RunningOrigin, nonsense: str
) -> None:
    """Of its age, and of where it is, in turn; the good one comes all the same, and everybody is let in."""
    line = f'"renditions": {{"64k": {{"first": {nonsense}, "next": {{"msn": 1, "part": 1}}, "gaps": []}}}}'
    bad = [
        f'{{"room": "bad", "take": "{TAKE}", "age": 0, {line}, "end": null}}',
        f'{{"room": "bad2", "take": "{TAKE}", "age": {nonsense}, "renditions": {{}}, "end": null}}',
        f'{{"room": {nonsense}, "take": "{TAKE}", "age": 0, "renditions": {{}}, "end": null}}',
        nonsense,
    ]
    good = json.dumps({"room": KEY.room, "take": TAKE, "age": 0.0, **state(sister_origin.origin)})

    async def listing(_: web.Request) -> web.Response:
        return web.Response(text=f'{{"takes": [{", ".join(bad)}, {good}]}}')

    async def window(_: web.Request) -> web.Response:
        return web.Response(body=(await sister_origin.get(f"{LIST}/window")).body)

    async with other_sister(listing, window) as url:
        await fill(fresh_origin, url)
    assert state(fresh_origin.origin) == state(sister_origin.origin)
    assert not fresh_origin.origin.being_filled


async def test_a_bug_that_one_sister_meets_leaves_the_others_to_be_asked(
    sister_origin: RunningOrigin, fresh_origin: RunningOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = Sister("http://127.0.0.1:1"), Sister(sister_origin.url)

    async def broken() -> list[Offer]:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr(bad, "offers", broken)
    await start_filling(fresh_origin.origin, [bad, good], patience=5, total=10)
    assert state(fresh_origin.origin) == state(sister_origin.origin)
