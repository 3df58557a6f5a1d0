"""What workers and sisters can ask an origin, and how a take is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from contracts.take import TakeKey
from origin import http_window
from origin.journal_format import Record, RecordKind, pack, scan
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests import takes
from tests.origins import KEY, ROOM, TAKE, RunningOrigin, running, settings
from tests.waiting import until

GRID = Grid(5)
PATH = f"/publish/{ROOM}/{TAKE}"


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Segments 2 to 4, and two parts of segment 5, in two renditions."""
    now = [100.0]
    async with running(settings("64k", "32k"), first=2, clock=lambda: now[0]) as room:
        await room.begin()
        await room.feed((5, 2))
        now[0] += 1.5
        yield room


async def test_all_takes_are_listed_with_where_they_are_and_how_old_they_are(room: RunningOrigin) -> None:
    line = {"first": 2, "next": {"msn": 5, "part": 2}, "gaps": []}
    answer = await room.get("/publish")
    assert json.loads(answer.body) == {
        "takes": [
            {"room": ROOM, "take": TAKE, "age": 1.5, "renditions": {"64k": line, "32k": line}, "end": None}
        ]
    }
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_window_is_sent_as_records_oldest_first(room: RunningOrigin) -> None:
    records = scan((await room.get(f"{PATH}/window")).body).records
    assert [record.kind for record in records[:3]] == [RecordKind.HEADER, RecordKind.INIT, RecordKind.INIT]
    media = [(record.number, record.rendition, record.part) for record in records[3:]]
    assert media == sorted(media)
    assert len(media) == 2 * 17
    assert records[3].payload == room.part(2, 0)
    later = scan((await room.get(f"{PATH}/window?from=5")).body).records
    assert [record.number for record in later if record.kind is RecordKind.PART] == [5] * 4
    assert (await room.get(f"/publish/{ROOM}/20990101T000000Z-abc234/window")).status == 404


@pytest.mark.parametrize("start", ["9" * 5000, "-1", "1_0", "%C2%B2", "x", ""])
async def test_a_window_from_what_is_no_segment_is_refused(room: RunningOrigin, start: str) -> None:
    assert (await room.get(f"{PATH}/window?from={start}")).status == 400


async def test_a_segment_is_sent_as_far_as_it_is_here_and_nobody_waits(room: RunningOrigin) -> None:
    whole = await room.get(f"{PATH}/64k/3.m4s")
    assert (whole.status, whole.body) == (200, room.segment(3))
    assert whole.headers["Cache-Control"] == "no-store"
    begun = await room.get(f"{PATH}/64k/5.m4s")
    assert begun.body == room.part(5, 0) + room.part(5, 1)
    assert (await room.get(f"{PATH}/64k/6.m4s")).status == 404
    assert (await room.get(f"{PATH}/96k/3.m4s")).status == 404


async def test_a_take_that_is_deleted_is_gone_at_once(room: RunningOrigin) -> None:
    for _ in range(2):
        assert (await room.request("DELETE", PATH)).status == 204
        assert (await room.get("3.m4s")).status == 404
        assert (await room.get(PATH)).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/publish"), ("GET", f"{PATH}/window"), ("GET", f"{PATH}/64k/3.m4s"), ("DELETE", PATH)],
)
async def test_only_workers_may(method: str, path: str) -> None:
    async with running(token="secret") as room:
        assert (await room.request(method, path)).status == 401
        bearer = {"Authorization": "Bearer secret"}
        assert (await room.request(method, path, headers=bearer)).status in {200, 204, 404}
        page = {**bearer, "Origin": "https://example.net"}
        assert (await room.request(method, path, headers=page)).status == 403


@asynccontextmanager
async def asking_for_much(room: RunningOrigin) -> AsyncIterator[asyncio.StreamReader]:
    """A sister who asks for a window of 75 MB and has read nothing but the header fields of the answer."""
    header = takes.header()
    room.origin.put_take(KEY, header)
    room.origin.put_init(KEY, "64k", init_segment(header.settings, header.settings.renditions[0]))
    for msn in range(400):
        room.origin.put_segment(KEY, "64k", msn, takes.segment(GRID, msn, b"\x02" * 2_000))
    host, port = room.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=2**10)
    writer.write(f"GET {PATH}/window HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def ended_well(reader: asyncio.StreamReader) -> bool:
    """Whether the last chunk came, before the connection ended."""
    tail = b""
    with suppress(ConnectionError):
        while not tail.endswith(b"\r\n0\r\n\r\n"):
            chunk = await reader.read(2**20)
            if not chunk:
                return False
            tail = (tail + chunk)[-7:]
        return True
    return False


async def test_a_window_goes_to_a_slow_reader_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sister does not read is not copied for her, and she gets what was there when she asked."""
    packed = 0

    def counting(records: Sequence[Record]) -> bytes:
        nonlocal packed
        data = pack(records)
        packed += len(data)
        return data

    monkeypatch.setattr(http_window, "pack", counting)
    async with running() as room, asking_for_much(room) as reader:
        while packed < 2**20:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        for _ in range(1_000):
            await asyncio.sleep(0)
        assert packed < 30 * 2**20
        room.origin.put_part(KEY, "64k", 400, 0, takes.part(GRID, 400, 0))
        assert await ended_well(reader)
        assert 400 * 93 * 2_000 < packed < 400 * 94 * 2_400


async def test_who_reads_a_window_too_slowly_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_window, "_WINDOW_SECONDS", 0.05)
    async with running() as room, asking_for_much(room) as reader:
        with capture_logs() as logs:
            while not logs:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert not await ended_well(reader)
    assert [entry["event"] for entry in logs] == ["a sister reads a window too slowly"]


async def test_a_conflict_is_said_once_a_segment_and_shown_for_a_minute() -> None:
    now = [100.0]
    async with running(clock=lambda: now[0]) as room:
        await room.begin()
        await room.feed((3, 0))
        with capture_logs() as logs:
            for msn, part in ((1, 0), (1, 1), (2, 0), (2, 3)):
                assert (await room.put(f"64k/{msn}.{part}.m4s", room.part(0, 0))).status == 409
        said = [(log["room"], log["take"], log["what"], log["msn"]) for log in logs if "what" in log]
        assert said == [(ROOM, TAKE, "64k", 1), (ROOM, TAKE, "64k", 2)]
        assert room.origin.conflicts.count == 4
        ready = await room.get("/readyz")
        assert ready.status == 200
        assert json.loads(ready.body)["degraded"] == ["conflicts: other bytes were refused 4 times"]
        now[0] += 61
        assert json.loads((await room.get("/readyz")).body)["degraded"] == []


async def test_listeners_are_told_for_every_live_room(room: RunningOrigin) -> None:
    waiting = asyncio.create_task(room.playlist("?_HLS_msn=5&_HLS_part=2"))
    over = TakeKey("over", TAKE)
    room.origin.put_take(over, takes.header())
    room.origin.end(over, 0)
    await until(lambda: room.blocked == 1)
    assert room.origin.listeners_by_room() == {ROOM: 1}
    waiting.cancel()
