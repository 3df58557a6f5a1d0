"""Takes that end, follow one another or are being filled, over HTTP: one test a rule."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from contracts.take import TakeSettings
from origin.service import OriginLimits
from tests.origins import RunningOrigin, on_the_air, running, settings
from tests.playlists import blocked, end, samples_to, segments, tags
from tests.waiting import until


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Whole segments 0 to 8, and two parts of segment 9."""
    async with on_the_air((9, 2)) as origin:
        yield origin


async def test_an_ended_take_has_an_endlist_and_no_hint(room: RunningOrigin) -> None:
    assert (await end(room, samples_to((9, 2)))).status == 201
    playlist = await room.playlist()
    assert playlist.lines[-1] == "#EXT-X-ENDLIST"
    assert not tags(playlist, "EXT-X-PRELOAD-HINT")
    assert segments(playlist)[-1] == "9.m4s"
    assert (await room.get("9.m4s")).body == room.part(9, 0) + room.part(9, 1)


async def test_blocked_listeners_get_the_ended_playlist_at_once(room: RunningOrigin) -> None:
    held = [
        await blocked(room, query) for query in ("?_HLS_msn=9&_HLS_part=2", "?_HLS_msn=10", "?_HLS_msn=9")
    ]
    assert (await end(room, samples_to((9, 2)))).status == 201
    for request in held:
        answer = await request
        assert (answer.status, answer.lines[-1]) == (200, "#EXT-X-ENDLIST")


async def test_a_held_hint_is_not_found_after_the_end(room: RunningOrigin) -> None:
    request = asyncio.create_task(room.get("9.2.m4s"))
    await until(lambda: room.blocked == 1)
    assert (await end(room, samples_to((9, 2)))).status == 201
    assert (await request).status == 404


@pytest.mark.parametrize(
    "query",
    ["_HLS_msn=99", "_HLS_msn=10&_HLS_part=0", "_HLS_skip=YES", "_HLS_part=1", "_HLS_msn=-1", "_HLS_msn=x"],
)
async def test_after_the_end_every_directive_is_ignored(room: RunningOrigin, query: str) -> None:
    await end(room, samples_to((9, 2)))
    assert (await room.playlist(f"?{query}")).body == (await room.playlist()).body


async def test_the_room_plays_its_newest_running_take_else_the_last_one(room: RunningOrigin) -> None:
    index = "/live/room/index.m3u8"
    first = room.take
    await end(room, samples_to((9, 2)))
    assert segments(await room.get(index)) == [f"{first}/64k/index.m3u8"]
    second = RunningOrigin(room.url, room.origin, room.session, room.settings, take="20260101T010000Z-abc234")
    await second.begin()
    assert segments(await room.get(index)) == [f"{second.take}/64k/index.m3u8"]
    # The old one plays on for those who are there.
    assert (await room.playlist()).status == 200


async def test_a_take_leaves_one_window_length_after_its_end() -> None:
    now = 1000.0
    async with running(limits=OriginLimits(window_seconds=30), clock=lambda: now) as room:
        await room.begin()
        await room.feed((4, 0))
        await end(room, samples_to((4, 0)))
        room.origin.sweep(now + 30)
        assert (await room.playlist()).status == 200
        room.origin.sweep(now + 30.1)
        for path in ("index.m3u8", "init.mp4", "2.m4s", "3.4.m4s", "/live/room/index.m3u8"):
            assert (await room.get(path)).status == 404


async def test_an_origin_that_is_being_filled_answers_no_playlist_until_the_first_part() -> None:
    now = 1000.0
    async with running(clock=lambda: now) as room:
        await room.begin()
        waiting = await blocked(room, "")
        for msn in range(4):
            assert (await room.put(f"64k/{msn}.m4s", room.segment(msn))).status == 201
        for path in ("index.m3u8", "index.m3u8?_HLS_msn=3", "/live/room/index.m3u8", "/readyz"):
            answer = await room.get(path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1"), path
        assert (await waiting).status == 503
        assert (await room.put("64k/4.0.m4s", room.part(4, 0))).status == 201
        assert segments(await room.playlist()) == ["0.m4s", "1.m4s", "2.m4s", "3.m4s"]
        assert (await room.get("/readyz")).status == 200


async def test_an_origin_is_filled_for_five_seconds_at_most() -> None:
    now = 1000.0
    async with running(clock=lambda: now) as room:
        await room.begin()
        await room.put("64k/3.m4s", room.segment(3))
        now += 4.9
        assert (await room.playlist()).status == 503
        now += 0.2
        assert segments(await room.playlist()) == ["3.m4s"]


async def test_nothing_is_put_before_what_was_listed(room: RunningOrigin) -> None:
    async with running(first=5) as late:
        await late.begin()
        await late.feed((8, 0))
        before = (await late.playlist()).body
        assert (await late.put("64k/4.m4s", room.segment(4))).status == 204
        assert (await late.playlist()).body == before


async def test_two_origins_fed_alike_answer_alike() -> None:
    take: TakeSettings = settings("64k", "32k")
    async with running(take) as one, running(take) as other:
        for room in (one, other):
            await room.begin()
            await room.feed((6, 3))
        for path in (
            "index.m3u8",
            "index.m3u8?_HLS_skip=YES",
            "init.mp4",
            "5.m4s",
            "6.2.m4s",
            "/live/room/index.m3u8",
        ):
            for coding in ("identity", "gzip"):
                ours, theirs = [await room.get(path, Accept_Encoding=coding) for room in (one, other)]
                assert (ours.headers["ETag"], ours.body) == (theirs.headers["ETag"], theirs.body)


async def test_playlists_are_gzipped_for_those_who_take_it(room: RunningOrigin) -> None:
    plain = await room.playlist()
    packed = await room.get("index.m3u8", Accept_Encoding="br, gzip;q=0.8")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert plain.headers["ETag"] != packed.headers["ETag"]
    for coding in ("identity", "gzip;q=0", "br", "*;q=0"):
        assert "Content-Encoding" not in (await room.get("index.m3u8", Accept_Encoding=coding)).headers
