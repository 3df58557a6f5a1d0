"""The cache policy over HTTP: what may be kept, how it is validated, and that every page may read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from origin.service import OriginLimits
from tests.origins import RunningOrigin, on_the_air, running
from tests.playlists import blocked, end, samples_to

IMMUTABLE = "public, max-age=31536000, immutable"
RESOURCES = ["index.m3u8", "init.mp4", "2.m4s", "3.0.m4s", "/live/room/index.m3u8", "/rooms.json"]


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Whole segments 0 to 2, and two parts of segment 3."""
    async with on_the_air((3, 2)) as origin:
        yield origin


@pytest.mark.parametrize(
    ("path", "header", "content_type"),
    [
        ("init.mp4", IMMUTABLE, "audio/mp4"),
        ("2.m4s", IMMUTABLE, "audio/mp4"),
        ("3.1.m4s", IMMUTABLE, "audio/mp4"),
        ("index.m3u8", "public, max-age=1", "application/vnd.apple.mpegurl"),
        ("index.m3u8?_HLS_skip=YES", "public, max-age=1", "application/vnd.apple.mpegurl"),
        ("index.m3u8?_HLS_msn=3&_HLS_part=1", "public, max-age=12", "application/vnd.apple.mpegurl"),
        ("index.m3u8?_HLS_msn=2&_HLS_skip=YES", "public, max-age=12", "application/vnd.apple.mpegurl"),
        ("/live/room/index.m3u8", "public, max-age=1", "application/vnd.apple.mpegurl"),
        ("/rooms.json", "public, max-age=1", "application/json"),
    ],
)
async def test_each_kind_is_kept_as_the_table_says(
    room: RunningOrigin, path: str, header: str, content_type: str
) -> None:
    answer = await room.get(path)
    assert (answer.status, answer.headers["Cache-Control"]) == (200, header)
    assert answer.headers["Content-Type"] == content_type


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("index.m3u8", "max-age=1, must-revalidate"),
        ("index.m3u8?_HLS_msn=3&_HLS_part=1", "max-age=12, must-revalidate"),
        ("/live/room/index.m3u8", "max-age=1, must-revalidate"),
        ("/rooms.json", "max-age=1, must-revalidate"),
        ("9.m4s", "max-age=1, must-revalidate"),
        ("3.1.m4s", None),
    ],
)
async def test_cdns_are_told_to_answer_nothing_stale(
    room: RunningOrigin, path: str, told: str | None
) -> None:
    assert (await room.get(path)).headers.get("CDN-Cache-Control") == told


async def test_all_of_a_take_can_be_purged_at_once(room: RunningOrigin) -> None:
    for path in ("init.mp4", "2.m4s", "3.1.m4s", "index.m3u8", "/live/room/index.m3u8"):
        assert (await room.get(path)).headers["Surrogate-Key"] == room.take
    assert "Surrogate-Key" not in (await room.get("/rooms.json")).headers


async def test_a_playlist_that_was_waited_for_is_kept_as_blocking(room: RunningOrigin) -> None:
    request = await blocked(room, "?_HLS_msn=3&_HLS_part=2")
    await room.feed((3, 3))
    assert (await request).headers["Cache-Control"] == "public, max-age=12"


async def test_ended_playlists_are_kept_for_a_minute(room: RunningOrigin) -> None:
    await end(room, samples_to((3, 2)))
    for path in ("index.m3u8", "index.m3u8?_HLS_msn=3&_HLS_part=1", "/live/room/index.m3u8"):
        assert (await room.get(path)).headers["Cache-Control"] == "public, max-age=60"
    assert (await room.get("3.m4s")).headers["Cache-Control"] == IMMUTABLE


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("index.m3u8?_HLS_part=0", 400),
        ("/live/no!room/index.m3u8", 400),
        ("/live/nobody/index.m3u8", 404),
        ("/live/room/20200101T000000Z-abc234/64k/index.m3u8", 404),
        ("9.m4s", 404),
        ("/live/room/nothing/here/at/all", 404),
        ("index.m3u8?_HLS_msn=3&_HLS_part=2", 503),
    ],
)
async def test_errors_of_hot_addresses_are_kept_for_a_second(path: str, status: int) -> None:
    async with running(limits=OriginLimits(block_seconds=0.05)) as room:
        await room.begin()
        await room.feed((3, 2))
        answer = await room.get(path)
        assert (answer.status, answer.headers["Cache-Control"]) == (status, "public, max-age=1")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.error
        assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)


