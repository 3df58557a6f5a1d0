"""The *For workers* contract over HTTP, and what bad input gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from contracts.take import TakeHeader
from origin.service import OriginLimits
from pipeline.boxes import init_segment
from tests.origins import KEY, TAKE, Answer, RunningOrigin, running, settings
from tests.playlists import end, samples_to
from tests.takes import EPOCH_US

HEADER = TakeHeader(EPOCH_US, settings(), "0" * 64).to_json()


@pytest.fixture
async def empty() -> AsyncIterator[RunningOrigin]:
    async with running() as room:
        yield room


@pytest.fixture
async def room(empty: RunningOrigin) -> RunningOrigin:
    """Whole segments 0 to 2, and two parts of segment 3."""
    await empty.begin()
    await empty.feed((3, 2))
    return empty


def as_json(body: object) -> bytes:
    return json.dumps(body).encode()


def sample_value(room: RunningOrigin, name: str, **labels: str) -> float:
    return room.origin.metrics.registry.get_sample_value(name, labels) or 0.0


# ---- order and repetition --------------------------------------------------------------------------------


async def test_nothing_comes_before_take_json(empty: RunningOrigin) -> None:
    for path in ("64k/init.mp4", "64k/0.0.m4s", "64k/0.m4s", "64k/0.gap"):
        answer = await empty.put(path, b"" if path.endswith("gap") else b"x")
        assert (answer.status, answer.error) == (404, "put take.json first")
    answer = await empty.put("events/0-0.json", as_json({"kind": "chapter", "title": "x"}))
    assert answer.status == 404
    assert (await end(empty, 0)).status == 404
    assert (await empty.request("GET", f"/publish/room/{TAKE}")).status == 404


async def test_everything_twice_changes_nothing(room: RunningOrigin) -> None:
    before = (await room.playlist()).body
    chapter = as_json({"kind": "chapter", "title": "x"})
    assert (await room.put("events/0-0.json", chapter)).status == 201
    again = {
        "take.json": as_json(HEADER),
        "64k/init.mp4": init_segment(room.settings, room.settings.renditions[0]),
        "64k/3.1.m4s": room.part(3, 1),
        "64k/1.2.m4s": room.part(1, 2),
        "64k/1.m4s": room.segment(1),
        "events/0-0.json": chapter,
    }
    for path, data in again.items():
        answer = await room.put(path, data)
        assert (answer.status, answer.body) == (204, b""), path
    assert (await room.get("index.m3u8")).text.replace(
        _chapter_line(await room.playlist()), ""
    ) == before.decode()
    for _ in range(2):
        await end(room, samples_to((3, 2)))
    assert (await end(room, samples_to((3, 2)))).status == 204


def _chapter_line(playlist: Answer) -> str:
    lines = playlist.text.splitlines(keepends=True)
    return next(line for line in lines if line.startswith("#EXT-X-DATERANGE"))


async def test_other_bytes_are_refused_and_counted(room: RunningOrigin) -> None:
    other = {
        "take.json": as_json({**HEADER, "encoder": "f"}),
        "64k/3.1.m4s": room.part(3, 0),
        "64k/1.m4s": room.segment(2),
    }
    for count, (path, data) in enumerate(other.items(), 1):
        answer = await room.put(path, data)
        assert answer.status == 409, path
        assert answer.error
        assert sample_value(room, "longwave_byte_conflicts_total") == count
    assert (await room.get("3.1.m4s")).body == room.part(3, 1)


async def test_what_is_missing_is_said(room: RunningOrigin) -> None:
    for path, data in {
        "64k/3.3.m4s": room.part(3, 3),
        "64k/5.0.m4s": room.part(5, 0),
        "64k/5.m4s": room.segment(5),
        "64k/9.gap": b"",
    }.items():
        answer = await room.put(path, data)
        assert answer.status == 409
        assert json.loads(answer.body)["expected"] == {"msn": 3, "part": 2}
    answer = await end(room, samples_to((3, 3)))
    assert (answer.status, json.loads(answer.body)["expected"]) == (409, {"msn": 3, "part": 2})


async def test_gap_or_segment_whichever_came_first_stays(room: RunningOrigin) -> None:
    assert (await room.put("64k/3.gap", b"")).status == 201
    assert (await room.put("64k/3.gap", b"")).status == 204
    assert (await room.put("64k/3.2.m4s", room.part(3, 2))).status == 204
    assert (await room.put("64k/3.m4s", room.segment(3))).status == 204
    assert (await room.put("64k/1.gap", b"")).status == 204
    assert (await room.get("1.m4s")).body == room.segment(1)
    assert (await room.get("3.m4s")).status == 404


async def test_what_is_below_the_window_is_ignored() -> None:
    async with running(limits=OriginLimits(window_seconds=6)) as room:
        await room.begin()
        await room.feed((8, 0))
        for path, data in {"64k/1.0.m4s": b"junk", "64k/1.m4s": b"junk", "64k/1.gap": b""}.items():
            assert (await room.put(path, data)).status == 204


async def test_media_after_the_end_is_gone(room: RunningOrigin) -> None:
    await end(room, samples_to((3, 2)))
    for path, data in {
        "64k/3.2.m4s": room.part(3, 2),
        "64k/4.0.m4s": room.part(4, 0),
        "64k/4.gap": b"",
    }.items():
        answer = await room.put(path, data)
        assert answer.status == 410, path
        assert answer.error
    # What was there before is still the same.
    assert (await room.put("64k/3.1.m4s", room.part(3, 1))).status == 204


async def test_a_take_joins_at_any_segment(empty: RunningOrigin) -> None:
    late = RunningOrigin(empty.url, empty.origin, empty.session, empty.settings, first=1000)
    await late.begin()
    assert (await late.put("64k/1000.1.m4s", late.part(1000, 1))).status == 409
    await late.feed((1001, 1))
    assert (await late.get("1000.m4s")).body == late.segment(1000)


async def test_the_state_says_where_each_rendition_is() -> None:
    async with running(settings("64k", "32k")) as room:
        await room.begin()
        await room.feed((2, 0))
        await room.feed((2, 3), ("64k",))
        await room.put("32k/2.gap", b"")
        answer = await room.request("GET", f"/publish/room/{TAKE}")
        assert json.loads(answer.body) == {
            "renditions": {
                "64k": {"first": 0, "next": {"msn": 2, "part": 3}, "gaps": []},
                "32k": {"first": 0, "next": {"msn": 3, "part": 0}, "gaps": [2]},
            },
            "end": None,
        }
        assert answer.headers["Cache-Control"] == "no-store"


# ---- what bad input gets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        ("take.json", b"", 400),
        ("take.json", b"{", 400),
        ("take.json", b"[" * 50_000, 400),
        ("take.json", b"\xff", 400),
        ("take.json", b"null", 400),
        ("take.json", as_json({**HEADER, "channels": 3}), 400),
        ("take.json", as_json({**HEADER, "parts": 0}), 400),
        ("take.json", as_json({**HEADER, "parts": True}), 400),
        ("take.json", as_json({**HEADER, "renditions": ["../etc"]}), 400),
        ("take.json", as_json({**HEADER, "more": 1}), 400),
        ("take.json", b" " * 70_000, 413),
        ("64k/init.mp4", b"junk", 409),
        ("64k/init.mp4", b"x" * 70_000, 413),
        ("64k/3.2.m4s", b"", 400),
        ("64k/3.2.m4s", b"junk", 400),
        ("64k/3.2.m4s", b"x" * (2**20 + 1), 413),
        ("64k/3.m4s", b"junk", 400),
        ("64k/3.m4s", b"x" * (2**22 + 1), 413),
        ("64k/3.gap", b"x", 413),
        ("64k/3.7.m4s", b"junk", 400),
        ("64k/99999999999.0.m4s", b"junk", 409),
        ("32k/0.0.m4s", b"junk", 404),
        ("nope/0.0.m4s", b"junk", 400),
        ("64k/-1.0.m4s", b"junk", 404),
        ("64k/03.2.m4s", b"junk", 404),
        ("64k/9999999999999999999.0.m4s", b"junk", 404),
        ("events/x.json", b"{}", 400),
        ("events/-1-0.json", b"{}", 400),
        ("events/0-0.json", b'{"kind": "song"}', 400),
        ("events/0-0.json", as_json({"kind": "chapter", "title": "x" * 2000}), 400),
        ("events/0-0.json", as_json({"kind": "speakers", "speakers": ["x"] * 100}), 400),
    ],
)
async def test_garbage_is_refused_in_one_line(
    room: RunningOrigin, path: str, data: bytes, status: int
) -> None:
    before = (await room.playlist()).body
    answer = await room.put(path, data)
    assert answer.status == status, answer
    assert answer.error
    assert "Traceback" not in answer.text
    assert answer.headers["Cache-Control"] == ("public, max-age=1" if status in {400, 404} else "no-store")
    assert (await room.playlist()).body == before


@pytest.mark.parametrize("samples", ["1", -1, 1.5, True, None, 2**70])
async def test_an_end_needs_a_length(room: RunningOrigin, samples: object) -> None:
    answer = await room.put("end", as_json({"samples": samples}), "POST")
    assert answer.status == 400
    assert answer.error


@pytest.mark.parametrize("take", ["x", "20260101T000000Z-ABC234", "20260101T000000Z-abc2345", "%2e%2e"])
async def test_a_take_id_is_checked(empty: RunningOrigin, take: str) -> None:
    answer = await empty.request("PUT", f"/publish/room/{take}/take.json", data=as_json(HEADER))
    assert answer.status in {400, 404}
    assert answer.error


@pytest.mark.parametrize("name", ["r!", "a" * 65, "%20", "ro.om", "r%0aoom", "%c3%a4"])
async def test_a_room_id_is_checked_after_decoding(empty: RunningOrigin, name: str) -> None:
    for method, path in (("PUT", f"/publish/{name}/{TAKE}/take.json"), ("GET", f"/live/{name}/index.m3u8")):
        answer = await empty.request(method, path)
        assert (answer.status, "room id" in answer.error) == (400, True)


async def test_what_is_not_http_is_refused_in_one_line(
    empty: RunningOrigin, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = empty.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    assert b"Access-Control-Allow-Origin: *" in head
    assert json.loads(body) == {"error": "this is not an HTTP request"}
    assert "Traceback" not in caplog.text
    writer.close()
    await writer.wait_closed()


async def test_a_packed_body_is_refused(room: RunningOrigin) -> None:
    headers = {"Content-Encoding": "gzip"}
    path = f"/publish/room/{TAKE}/64k/3.2.m4s"
    answer = await room.request("PUT", path, data=b"junk", headers=headers)
    assert (answer.status, bool(answer.error)) == (415, True)


async def test_a_body_that_stops_half_way_puts_nothing(room: RunningOrigin) -> None:
    host, port = room.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    data = room.part(3, 2)
    head = f"PUT /publish/room/{TAKE}/64k/3.2.m4s HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data[:-1])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    state = json.loads((await room.request("GET", f"/publish/room/{TAKE}")).body)
    assert state["renditions"]["64k"]["next"] == {"msn": 3, "part": 2}
    assert (await room.put("64k/3.2.m4s", data)).status == 201


async def test_web_pages_do_not_publish(room: RunningOrigin) -> None:
    foreign = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    data = as_json({"samples": samples_to((3, 2))})
    answer = await room.request("POST", f"/publish/room/{TAKE}/end", data=data, headers=foreign)
    assert (answer.status, bool(answer.error)) == (403, True)
    assert "#EXT-X-ENDLIST" not in (await room.playlist()).lines


async def test_the_token_is_checked_before_the_body_is_read() -> None:
    async with running(token="secret") as room:
        host, port = room.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"PUT /publish/room/{TAKE}/take.json HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"
        writer.write(head.encode())  # and no body at all
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.close()
        await writer.wait_closed()
        allowed = {"Authorization": "Bearer secret"}
        path = f"/publish/room/{TAKE}"
        assert (
            await room.request("PUT", f"{path}/take.json", data=as_json(HEADER), headers=allowed)
        ).status == 201
        assert (await room.request("GET", path)).status == 401
        # Listeners need none.
        assert (await room.get("/live/room/index.m3u8")).status == 200


# ---- bounds ----------------------------------------------------------------------------------------------


async def test_a_full_origin_takes_no_new_takes_and_keeps_the_running_ones() -> None:
    async with running(limits=OriginLimits(max_takes=1)) as room:
        await room.begin()
        answer = await room.request(
            "PUT", "/publish/other/20260101T000000Z-zzzzzz/take.json", data=as_json(HEADER)
        )
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        await room.feed((1, 0))


async def test_an_origin_without_memory_takes_no_new_takes_and_keeps_the_running_ones() -> None:
    async with running(limits=OriginLimits(max_window_bytes=1000)) as room:
        await room.begin()
        await room.feed((1, 0))
        answer = await room.request(
            "PUT", "/publish/other/20260101T000000Z-zzzzzz/take.json", data=as_json(HEADER)
        )
        assert answer.status == 503
        await room.feed((1, 3))
        assert sample_value(room, "longwave_window_bytes") > 1000


async def test_a_take_to_which_nothing_was_put_for_a_window_length_leaves() -> None:
    now = 1000.0
    async with running(limits=OriginLimits(window_seconds=30), clock=lambda: now) as room:
        await room.begin()
        now += 29
        await room.feed((1, 0))
        room.origin.sweep(now + 30)
        assert room.origin.state(KEY).end is None
        room.origin.sweep(now + 31)
        assert (await room.request("GET", f"/publish/room/{TAKE}")).status == 404
