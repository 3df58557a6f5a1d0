"""Live takes through a real Varnish edge: what is asked of the origin, and what listeners get."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from benchmarks.crowd import Crowd
from tests.edge_stage import Stage, asked, fetch, fresh_take, real_stage, until, until_answered
from tests.origins import Answer, RunningOrigin

pytestmark = [
    pytest.mark.needs("varnishd", "vmod_digest"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
CROWD = 200
PLAYLISTS = ("playlist", "blocking_playlist")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with real_stage("varnish", tmp_path_factory.mktemp("edge")) as stage:
        yield stage


async def crowd(stage: Stage, through: RunningOrigin, path: str) -> list[asyncio.Task[Answer]]:
    """Two hundred who ask for the same, all of whom wait for the one that reached the origin first."""
    before = stage.asleep()
    tasks = [asyncio.create_task(through.get(path)) for _ in range(CROWD)]
    await until(lambda: stage.asleep() - before >= CROWD - 1, "all but one wait in the edge")
    assert stage.origins[0].blocked == 1
    return tasks


async def test_blocked_playlist_requests_are_one_at_the_origin(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    before = asked(direct, *PLAYLISTS)
    waiting = await crowd(stage, through, "index.m3u8?_HLS_msn=3&_HLS_part=2")
    await direct.feed((3, 3))
    answers = await asyncio.gather(*waiting)
    assert asked(direct, *PLAYLISTS) - before == 1
    assert {answer.body for answer in answers} == {(await direct.playlist()).body}
    assert {answer.status for answer in answers} == {200}
    assert all("3.2.m4s" in answer.text for answer in answers[:1])


async def test_requests_for_the_hinted_part_are_one_at_the_origin(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    before = asked(direct, "part")
    waiting = await crowd(stage, through, "3.2.m4s")
    await direct.feed((3, 3))
    answers = await asyncio.gather(*waiting)
    assert asked(direct, "part") - before == 1
    assert {answer.body for answer in answers} == {direct.part(3, 2)}


async def test_while_the_origin_answers_503_a_crowd_is_one_request_and_once_it_ends_the_crowd_is_answered(
    stage: Stage,
) -> None:
    direct, through = await stage.take((3, 2))
    direct.origin.being_filled = True
    before = asked(direct, *PLAYLISTS)
    path = "index.m3u8?_HLS_msn=2"
    answers = await asyncio.gather(*(through.get(path) for _ in range(CROWD)))
    direct.origin.being_filled = False
    assert asked(direct, *PLAYLISTS) - before == 1
    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"*"}
    assert answers[0].error
    # Had that become hit-for-miss, each of them would reach the origin now.
    await until_answered(through, path, 200)
    before = asked(direct, *PLAYLISTS)
    waiting = await crowd(stage, through, "index.m3u8?_HLS_msn=3&_HLS_part=2")
    await direct.feed((3, 3))
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
    assert asked(direct, *PLAYLISTS) - before == 1


async def test_a_part_that_was_asked_for_too_early_is_there_as_soon_as_it_comes(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    assert (await through.get("3.3.m4s")).status == 404
    await direct.feed((3, 4))
    answer = await through.get("3.3.m4s")
    assert (answer.status, answer.body) == (200, direct.part(3, 3))


async def test_a_part_that_never_comes_is_asked_for_once_by_a_crowd(stage: Stage) -> None:
    """Its refusal is over in a millisecond, and long before the last of those who wait for it is awake."""
    direct, through = await stage.take((3, 2))
    before, asleep = asked(direct, "part"), stage.asleep()
    waiting = asyncio.create_task(
        asyncio.to_thread(storm, stage.edge.port, [f"{through.line()}/3.2.m4s"], 2_000)
    )
    await until(lambda: stage.asleep() - asleep >= 1_999, "all but one wait in the edge")
    samples = 3 * 96_000 + 34 * 1024  # within 3.1: 3.2 never comes
    ended = await direct.request("POST", f"/publish/room/{direct.take}/end", json={"samples": samples})
    assert ended.status < 300, ended
    assert [(status, number) for (status, _), number in (await waiting).items()] == [(404, 2_000)]
    assert asked(direct, "part") - before == 1


async def test_a_take_that_begins_is_seen_although_it_was_asked_for_before(stage: Stage) -> None:
    take = fresh_take()
    path = f"/live/room/{take}/64k/index.m3u8"
    early = await fetch(stage.edge.url + path)
    assert (early.status, early.headers["Cache-Control"]) == (404, "public, max-age=1")
    stage_of_it, through = await stage.take((3, 2))
    assert (await until_answered(through, f"{through.line()}/index.m3u8", 200)).text.startswith("#EXTM3U")
    assert stage_of_it.take in (await until_answered(through, "/live/room/index.m3u8", 200)).text


async def test_the_order_of_parameters_and_those_of_others_make_no_copies(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    before = asked(direct, *PLAYLISTS)
    queries = (
        "_HLS_msn=3&_HLS_part=1&_HLS_skip=YES",
        "_HLS_skip=YES&_HLS_part=1&_HLS_msn=3",
        "utm_source=x&_HLS_part=1&_HLS_skip=YES&_HLS_msn=3&_HLS_report=1",
        "_HLS_msn=3&a&&b=&_HLS_part=1&_HLS_skip=YES&",
    )
    answers = [await through.playlist(f"?{query}") for query in queries]
    assert asked(direct, *PLAYLISTS) - before == 1
    assert len({answer.body for answer in answers}) == 1
    assert [answer.headers["Cache-Status"] for answer in answers] == [
        "longwave-edge; fwd=miss",
        *["longwave-edge; hit"] * 3,
    ]
    before = asked(direct, "segment")
    assert {(await through.get(f"1.m4s{query}")).status for query in ("", "?", "?x=1", "?_HLS_msn=9")} == {
        200
    }
    assert asked(direct, "segment") - before == 1


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_msn=2&_HLS_msn=2",
        "_HLS_msn=2&_HLS_part=1&_HLS_part=1",
        "_HLS_msn=two",
        "_HLS_msn=",
        "_HLS_msn",
        "_HLS_msn=-1",
        "_HLS_part=1",
        "_HLS_skip=no",
        "_HLS_msn=77",
    ],
)
async def test_directives_that_cannot_be_are_refused_by_the_origin_and_spoil_no_others(
    stage: Stage, query: str
) -> None:
    direct, through = await stage.take((3, 2))
    refused = await through.playlist(f"?{query}")
    assert (refused.status, refused.headers["Cache-Control"]) == (400, "public, max-age=1")
    assert refused.body == (await direct.playlist(f"?{query}")).body
    before = asked(direct, *PLAYLISTS)
    assert (await through.playlist(f"?{query}&x=1")).status == 400
    assert asked(direct, *PLAYLISTS) == before
    assert (await through.playlist("?_HLS_msn=2")).status == 200


async def test_hits_carry_what_the_origin_said_and_their_age(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    for name in ("index.m3u8?_HLS_msn=2", "1.m4s", "init.mp4", "3.1.m4s"):
        there = await direct.get(name, Accept_Encoding="gzip")
        await through.get(name, Accept_Encoding="gzip")
        hit = await through.get(name, Accept_Encoding="gzip")
        assert hit.headers["Cache-Status"] == "longwave-edge; hit"
        assert hit.headers["Age"].isdecimal()
        assert hit.headers["Via"] == "1.1 longwave-edge"
        assert hit.body == there.body
        kept = ("ETag", "Cache-Control", "Content-Type", "Vary", "Content-Encoding", "Surrogate-Key")
        both = (*kept, "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Server")
        assert [hit.headers.get(field) for field in both] == [there.headers.get(field) for field in both]


async def test_one_copy_answers_those_who_take_gzip_and_those_who_do_not(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    before = asked(direct, *PLAYLISTS)
    packed = await through.get("index.m3u8?_HLS_msn=2", Accept_Encoding="gzip, br")
    plain = await through.get("index.m3u8?_HLS_msn=2")
    assert asked(direct, *PLAYLISTS) - before == 1
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body == (await direct.playlist("?_HLS_msn=2")).body
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("coding", ["", "gzip"])
async def test_who_has_it_already_gets_304_without_a_request_to_the_origin(stage: Stage, coding: str) -> None:
    direct, through = await stage.take((3, 2))
    for name in ("index.m3u8?_HLS_msn=2", "1.m4s"):
        full = await through.get(name, Accept_Encoding=coding)
        before = asked(direct, *PLAYLISTS, "segment")
        again = await through.get(name, Accept_Encoding=coding, If_None_Match=full.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        assert again.headers["ETag"] == full.headers["ETag"]
        assert again.headers["Access-Control-Allow-Origin"] == "*"
        other = await through.get(name, Accept_Encoding=coding, If_None_Match='"other"')
        assert other.body == full.body
        assert asked(direct, *PLAYLISTS, "segment") == before


async def test_a_range_of_live_media_is_answered_with_the_whole_as_at_the_origin(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    for _ in range(2):
        answer = await through.get("1.m4s", Range="bytes=0-9")
        assert (answer.status, answer.headers["Accept-Ranges"]) == (200, "none")
        assert answer.body == direct.segment(1)


async def test_head_is_answered_without_a_body_from_what_get_brought(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    address = f"{through.line()}/1.m4s"
    headed = await through.request("HEAD", address)
    before = asked(direct, "segment")
    got = await through.request("GET", address)
    assert asked(direct, "segment") == before
    assert (headed.status, headed.body) == (200, b"")
    assert headed.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.body))


async def test_nothing_but_the_public_table_passes(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    kinds = ("other", "publish", "page", "playlist")
    before = asked(direct, *kinds)
    hidden = (
        "/metrics",
        "/healthz",
        "/publish",
        "/publish/room/x/take.json",
        "/rooms/room",
        "/edges/e/listeners",
    )
    for path in (*hidden, "/live", "/live/../metrics", "/live/./x", "/live//x", "/live/%72oom/index.m3u8"):
        answer = await raw(stage.edge.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n")
        assert answer.startswith(b"HTTP/1.1 404 "), path
        assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
        assert answer.endswith(b'\r\n\r\n{"error": "nothing lives at this address"}\n')
    for method in ("POST", "PUT", "DELETE", "PATCH", "BREW"):
        answer = await raw(stage.edge.port, f"{method} /live/room/index.m3u8 HTTP/1.1\r\nHost: x\r\n")
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in answer
    assert asked(direct, *kinds) == before
    assert (await through.get("/rooms.json")).status == 200


async def raw(port: int, head: str) -> bytes:
    """The whole answer to a request whose path no client has tidied."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_preflight_is_granted_as_the_origin_does(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    asking = {"Origin": "https://player.example", "Access-Control-Request-Method": "GET"}
    there = await direct.request("OPTIONS", "/rooms.json", headers=asking)
    before = asked(direct, "preflight")
    here = await through.request("OPTIONS", "/rooms.json", headers=asking)
    assert asked(direct, "preflight") == before
    assert here.status == there.status == 204
    fields = [
        name for name in there.headers if name.startswith(("Access-Control", "Cache-Control", "Server"))
    ]
    assert fields
    assert {name: here.headers[name] for name in fields} == {name: there.headers[name] for name in fields}