async def test_refusals_of_publishers_are_never_kept() -> None:
    async with running(token="secret") as room:
        for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 403)):
            answer = await room.request("PUT", f"/publish/room/{room.take}/take.json", headers=headers)
            assert (answer.status, answer.headers["Cache-Control"]) == (status, "no-store")


@pytest.mark.parametrize("path", RESOURCES)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_what_is_known_is_not_sent_again(room: RunningOrigin, path: str, coding: str) -> None:
    full = await room.get(path, Accept_Encoding=coding)
    etag = full.headers["ETag"]
    assert etag.startswith('"')
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await room.get(path, Accept_Encoding=coding, If_None_Match=known)
        assert (answer.status, answer.body) == (304, b"")
        for name in ("ETag", "Cache-Control", "Access-Control-Allow-Origin"):
            assert answer.headers[name] == full.headers[name]
        assert answer.headers.get("Vary") == full.headers.get("Vary")
    assert (await room.get(path, Accept_Encoding=coding, If_None_Match='"other"')).body == full.body


async def test_a_changed_playlist_has_another_etag(room: RunningOrigin) -> None:
    before = (await room.playlist()).headers["ETag"]
    await room.feed((3, 3))
    answer = await room.get("index.m3u8", If_None_Match=before)
    assert answer.status == 200
    assert answer.headers["ETag"] != before


@pytest.mark.parametrize("path", RESOURCES)
async def test_head_is_get_without_the_body(room: RunningOrigin, path: str) -> None:
    address = path if path.startswith("/") else f"{room.line()}/{path}"
    got, headed = [await room.request(method, address) for method in ("GET", "HEAD")]
    assert (headed.status, headed.body) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control", "Access-Control-Allow-Origin"):
        assert headed.headers[name] == got.headers[name]


@pytest.mark.parametrize("path", [*RESOURCES, "4.4.m4s", "/", "/healthz"])
async def test_a_preflight_is_granted(room: RunningOrigin, path: str) -> None:
    address = path if path.startswith("/") else f"{room.line()}/{path}"
    asking = {"Origin": "https://player.example", "Access-Control-Request-Method": "GET"}
    answer = await room.request("OPTIONS", address, headers=asking)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "GET" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("path", RESOURCES)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_other_methods_are_told_which_there_are(room: RunningOrigin, path: str, method: str) -> None:
    address = path if path.startswith("/") else f"{room.line()}/{path}"
    answer = await room.request(method, address)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.error
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", [*RESOURCES, "9.m4s", "/nothing", "/healthz"])
async def test_no_answer_names_the_versions_of_what_serves_it(room: RunningOrigin, path: str) -> None:
    assert (await room.get(path)).headers["Server"] == "longwave"


async def test_a_range_is_answered_with_the_whole(room: RunningOrigin) -> None:
    answer = await room.get("2.m4s", Range="bytes=0-9")
    assert (answer.status, answer.headers["Accept-Ranges"]) == (200, "none")
    assert answer.body == room.segment(2)


async def test_a_connection_that_is_to_be_closed_is_closed(room: RunningOrigin) -> None:
    host, port = room.url.removeprefix("http://").split(":")
    for line in (b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET %b HTTP/1.0\r\n\r\n"):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(line % f"{room.line()}/2.m4s".encode())
        answer = await reader.read()  # to the end of the connection
        assert answer.endswith(room.segment(2))
        writer.close()
        await writer.wait_closed()


async def test_requests_in_a_row_on_one_connection_are_answered_in_order(room: RunningOrigin) -> None:
    host, port = room.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    names = ["2.m4s", "init.mp4", "3.0.m4s", "9.9.m4s", "2.m4s"]
    writer.write(b"".join(f"GET {room.line()}/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for name in names))
    statuses = []
    for _ in names:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        statuses.append(int(head.split()[1]))
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        await reader.readexactly(length)
    assert statuses == [200, 200, 200, 404, 200]
    writer.close()
    await writer.wait_closed()
