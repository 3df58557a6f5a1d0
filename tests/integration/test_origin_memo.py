"""Requests that are answered from memory are answered as if they were not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from origin.memo import MAX_REQUEST_BYTES, MAX_REQUESTS, Memo, is_one_plain_get
from origin.representation import Slot
from origin.service import OriginLimits
from tests.origins import RunningOrigin, on_the_air, running
from tests.playlists import end, samples_to
from tests.waiting import until


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    """Whole segments 0 to 2, and two parts of segment 3."""
    async with on_the_air((3, 2)) as origin:
        yield origin


class Connection:
    """A client that decides how its bytes are cut."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(head.split()[1])
        length = 0 if status in {204, 304} else int(head.split("content-length: ")[1].split("\r\n")[0])
        return status, await self._reader.readexactly(length)

    async def ask(self, data: bytes) -> tuple[int, bytes]:
        await self.send(data)
        return await self.answer()


@asynccontextmanager
async def connected(room: RunningOrigin) -> AsyncIterator[Connection]:
    host, port = room.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def get(room: RunningOrigin, name: str, *fields: str) -> bytes:
    path = name if name.startswith("/") else f"{room.line()}/{name}"
    lines = [f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]
    return "\r\n".join(lines).encode()


@pytest.fixture
def from_memory(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The requests that were answered from memory."""
    seen: list[bytes] = []
    recall = Memo.recall

    def watched(self: Memo, request: bytes) -> object:
        known = recall(self, request)
        if known is not None:
            seen.append(request)
        return known

    monkeypatch.setattr(Memo, "recall", watched)
    return seen


@pytest.mark.parametrize(
    "name", ["index.m3u8", "index.m3u8?_HLS_msn=3&_HLS_part=1&_HLS_skip=YES", "2.m4s", "3.0.m4s", "init.mp4"]
)
async def test_the_second_time_is_answered_from_memory_and_alike(
    room: RunningOrigin, from_memory: list[bytes], name: str
) -> None:
    request = get(room, name, "Accept-Encoding: gzip")
    async with connected(room) as one, connected(room) as other:
        first = await one.ask(request)
        assert from_memory == []
        assert [await one.ask(request), await other.ask(request)] == [first, first]
    assert from_memory == [request, request]
    assert first[0] == 200


async def test_answers_from_memory_are_counted(room: RunningOrigin) -> None:
    async with connected(room) as connection:
        for _ in range(3):
            await connection.ask(get(room, "2.m4s"))
    labels = {"kind": "segment", "status": "200"}
    assert room.origin.metrics.registry.get_sample_value("longwave_http_requests_total", labels) == 3


async def test_a_remembered_playlist_is_the_current_one(
    room: RunningOrigin, from_memory: list[bytes]
) -> None:
    request = get(room, "index.m3u8")
    async with connected(room) as connection:
        for part in range(2, 5):
            await room.feed((3, part))
            expected = (await room.playlist()).body
            for _ in range(3):
                assert await connection.ask(request) == (200, expected)
        await end(room, samples_to((3, 4)))
        assert (await connection.ask(request))[1].endswith(b"#EXT-X-ENDLIST\n")
    assert from_memory


async def test_what_has_left_is_not_remembered() -> None:
    now = 1000.0
    async with running(limits=OriginLimits(window_seconds=6), clock=lambda: now) as room:
        await room.begin()
        await room.feed((3, 0))
        requests = [get(room, name) for name in ("1.m4s", "2.4.m4s", "index.m3u8", "init.mp4")]
        async with connected(room) as connection:
            for _ in range(2):
                assert [(await connection.ask(request))[0] for request in requests] == [200] * 4
            await room.feed((9, 0))
            assert [(await connection.ask(request))[0] for request in requests] == [404, 404, 200, 200]
            room.origin.sweep(now + 7)
            assert [(await connection.ask(request))[0] for request in requests] == [404] * 4


async def test_a_body_that_looks_like_a_remembered_request_is_a_body(room: RunningOrigin) -> None:
    request = get(room, "2.m4s")
    line = f"PUT /publish/room/{room.take}/take.json HTTP/1.1"
    head = f"{line}\r\nHost: x\r\nContent-Length: {len(request)}\r\n\r\n"
    async with connected(room) as connection:
        assert (await connection.ask(request))[0] == 200
        await connection.send(head.encode())
        await asyncio.sleep(0.05)  # a chunk of its own
        status, body = await connection.ask(request)
        assert (status, b"JSON" in body) == (400, True)


async def test_half_a_request_and_a_remembered_one_are_one(room: RunningOrigin) -> None:
    request = get(room, "2.m4s")
    async with connected(room) as connection:
        assert (await connection.ask(request))[0] == 200
        await connection.send(get(room, "9.m4s")[:-2] + b"X-Rest: ")
        await asyncio.sleep(0.05)
        assert (await connection.ask(request))[0] == 400  # a request has one Host


async def test_two_requests_in_one_chunk_are_two(room: RunningOrigin) -> None:
    request = get(room, "2.m4s")
    async with connected(room) as connection:
        assert (await connection.ask(request))[0] == 200
        await connection.send(request + get(room, "9.m4s") + request)
        assert [(await connection.answer())[0] for _ in range(3)] == [200, 404, 200]


async def test_a_remembered_request_behind_a_blocked_one_waits_its_turn(room: RunningOrigin) -> None:
    segment, hinted = get(room, "2.m4s"), get(room, "3.2.m4s")
    async with connected(room) as connection:
        assert (await connection.ask(segment))[0] == 200
        await connection.send(hinted)
        await until(lambda: room.blocked == 1)
        await connection.send(segment)
        await asyncio.sleep(0.05)
        await room.feed((3, 3))
        assert [(await connection.answer())[1] for _ in range(2)] == [room.part(3, 2), room.segment(2)]
        # And the blocked one's answer was not remembered under the other one's bytes.
        assert await connection.ask(segment) == (200, room.segment(2))
        assert await connection.ask(hinted) == (200, room.part(3, 2))


async def test_only_whole_answers_are_remembered(room: RunningOrigin, from_memory: list[bytes]) -> None:
    etag = (await room.get("2.m4s")).headers["ETag"]
    async with connected(room) as connection:
        for fields, status in (
            ([f"If-None-Match: {etag}"], 304),
            (["Content-Length: 0"], 200),
        ):
            for _ in range(2):
                assert (await connection.ask(get(room, "2.m4s", *fields)))[0] == status
    assert from_memory == []


async def test_who_does_not_read_is_not_answered_from_memory_without_end(
    room: RunningOrigin, from_memory: list[bytes]
) -> None:
    request = get(room, "2.m4s")
    async with connected(room) as connection:
        assert (await connection.ask(request))[0] == 200
        expected = 0
        while expected < 3000:
            await connection.send(request)
            expected += 1
            if expected % 100 == 0:
                await asyncio.sleep(0.001)
        for _ in range(expected):
            assert await connection.answer() == (200, room.segment(2))


def test_what_counts_as_one_plain_get() -> None:
    plain = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
    assert is_one_plain_get(plain)
    for other in (
        b"",
        plain[:-1],
        plain + b"x",
        plain + plain,
        plain.replace(b"GET", b"PUT"),
        plain.replace(b"Host: x", b"CONTENT-length: 4"),
        plain.replace(b"Host: x", b"Transfer-Encoding: chunked"),
        plain.replace(b"Host: x", b"Upgrade: websocket"),
        plain.replace(b"/a", b"/" + b"a" * MAX_REQUEST_BYTES),
    ):
        assert not is_one_plain_get(other)


async def test_the_memo_is_bounded(room: RunningOrigin) -> None:
    memo = Memo(room.origin.metrics)
    for number in range(3 * MAX_REQUESTS):
        memo.learn(b"%d" % number, Slot())
    assert len(memo._known) <= MAX_REQUESTS


async def test_who_asks_on_and_on_and_reads_nothing_is_not_answered_on_and_on(room: RunningOrigin) -> None:
    many = 3_000
    answered = room.origin.metrics.http_requests.labels("segment", 200)._value.get
    async with connected(room) as greedy:
        sending = asyncio.create_task(greedy.send(get(room, "0.m4s") * many))
        before = -1.0
        while answered() != before or not before:
            before = answered()
            await asyncio.sleep(0.2)
        assert before < many / 2
        for _ in range(many):  # nothing was lost by waiting
            assert (await greedy.answer())[0] == 200
        await sending
    assert answered() == many
