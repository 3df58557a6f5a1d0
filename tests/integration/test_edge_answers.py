"""What stands in the answers of real edges: directives, codings, conditions, and what is not there."""

from __future__ import annotations

import gzip

import pytest

from tests.edge_stage import Stage, asked, raw

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]
PLAYLISTS = ("playlist", "blocking_playlist")
HIT = "longwave-edge; hit"
# nginx has a copy for each coding; Varnish unpacks the one that it has.
COPIES = {"varnish": 1, "nginx": 2}


async def test_the_order_of_parameters_and_those_of_others_make_no_copies(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
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
    ],
)
async def test_directives_that_cannot_be_are_refused_by_the_origin_and_spoil_no_others(
    edge_stage: Stage, query: str
) -> None:
    direct, through = await edge_stage.take((3, 2))
    assert (await direct.playlist(f"?{query}")).status == 400
    before = asked(direct, *PLAYLISTS)
    refused = [await through.playlist(f"?{query}") for _ in range(3)]
    assert {answer.status for answer in refused} == {400}
    assert {answer.headers["Cache-Control"] for answer in refused} == {"public, max-age=1"}
    assert 1 <= asked(direct, *PLAYLISTS) - before <= 2
    assert refused[0].error
    assert (await through.playlist("?_HLS_msn=2")).status == 200


@pytest.mark.parametrize("query", ["%5FHLS_msn=77", "_HLS%5fmsn=77", "%5fHLS%5Fpart=1", "x=1&%5FHLS_skip=no"])
async def test_a_directive_is_one_also_where_it_is_spelt_in_codes(edge_stage: Stage, query: str) -> None:
    direct, through = await edge_stage.take((3, 2))
    for end in (direct, through):
        port = int(end.url.rpartition(":")[2])
        answer = await raw(port, f"GET {end.line()}/index.m3u8?{query} HTTP/1.1\r\nHost: x\r\n")
        assert answer.startswith(b"HTTP/1.1 400 "), end.url


async def test_hits_carry_what_the_origin_said_and_their_age(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
    for name in ("index.m3u8?_HLS_msn=2", "1.m4s", "init.mp4", "3.1.m4s"):
        there = await direct.get(name, Accept_Encoding="gzip")
        first = await through.get(name, Accept_Encoding="gzip")
        assert first.headers.get("Age", "0") == "0"
        hit = await through.get(name, Accept_Encoding="gzip")
        assert hit.headers["Cache-Status"] == HIT
        assert hit.headers["Age"].isdecimal()
        assert hit.headers["Via"] == "1.1 longwave-edge"
        assert hit.body == first.body == there.body
        kept = ("ETag", "Cache-Control", "Content-Type", "Vary", "Content-Encoding", "Surrogate-Key")
        both = (*kept, "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Server")
        assert [hit.headers.get(field) for field in both] == [there.headers.get(field) for field in both]
        assert hit.headers["Date"] == first.headers["Date"]


async def test_who_takes_gzip_gets_it_and_the_origin_is_asked_no_more_whatever_is_accepted(
    edge_stage: Stage,
) -> None:
    direct, through = await edge_stage.take((3, 2))
    before = asked(direct, *PLAYLISTS)
    for accepted in ("gzip", "br, GZip;q=0.5", "deflate, gzip;q=1.0, *;q=0"):
        packed = await through.get("index.m3u8?_HLS_msn=2", Accept_Encoding=accepted)
        assert packed.headers["Content-Encoding"] == "gzip", accepted
    for refused in ("", "identity", "br", "gzip;q=0", "gzip; q=0.00, *", "xgzip", "*;q=0"):
        plain = await through.get("index.m3u8?_HLS_msn=2", Accept_Encoding=refused)
        assert "Content-Encoding" not in plain.headers, refused
    assert asked(direct, *PLAYLISTS) - before == COPIES[edge_stage.edge.program]
    assert gzip.decompress(packed.body) == plain.body == (await direct.playlist("?_HLS_msn=2")).body
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("coding", ["", "identity", "gzip"])
async def test_who_has_it_already_gets_304_without_a_request_to_the_origin(
    edge_stage: Stage, coding: str
) -> None:
    direct, through = await edge_stage.take((3, 2))
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


async def test_a_range_of_live_media_is_answered_with_the_whole_as_at_the_origin(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
    for _ in range(2):
        answer = await through.get("1.m4s", Range="bytes=0-9")
        assert (answer.status, answer.headers["Accept-Ranges"]) == (200, "none")
        assert answer.body == direct.segment(1)


async def test_head_is_answered_without_a_body_and_brings_what_get_takes(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
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
        "/live/./x",
        "/live//x",
        "/live//room/index.m3u8",
        "/live/room/index.m3u8%0d%0aX:1",
        "/live/room/index.m3u8%0a",
        "/rooms.json%0A",
        "/live/room/index%20.m3u8",
        "/edge.conf",
    ],
)
async def test_nothing_but_the_public_table_passes(edge_stage: Stage, path: str) -> None:
    kinds = ("other", "publish", "page", "rooms", "multivariant", "playlist")
    before = asked(edge_stage.origins[0], *kinds)
    answer = await raw(edge_stage.edge.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer
    assert b'\r\n\r\n{"error": "nothing ' in answer
    assert answer.endswith(b'"}\n')
    assert asked(edge_stage.origins[0], *kinds) == before


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
async def test_other_methods_are_told_which_there_are(edge_stage: Stage, method: str) -> None:
    answer = await raw(edge_stage.edge.port, f"{method} /live/room/index.m3u8 HTTP/1.1\r\nHost: x\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET, HEAD, OPTIONS\r\n" in answer
    assert b"\r\nAccess-Control-Allow-Origin: *\r\n" in answer


async def test_a_preflight_is_granted_as_the_origin_does(edge_stage: Stage) -> None:
    direct, through = await edge_stage.take((3, 2))
    asking = {"Origin": "https://player.example", "Access-Control-Request-Method": "GET"}
    there = await direct.request("OPTIONS", "/rooms.json", headers=asking)
    before = asked(direct, "preflight")
    here = await through.request("OPTIONS", "/rooms.json", headers=asking)
    assert asked(direct, "preflight") == before
    assert here.status == there.status == 204
    fields = [name for name in there.headers if name.startswith(("Access-Control", "Cache-Control"))]
    assert len(fields) >= 4
    assert {name: here.headers[name] for name in fields} == {name: there.headers[name] for name in fields}