async def test_an_edge_is_no_listener(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    waiting = await crowd(stage, through, "index.m3u8?_HLS_msn=3&_HLS_part=2")
    assert direct.origin.listeners("room") == 0
    await direct.feed((3, 3))
    await asyncio.gather(*waiting)
    assert direct.origin.listeners("room") == 0


async def test_a_cold_edge_under_two_thousand_first_requests_asks_once_for_each_thing(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    names = ("index.m3u8?_HLS_msn=3&_HLS_part=1", "init.mp4", "1.m4s", "2.m4s")
    kinds = (*PLAYLISTS, "init", "segment")
    before = asked(direct, *kinds)
    paths = [f"{through.line()}/{name}" for name in names]
    sizes = await asyncio.to_thread(storm, stage.edge.port, paths, 2_000)
    assert asked(direct, *kinds) - before == len(names)
    bodies = [await direct.get(path, Accept_Encoding="gzip") for path in paths]
    assert sizes == {(200, len(answer.body)): 500 for answer in bodies}


def storm(port: int, paths: list[str], size: int) -> dict[tuple[int, int], int]:
    """`size` connected listeners who all ask at one moment; how many got which status and length."""
    listeners = Crowd(port, size)
    try:
        for index in range(size):
            listeners.ask(index, paths[index % len(paths)])
        seen: dict[tuple[int, int], int] = {}
        whole = 0
        ended = threading.Event()
        timer = threading.Timer(60, ended.set)
        timer.start()
        while whole < size and not ended.is_set():
            for arrival in listeners.arrivals(0.5):
                whole += 1
                key = (arrival.status, arrival.length)
                seen[key] = seen.get(key, 0) + 1
        timer.cancel()
        return seen
    finally:
        listeners.close()
