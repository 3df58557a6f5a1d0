"""Media that is asked for before it is there, over HTTP: one test a rule.

A "not found" about media that is about to exist would be repeated by caches to everybody who asks in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from origin.service import OriginLimits
from tests.origins import KEY, Answer, RunningOrigin, on_the_air, running
from tests.playlists import blocked, end, samples_to
from tests.waiting import until


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Whole segments 0 to 8, and two parts of segment 9."""
    async with on_the_air((9, 2)) as origin:
        yield origin


async def held(room: RunningOrigin, *names: str) -> list[asyncio.Task[Answer]]:
    """Requests that are surely held."""
    before = room.blocked
    tasks = [asyncio.create_task(room.get(name)) for name in names]
    await until(lambda: room.blocked == before + len(names))
    return tasks


def whole(answer: Answer) -> tuple[int, bytes]:
    """Status and body of an answer that has its length."""
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    return answer.status, answer.body


async def test_parts_within_three_seconds_are_held_until_they_come(room: RunningOrigin) -> None:
    after_the_hint, next_segments, last = await held(room, "9.3.m4s", "10.0.m4s", "10.3.m4s")
    await room.feed((9, 4))
    assert whole(await after_the_hint) == (200, room.part(9, 3))
    await room.feed((10, 1))
    assert whole(await next_segments) == (200, room.part(10, 0))
    assert room.blocked == 1
    await room.feed((10, 4))
    assert whole(await last) == (200, room.part(10, 3))


async def test_segments_that_are_about_to_be_whole_are_held_until_they_are(room: RunningOrigin) -> None:
    open_one, next_one = await held(room, "9.m4s", "10.m4s")
    await room.feed((9, 4))
    assert room.blocked == 2
    await room.feed((10, 0))
    assert whole(await open_one) == (200, room.segment(9))
    await room.feed((10, 4))
    assert room.blocked == 1
    await room.feed((11, 0))
    assert whole(await next_one) == (200, room.segment(10))


@pytest.mark.parametrize("name", ["10.4.m4s", "11.0.m4s", "11.m4s", "400.m4s", "400.0.m4s"])
async def test_what_lies_further_ahead_is_not_found(room: RunningOrigin, name: str) -> None:
    assert (await room.get(name)).status == 404


@pytest.mark.parametrize("name", ["9.5.m4s", "9.7.m4s", "10.5.m4s", "8.5.m4s", "9.999999999999.m4s"])
async def test_a_part_that_no_segment_has_is_not_found(room: RunningOrigin, name: str) -> None:
    assert (await room.get(name)).status == 404


async def test_what_has_left_the_window_is_not_found() -> None:
    async with running(limits=OriginLimits(window_seconds=6), first=5) as room:
        await room.begin()
        await room.feed((14, 1))
        for name in ("4.m4s", "4.0.m4s", "6.m4s", "6.4.m4s"):
            assert (await room.get(name)).status == 404


async def test_head_is_held_too(room: RunningOrigin) -> None:
    request = asyncio.create_task(room.request("HEAD", f"{room.line()}/9.m4s"))
    await until(lambda: room.blocked == 1)
    await room.feed((10, 0))
    answer = await request
    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(room.segment(9))))


async def test_those_who_waited_for_one_thing_share_it(room: RunningOrigin) -> None:
    segments, parts = await held(room, *["9.m4s"] * 20), await held(room, *["9.4.m4s"] * 20)
    await room.feed((10, 0))
    assert {whole(answer) for answer in await asyncio.gather(*segments)} == {(200, room.segment(9))}
    assert {whole(answer) for answer in await asyncio.gather(*parts)} == {(200, room.part(9, 4))}
    # And so do those who come after them, and the connections that remember it.
    line = room.origin.line(*KEY, "64k")
    assert await line.segment(9) is await line.segment(9)
    assert (await line.segment(9)).answers == 20


