"""When playlists are answered, asserted over HTTP against a running origin: one test a rule."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from origin.service import OriginLimits
from tests.origins import RunningOrigin, on_the_air, running
from tests.playlists import attribute, blocked, segments, tag, tags
from tests.waiting import until

SHORT = OriginLimits(block_seconds=0.2)


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Whole segments 0 to 8, and two parts of segment 9."""
    async with on_the_air((9, 2)) as origin:
        yield origin


@pytest.fixture
async def impatient() -> AsyncIterator[RunningOrigin]:
    """As `room`, but no request is held for longer than 0.2 s."""
    async with running(limits=SHORT) as origin:
        await origin.begin()
        await origin.feed((9, 2))
        yield origin


async def test_a_request_for_the_next_part_waits_for_it(room: RunningOrigin) -> None:
    request = await blocked(room, "?_HLS_msn=9&_HLS_part=2")
    await room.feed((9, 3))
    answer = await request
    assert answer.status == 200
    assert attribute(tag(answer, "EXT-X-PRELOAD-HINT"), "URI") == "9.3.m4s"


async def test_a_request_for_what_is_there_is_answered_at_once(room: RunningOrigin) -> None:
    answer = await room.playlist("?_HLS_msn=9&_HLS_part=1")
    assert attribute(tag(answer, "EXT-X-PRELOAD-HINT"), "URI") == "9.2.m4s"


async def test_a_part_past_a_finished_segments_last_one_means_part_0_of_the_next(room: RunningOrigin) -> None:
    assert (await room.playlist("?_HLS_msn=8&_HLS_part=5")).status == 200
    request = await blocked(room, "?_HLS_msn=9&_HLS_part=5")
    await room.feed((10, 0))
    await asyncio.sleep(0)
    assert room.blocked == 1
    await room.feed((10, 1))
    assert (await request).status == 200


async def test_msn_alone_waits_for_the_whole_segment(room: RunningOrigin) -> None:
    request = await blocked(room, "?_HLS_msn=9")
    await room.feed((9, 4))
    assert room.blocked == 1
    await room.feed((10, 0))
    assert segments(await request)[-1] == "9.m4s"


async def test_an_evicted_msn_answers_the_current_playlist() -> None:
    async with running(limits=OriginLimits(window_seconds=6), first=20) as room:
        await room.begin()
        await room.feed((29, 0))
        for query in ("?_HLS_msn=21", "?_HLS_msn=21&_HLS_part=3", "?_HLS_msn=0&_HLS_part=0"):
            answer = await room.playlist(query)
            assert (answer.status, segments(answer)) == (200, ["26.m4s", "27.m4s", "28.m4s"])


async def test_a_delta_update_skips_what_is_older_than_the_skip_boundary(room: RunningOrigin) -> None:
    full = await room.playlist()
    delta = await room.playlist("?_HLS_skip=YES")
    skipped = int(attribute(tag(delta, "EXT-X-SKIP"), "SKIPPED-SEGMENTS"))
    assert skipped == 2
    assert segments(full)[skipped:] == segments(delta)
    assert attribute(tag(await room.playlist("?_HLS_skip=v2"), "EXT-X-SKIP"), "SKIPPED-SEGMENTS") == "2"


async def test_an_update_that_may_skip_date_ranges_has_a_body_of_its_own() -> None:
    async with running() as room:
        await room.begin()
        for sample, title in ((0, "The beginning"), (800_000, "The middle")):
            event = json.dumps({"kind": "chapter", "title": title}).encode()
            assert (await room.put(f"events/{sample}-0.json", event)).status == 201
        await room.feed((9, 2))
        for query in ("?_HLS_skip=v2", "?_HLS_skip=YES", "?_HLS_skip=v2"):
            answer = await room.playlist(query)
            titles = [attribute(line, "X-TITLE") for line in tags(answer, "EXT-X-DATERANGE")]
            told = "RECENTLY-REMOVED-DATERANGES" in tag(answer, "EXT-X-SKIP")
            # Who is up to date has had the first one for more than 12 s.
            assert (titles, told) == (
                (["The middle"], True) if "v2" in query else (["The beginning", "The middle"], False)
            )


