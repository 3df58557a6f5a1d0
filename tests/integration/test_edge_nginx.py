"""Live takes through a real nginx edge: what is asked of the origin, and what listeners get."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.edge_stage import Stage, asked, fetch, fresh_take, real_stage, until, until_answered
from tests.nginx_edge import in_hand
from tests.origins import Answer, RunningOrigin

pytestmark = [
    pytest.mark.needs("nginx", "njs"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]
CROWD = 200
PLAYLISTS = ("playlist", "blocking_playlist")
HIT = "longwave-edge; hit"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with real_stage("nginx", tmp_path_factory.mktemp("edge")) as stage:
        yield stage


async def answers_of(through: RunningOrigin, path: str, seconds: float) -> AsyncIterator[Answer]:
    """One answer after the other, for so long."""
    async with asyncio.timeout(seconds):
        while True:
            yield await through.get(path)
            await asyncio.sleep(0.02)


async def crowd(
    stage: Stage, through: RunningOrigin, path: str, size: int = CROWD
) -> list[asyncio.Task[Answer]]:
    """So many who ask for the same, all of whom have arrived, and one of them at the origin."""
    tasks = [asyncio.create_task(through.get(path)) for _ in range(size)]
    await until(lambda: in_hand(stage.edge) >= size, "all of them are in the edge")
    assert stage.origins[0].blocked == 1
    return tasks


async def test_blocked_playlist_requests_are_one_at_the_origin(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    before = asked(direct, *PLAYLISTS)
    waiting = await crowd(stage, through, "index.m3u8?_HLS_msn=3&_HLS_part=2")
    await direct.feed((3, 3))
    answers = await asyncio.gather(*waiting)
    assert asked(direct, *PLAYLISTS) - before == 1
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} == {(await direct.playlist()).body}
    assert "3.2.m4s" in answers[0].text


async def test_requests_for_the_hinted_part_are_one_at_the_origin(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    before = asked(direct, "part")
    waiting = await crowd(stage, through, "3.2.m4s")
    await direct.feed((3, 3))
    answers = await asyncio.gather(*waiting)
    assert asked(direct, "part") - before == 1
    assert {answer.body for answer in answers} == {direct.part(3, 2)}


async def test_while_the_origin_answers_503_each_crowd_is_one_request_and_then_all_is_answered(
    stage: Stage,
) -> None:
    direct, through = await stage.take((3, 2))
    blocking, plain = "index.m3u8?_HLS_msn=2", "index.m3u8"
    direct.origin.being_filled = True
    for wave in range(2):
        # What was said the first time is over: the next crowd is one request again, and not all who find a
        # file that has expired.
        await asyncio.sleep(2.1 * wave)
        for path, most in ((blocking, 1), (plain, 2)):
            before = asked(direct, *PLAYLISTS)
            answers = await asyncio.gather(*(through.get(path) for _ in range(CROWD)))
            # The plain one is another address each second, and a crowd may arrive in two of them.
            assert 1 <= asked(direct, *PLAYLISTS) - before <= most, path
            assert {answer.status for answer in answers} == {503}
            assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
            assert {answer.headers["Cache-Control"] for answer in answers} == {"public, max-age=1"}
            assert {answer.headers["Access-Control-Allow-Origin"] for answer in answers} == {"*"}
            assert answers[0].error
    direct.origin.being_filled = False
    for path in (blocking, plain):
        await until_answered(through, path, 200)


async def test_a_part_that_was_asked_for_too_early_is_there_once_that_is_over(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    assert (await through.get("3.3.m4s")).status == 404
    await direct.feed((3, 4))
    answer = await until_answered(through, "3.3.m4s", 200, seconds=4)
    assert answer.body == direct.part(3, 3)


async def test_a_take_that_begins_is_seen_although_it_was_asked_for_before(stage: Stage) -> None:
    early = await fetch(f"{stage.edge.url}/live/room/{fresh_take()}/64k/index.m3u8")
    assert (early.status, early.headers["Cache-Control"]) == (404, "public, max-age=1")
    direct, through = await stage.take((3, 2))
    assert (await until_answered(through, "index.m3u8", 200)).text.startswith("#EXTM3U")
    async for answer in answers_of(through, "/live/room/index.m3u8", 3):
        if direct.take in answer.text:
            break


async def test_a_plain_playlist_grows_within_its_second(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    await through.get("index.m3u8")
    await direct.feed((3, 3))
    there = (await direct.playlist()).body
    asked_before = asked(direct, *PLAYLISTS)
    async for answer in answers_of(through, "index.m3u8", 1.9):
        if answer.body == there:
            break
    assert asked(direct, *PLAYLISTS) - asked_before <= 2


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
    assert [answer.headers["Cache-Status"] for answer in answers] == ["longwave-edge; fwd=miss", *[HIT] * 3]
    before = asked(direct, "segment")
    statuses = {(await through.get(f"1.m4s{query}")).status for query in ("", "?", "?x=1", "?_HLS_msn=9")}
    assert (statuses, asked(direct, "segment") - before) == ({200}, 1)


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_msn=2&_HLS_msn=2",
        "_HLS_msn=2&_HLS_part=1&x=1&_HLS_part=1",
        "_HLS_skip=YES&_HLS_skip=v2",
        "_HLS_msn=two",
        "_HLS_msn=",
        "_HLS_msn",
        "_HLS_msn=-1",
        "_HLS_part=1",
        "_HLS_skip=no",
        "_HLS_msn=77",
        "%5FHLS_msn=77",
    ],
)
async def test_directives_that_cannot_be_are_refused_by_the_origin_and_spoil_no_others(
    stage: Stage, query: str
) -> None:
    direct, through = await stage.take((3, 2))
    assert (await direct.playlist(f"?{query}")).status == 400
    before = asked(direct, *PLAYLISTS)
    refused = [await through.playlist(f"?{query}") for _ in range(3)]
    assert {answer.status for answer in refused} == {400}
    assert {answer.headers["Cache-Control"] for answer in refused} == {"public, max-age=1"}
    assert 1 <= asked(direct, *PLAYLISTS) - before <= 2
    assert refused[0].error
    assert (await through.playlist("?_HLS_msn=2")).status == 200


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", ""),
        ("_HLS_skip=v2", "?_HLS_skip=v2"),
        ("_HLS_part=1&_HLS_msn=2", "?_HLS_msn=2&_HLS_part=1"),
        ("_HLS_skip=YES&_HLS_msn=2", "?_HLS_msn=2&_HLS_skip=YES"),
        ("_HLS_skip=YES&_HLS_part=0", "?_HLS_part=0&_HLS_skip=YES"),
    ],
)
async def test_directives_reach_the_origin_in_one_order(stage: Stage, query: str, sent: str) -> None:
    direct, through = await stage.take((3, 2))
    answers = [await end.playlist(f"?{text}") for end, text in ((through, query), (direct, sent[1:]))]
    assert answers[0].status == answers[1].status
    if answers[0].status == 200:
        assert answers[0].body == answers[1].body


async def test_hits_carry_what_the_origin_said_and_their_age(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    for name in ("index.m3u8?_HLS_msn=2", "1.m4s", "init.mp4", "3.1.m4s"):
        there = await direct.get(name, Accept_Encoding="gzip")
        first = await through.get(name, Accept_Encoding="gzip")
        assert "Age" not in first.headers
        hit = await through.get(name, Accept_Encoding="gzip")
        assert hit.headers["Cache-Status"] == HIT
        assert hit.headers["Age"].isdecimal()
        assert hit.headers["Via"] == "1.1 longwave-edge"
        assert hit.body == first.body == there.body
        kept = ("ETag", "Cache-Control", "Content-Type", "Vary", "Content-Encoding", "Surrogate-Key")
        both = (*kept, "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Server")
        assert [hit.headers.get(field) for field in both] == [there.headers.get(field) for field in both]
        assert hit.headers["Date"] == first.headers["Date"]


async def test_who_takes_gzip_gets_it_and_there_are_two_copies_whatever_is_accepted(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    before = asked(direct, *PLAYLISTS)
    for accepted in ("gzip", "br, GZip;q=0.5", "*", "deflate, gzip;q=1.0, *;q=0"):
        packed = await through.get("index.m3u8?_HLS_msn=2", Accept_Encoding=accepted)
        assert packed.headers["Content-Encoding"] == "gzip", accepted
    for refused in ("", "identity", "br", "gzip;q=0", "gzip; q=0.00, *", "xgzip", "*;q=0"):
        plain = await through.get("index.m3u8?_HLS_msn=2", Accept_Encoding=refused)
        assert "Content-Encoding" not in plain.headers, refused
    assert asked(direct, *PLAYLISTS) - before == 2
    assert gzip.decompress(packed.body) == plain.body == (await direct.playlist("?_HLS_msn=2")).body
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("coding", ["identity", "gzip"])
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


async def test_head_is_answered_without_a_body_and_brings_what_get_takes(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    address = f"{through.line()}/1.m4s"
    headed = await through.request("HEAD", address)
    before = asked(direct, "segment")
    got = await through.request("GET", address)
    assert asked(direct, "segment") == before
    assert (headed.status, headed.body) == (200, b"")
    assert headed.headers["Content-Length"] == got.headers["Content-Length"] == str(len(got.body))


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/healthz",
        "/publish",
        "/publish/room/x/take.json",
        "/rooms/room",
        "/edges/e/listeners",
        "/live",
        "/live/../metrics",
        "/live/%2e%2e/metrics",
        "/live//room/index.m3u8",
        "/live/room/index.m3u8%0d%0aX:1",
        "/live/room/index.m3u8%0a",
        "/rooms.json%0A",
        "/live/room/index%20.m3u8",
        "/live/room/index.m3u8/",
        "/p/token/metrics",
        "/edge.conf",
    ],
)
async def test_nothing_but_the_public_table_passes(stage: Stage, path: str) -> None:
    kinds = ("other", "publish", "page", "status", "rooms", "multivariant")
    before = asked(stage.origins[0], *kinds)
    answer = await raw(stage.edge.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    assert asked(stage.origins[0], *kinds) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
async def test_other_methods_are_told_which_there_are(stage: Stage, method: str) -> None:
    answer = await raw(stage.edge.port, f"{method} /live/room/index.m3u8 HTTP/1.1\r\nHost: x\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in answer
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer


@pytest.mark.parametrize("field", ['If-Match: "x"', "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT"])
async def test_a_condition_that_fails_is_told_to_every_page(stage: Stage, field: str) -> None:
    answer = await raw(stage.edge.port, f"GET /rooms.json HTTP/1.1\r\nHost: x\r\n{field}\r\n")
    assert answer.startswith(b"HTTP/1.1 412 ")
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    assert b'{"error": ' in answer


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
    fields = [name for name in there.headers if name.startswith(("Access-Control", "Cache-Control"))]
    assert len(fields) >= 4
    assert {name: here.headers[name] for name in fields} == {name: there.headers[name] for name in fields}


async def test_an_edge_is_no_listener(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    waiting = await crowd(stage, through, "index.m3u8?_HLS_msn=3&_HLS_part=2", 20)
    assert direct.origin.listeners("room") == 0
    await direct.feed((3, 3))
    await asyncio.gather(*waiting)
    assert direct.origin.listeners("room") == 0


async def test_a_cold_edge_under_a_crowd_of_first_requests_asks_once_for_each_thing(stage: Stage) -> None:
    direct, through = await stage.take((3, 2))
    names = ("index.m3u8?_HLS_msn=3&_HLS_part=1", "init.mp4", "1.m4s", "2.m4s")
    kinds = (*PLAYLISTS, "init", "segment")
    there = {name: (await direct.get(name)).body for name in names}
    before = asked(direct, *kinds)
    answers = await asyncio.gather(*(through.get(names[i % len(names)]) for i in range(500)))
    assert asked(direct, *kinds) - before == len(names)
    assert {answer.status for answer in answers} == {200}
    assert all(answer.body == there[names[i % len(names)]] for i, answer in enumerate(answers))


async def test_who_asks_itself_is_told_before_it_asks_for_ever(stage: Stage) -> None:
    hop = "longwave-edge"
    answers = [
        await fetch(f"{stage.edge.url}/rooms.json", CDN_Loop=", ".join(["other.example", *[hop] * times]))
        for times in (1, 3, 4)
    ]
    assert [answer.status for answer in answers] == [200, 200, 503]


async def test_pages_are_asked_for_once_a_second(stage: Stage) -> None:
    direct = stage.origins[0]
    before = asked(direct, "other", "page")
    answers = await asyncio.gather(*(fetch(f"{stage.edge.url}/listen/room") for _ in range(50)))
    # This origin was given no pages.
    assert {answer.status for answer in answers} == {404}
    assert 1 <= asked(direct, "other", "page") - before <= 2