async def test_a_gap_tells_who_waits_that_it_will_never_come(room: RunningOrigin) -> None:
    part, segment = await held(room, "9.3.m4s", "9.m4s")
    (later,) = await held(room, "10.1.m4s")
    assert (await room.put("64k/9.gap", b"")).status == 201
    assert [(await request).status for request in (part, segment)] == [404, 404]
    assert room.blocked == 1
    await room.put("64k/10.0.m4s", room.part(10, 0))
    await room.put("64k/10.1.m4s", room.part(10, 1))
    assert whole(await later) == (200, room.part(10, 1))


async def test_the_end_tells_who_waits_what_there_is(room: RunningOrigin) -> None:
    short, part, segment = await held(room, "9.m4s", "9.2.m4s", "10.m4s")
    assert (await end(room, samples_to((9, 2)))).status == 201
    assert whole(await short) == (200, room.part(9, 0) + room.part(9, 1))
    assert [(await request).status for request in (part, segment)] == [404, 404]
    for name in ("9.2.m4s", "10.0.m4s", "10.m4s"):
        assert (await room.get(name)).status == 404


async def test_a_take_that_is_deleted_is_not_found_by_those_who_wait(room: RunningOrigin) -> None:
    requests = await held(room, "9.3.m4s", "9.m4s")
    room.origin.forget(KEY)
    assert {(await request).status for request in requests} == {404}


async def test_nor_by_those_whose_part_came_in_the_moment_before(room: RunningOrigin) -> None:
    (request,) = await held(room, "9.2.m4s")
    room.origin.put_part(KEY, "64k", 9, 2, room.part(9, 2))
    room.origin.forget(KEY)
    assert (await request).status == 404


async def test_who_waits_is_sent_elsewhere_by_an_origin_that_goes_down(room: RunningOrigin) -> None:
    requests = await held(room, "9.3.m4s", "9.m4s")
    room.origin.drain()
    assert [(await request).status for request in requests] == [503, 503]
    assert {(await room.get(name)).status for name in ("9.3.m4s", "9.m4s")} == {503}


async def test_who_waits_for_media_is_no_listener_and_counts_among_the_blocked() -> None:
    async with running(limits=OriginLimits(max_blocked=3)) as room:
        await room.begin()
        await room.feed((3, 0))
        media = await held(room, "3.1.m4s", "3.m4s")
        assert room.origin.listeners(KEY.room) == 0
        listener = await blocked(room, "?_HLS_msn=3&_HLS_part=0")
        assert room.origin.listeners(KEY.room) == 1
        for name in ("3.1.m4s", "3.m4s", "index.m3u8?_HLS_msn=3"):
            answer = await room.get(name)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        # What is there needs no place.
        assert (await room.get("2.m4s")).status == 200
        await room.feed((4, 0))
        assert [(await request).status for request in (*media, listener)] == [200, 200, 200]


async def test_the_first_media_of_a_take_is_held_too() -> None:
    async with running(first=7) as room:
        await room.begin()
        before, part, segment = await held(room, "6.0.m4s", "7.1.m4s", "7.m4s")
        await room.feed((7, 1))
        assert (await before).status == 404  # nothing is ever put before what was listed
        await room.feed((7, 2))
        assert whole(await part) == (200, room.part(7, 1))
        await room.feed((8, 0))
        assert whole(await segment) == (200, room.segment(7))


async def test_while_segments_are_put_one_after_another_nothing_is_far_ahead() -> None:
    now = 1000.0
    async with running(clock=lambda: now) as room:
        await room.begin()
        await room.put("64k/0.m4s", room.segment(0))
        for name in ("9.m4s", "9.0.m4s"):
            answer = await room.get(name)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        (soon,) = await held(room, "1.m4s")
        await room.put("64k/1.m4s", room.segment(1))
        assert whole(await soon) == (200, room.segment(1))
        await room.put("64k/2.0.m4s", room.part(2, 0))
        assert (await room.get("9.m4s")).status == 404
