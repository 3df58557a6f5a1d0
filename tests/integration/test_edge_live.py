"""Live takes through real edges: what is asked of the origin, and when listeners get what there is."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge_stage import OVER, Stage, answers_of, asked, fetch, fresh_take, until_answered

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
CROWD = 200
PLAYLISTS = ("playlist", "blocking_playlist")


async def test_blocked_playlist_requests_are_one_at_the_origin(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
    before = asked(direct, *PLAYLISTS)
    waiting = await edge_stage.crowd(through, "index.m3u8?_HLS_msn=3&_HLS_part=2", CROWD)
    assert direct.blocked == 1
    await direct.feed((3, 3))
    answers = await asyncio.gather(*waiting)
    assert asked(direct, *PLAYLISTS) - before == 1
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {(await direct.playlist()).body}
    assert "3.2.m4s" in answers[0].text


async def test_requests_for_the_hinted_part_are_one_at_the_origin(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
    before = asked(direct, "part")
    waiting = await edge_stage.crowd(through, "3.2.m4s", CROWD)
    assert direct.blocked == 1
    await direct.feed((3, 3))
    answers = await asyncio.gather(*waiting)
    assert asked(direct, "part") - before == 1
    assert {answer.body for answer in answers} == {direct.part(3, 2)}


async def test_while_the_origin_answers_503_each_crowd_is_one_request_and_then_all_is_answered(
    edge_stage: Stage,
) -> None:
    direct, through = await edge_stage.take((3, 2))
    blocking, plain = "index.m3u8?_HLS_msn=2", "index.m3u8"
    for wave in range(2):
        # What was said the first time is over: the next crowd is one request again, and not all who find an
        # answer that has expired. Meanwhile the origin is well: Varnish asks nothing of one that is not.
        await asyncio.sleep(OVER[edge_stage.edge.program] * wave)
        direct.origin.being_filled = True
        # nginx has another address for the plain one each second, and a crowd may arrive in two of them.
        for path, most in ((blocking, 1), (plain, 2)):
            before = asked(direct, *PLAYLISTS)
            answers = await asyncio.gather(*(through.get(path) for _ in range(CROWD)))
            assert asked(direct, *PLAYLISTS) - before <= most, path
            assert {answer.status for answer in answers} == {503}
            assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
            assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=1"}
            assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"*"}
            assert answers[0].error
        direct.origin.being_filled = False
    for path in (blocking, plain):
        await until_answered(through, path, 200)
    # Nor is anything left of it by which each of a crowd would reach the origin.
    before = asked(direct, *PLAYLISTS)
    waiting = await edge_stage.crowd(through, "index.m3u8?_HLS_msn=3&_HLS_part=2", CROWD)
    await direct.feed((3, 3))
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    assert asked(direct, *PLAYLISTS) - before == 1


@pytest.mark.parametrize(
    ("name", "kind", "stop"),
    [
        ("3.3.m4s", "part", (3, 4)),
        ("4.1.m4s", "part", (4, 2)),
        ("3.m4s", "segment", (4, 0)),
        ("4.m4s", "segment", (5, 0)),
    ],
)
async def test_media_that_is_asked_for_early_is_waited_for_and_asked_for_once(
    edge_stage: Stage, name: str, kind: str, stop: tuple[int, int]
) -> None:
    """An error would be there longer than it is true, for all who ask in time."""
    direct, through = await edge_stage.take((3, 2))
    before = asked(direct, kind)
    waiting = await edge_stage.crowd(through, name, CROWD)
    assert direct.blocked == 1
    await direct.feed(stop)
    answers = await asyncio.gather(*waiting)
    there = await direct.get(name)
    assert {(answer.status, answer.body) for answer in answers} == {(200, there.body)}
    assert asked(direct, kind) - before == 1 + 1
    # Nor does anything of it stand in the way of those who come after them.
    answer = await through.get(name)
    assert (answer.status, answer.body, answer.headers["ETag"]) == (200, there.body, there.headers["ETag"])
    assert asked(direct, kind) - before == 1 + 1


async def test_a_take_that_begins_is_seen_although_it_was_asked_for_before(edge_stage: Stage) -> None:
    early = await fetch(f"{edge_stage.edge.url}/live/room/{fresh_take()}/64k/index.m3u8")
    assert (early.status, early.headers["Cache-Control"]) == (404, "public, max-age=1")
    direct, through = await edge_stage.take((3, 2))
    assert (await until_answered(through, "index.m3u8", 200)).text.startswith("#EXTM3U")
    async for answer in answers_of(through, "/live/room/index.m3u8", 4):
        if direct.take in answer.text:
            break


async def test_a_plain_playlist_grows_within_its_second(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
    await through.get("index.m3u8")
    await direct.feed((3, 3))
    there = (await direct.playlist()).body
    before = asked(direct, *PLAYLISTS)
    async for answer in answers_of(through, "index.m3u8", 4):
        if answer.body == there:
            break
    assert asked(direct, *PLAYLISTS) - before <= 2


async def test_an_edge_is_no_listener(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
    waiting = await edge_stage.crowd(through, "index.m3u8?_HLS_msn=3&_HLS_part=2", 20)
    assert direct.origin.listeners("room") == 0
    await direct.feed((3, 3))
    await asyncio.gather(*waiting)
    assert direct.origin.listeners("room") == 0


async def test_a_cold_edge_under_a_crowd_of_first_requests_asks_once_for_each_thing(
    edge_stage: Stage,
) -> None:
    direct, through = await edge_stage.take((3, 2))
    names = ("index.m3u8?_HLS_msn=3&_HLS_part=1", "init.mp4", "1.m4s", "2.m4s")
    kinds = (*PLAYLISTS, "init", "segment")
    there = {name: (await direct.get(name)).body for name in names}
    before = asked(direct, *kinds)
    answers = await asyncio.gather(*(through.get(names[i % len(names)]) for i in range(500)))
    assert asked(direct, *kinds) - before == len(names)
    assert {answer.status for answer in answers} == {200}
    assert all(answer.body == there[names[i % len(names)]] for i, answer in enumerate(answers))


async def test_pages_are_asked_for_once_a_second_or_less(edge_stage: Stage) -> None:
    direct = edge_stage.origins[0]
    before = asked(direct, "other", "page")
    answers = await asyncio.gather(*(fetch(f"{edge_stage.edge.url}/listen/room") for _ in range(50)))
    # This origin was given no pages.
    assert {answer.status for answer in answers} == {404}
    assert 1 <= asked(direct, "other", "page") - before <= 2