async def test_a_delta_update_can_be_waited_for(room: RunningOrigin) -> None:
    request = await blocked(room, "?_HLS_msn=9&_HLS_part=2&_HLS_skip=YES")
    await room.feed((9, 3))
    answer = await request
    assert tags(answer, "EXT-X-SKIP")
    assert attribute(tag(answer, "EXT-X-PRELOAD-HINT"), "URI") == "9.3.m4s"


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=1",
        "_HLS_msn=x",
        "_HLS_msn=",
        "_HLS_msn=1.5",
        "_HLS_msn=-1",
        "_HLS_msn=%2B9",
        "_HLS_msn=9&_HLS_part=-1",
        "_HLS_msn=9&_HLS_part=a",
        "_HLS_msn=9&_HLS_msn=9",
        "_HLS_msn=9&_HLS_part=2&_HLS_part=3",
        "_HLS_skip=NO",
        "_HLS_skip=YES&_HLS_skip=YES",
        "_HLS_msn=11",  # the last segment is 8
        "_HLS_msn=99999999999999999999999",
        "_HLS_msn=10&_HLS_part=5",  # more than 3 s beyond part 9.1
        "_HLS_msn=9&_HLS_part=" + "9" * 400,
        "_HLS_msn=9&x=" + "x" * 2000,
    ],
)
async def test_directives_that_no_playlist_can_answer_get_400(room: RunningOrigin, query: str) -> None:
    answer = await room.playlist(f"?{query}")
    assert answer.status == 400, answer
    assert answer.error
    assert answer.headers["Cache-Control"] == "public, max-age=1"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("query", ["_HLS_msn=10", "_HLS_msn=10&_HLS_part=3"])
async def test_what_lies_just_within_the_advance_limit_is_waited_for(room: RunningOrigin, query: str) -> None:
    request = await blocked(room, f"?{query}")
    request.cancel()
    await until(lambda: room.blocked == 0)


@pytest.mark.parametrize(
    "query", ["a=1", "_HLS_push=1", "_HLS_start_offset=3.5", "msn=99", "_hls_msn=99", "&&="]
)
async def test_unknown_query_parameters_are_ignored(room: RunningOrigin, query: str) -> None:
    assert (await room.playlist(f"?{query}")).body == (await room.playlist()).body


async def test_503_when_nothing_came_for_three_target_durations(impatient: RunningOrigin) -> None:
    assert OriginLimits().block_seconds == 6
    playlists = ("index.m3u8?_HLS_msn=9&_HLS_part=2", "index.m3u8?_HLS_msn=9")
    for path in (*playlists, "9.2.m4s", "9.4.m4s", "9.m4s", "10.m4s"):
        answer = await impatient.get(path)
        assert answer.status == 503, path
        assert answer.error
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["Cache-Control"] == "public, max-age=1"


async def test_a_plain_playlist_waits_for_the_first_whole_segment() -> None:
    async with running(first=7) as room:
        await room.begin()
        request = await blocked(room, "")
        await room.feed((7, 4))
        assert not request.done()
        await room.feed((8, 0))
        assert segments(await request) == ["7.m4s"]


async def test_503_when_no_whole_segment_came_for_three_target_durations() -> None:
    async with running(limits=SHORT) as room:
        await room.begin()
        assert (await room.playlist()).status == 503
        await room.feed((0, 3))
        answer = await room.playlist()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_503_beyond_the_bound_of_blocked_requests() -> None:
    async with running(limits=OriginLimits(max_blocked=2)) as room:
        await room.begin()
        await room.feed((3, 0))
        held = [await blocked(room, "?_HLS_msn=3&_HLS_part=0") for _ in range(2)]
        answer = await room.playlist("?_HLS_msn=3&_HLS_part=0")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        await room.feed((3, 1))
        assert [(await request).status for request in held] == [200, 200]


async def test_a_listener_that_leaves_while_it_is_blocked_is_forgotten_at_once(room: RunningOrigin) -> None:
    requests = [await blocked(room, "?_HLS_msn=9&_HLS_part=2") for _ in range(3)]
    stays = requests.pop()
    for request in requests:
        request.cancel()
    await until(lambda: room.blocked == 1)
    await room.feed((9, 3))
    assert (await stays).status == 200


async def test_two_thousand_blocked_requests_are_released_by_one_part() -> None:
    # They wait for as long as it takes until all are there.
    async with running(limits=OriginLimits(block_seconds=60)) as room:
        await room.begin()
        await room.feed((9, 2))
        requests = [asyncio.create_task(room.playlist("?_HLS_msn=9&_HLS_part=2")) for _ in range(2000)]
        await until(lambda: room.blocked == 2000)
        await room.feed((9, 3))
        answers = await asyncio.gather(*requests)
        assert {(answer.status, answer.body) for answer in answers} == {(200, (await room.playlist()).body)}
        assert room.blocked == 0
