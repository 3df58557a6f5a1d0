"""PCM over real HTTP: what a sender gets."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import numpy as np
import pytest

from tests.ingest_server import FADE, RATE, Server, is_live, present
from tests.pcm_line import Line, pieces, tone
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with Server(tmp_path) as made:
        yield made


@pytest.mark.parametrize("channels", [1, 2])
async def test_a_body_is_on_the_bus_as_it_was_sent_and_then_answered(server: Server, channels: int) -> None:
    await server.ask("PUT", "/rooms/room", json={"channels": channels})
    pcm = tone(RATE + 12_345, channels)
    status, answer = await server.ask("PUT", f"/pcm/room?channels={channels}", data=pieces(pcm, 7777))
    bus = server.bus()
    take = bus.key.take
    assert (status, answer) == (
        200,
        {"room": "room", "take": take, "samples": len(pcm), "silence": 0, "dropped": 0},
    )
    assert np.array_equal(bus.read(0, len(pcm)), pcm)
    assert not bus.read(len(pcm), bus.top).any()


async def test_a_fast_sender_is_paced_to_real_time(server: Server) -> None:
    began = time.monotonic()
    await server.ask("PUT", "/pcm/room", data=tone(2 * RATE).tobytes())
    assert time.monotonic() - began > 1.9


async def test_bodies_after_each_other_go_into_one_take(server: Server) -> None:
    takes = set()
    for _ in range(3):
        _, answer = await server.ask("PUT", "/pcm/room", data=tone(4800).tobytes())
        takes.add(answer["take"])
    assert len(takes) == 1
    heard = np.count_nonzero(server.bus().read(0, server.bus().top))
    assert 3 * 4800 - 2 * FADE <= heard <= 3 * 4800  # what begins in a take that lives is faded in


@pytest.mark.needs("ffmpeg", "curl")
async def test_ffmpeg_piped_into_curl_arrives_without_a_dropout(server: Server, tmp_path: Path) -> None:
    pcm = tone(3 * RATE // 2)
    (tmp_path / "x.pcm").write_bytes(pcm.tobytes())
    # A machine that starves one of them for longer than is buffered, 200 ms, makes a dropout of its own.
    for room in ("room", "once-more", "for-the-last-time"):
        line = (
            f"ffmpeg -v error -re -f s16le -ac 1 -ar 48000 -i {tmp_path}/x.pcm -f s16le -ac 1 -ar 48000 - "
            f"| curl -sS -T - {server.url(f'/pcm/{room}')}"
        )
        shell = await asyncio.create_subprocess_shell(line, stdout=asyncio.subprocess.PIPE)
        out, _ = await shell.communicate()
        answer = json.loads(out)
        if not answer["silence"]:
            break
    assert (answer["samples"], answer["silence"], answer["dropped"]) == (len(pcm), 0, 0)
    assert np.array_equal(server.bus(room).read(0, len(pcm)), pcm)


@pytest.mark.needs("curl")
async def test_a_process_that_stood_still_loses_nothing_that_was_sent(server: Server, tmp_path: Path) -> None:
    pcm = tone(4 * RATE)
    (tmp_path / "x.pcm").write_bytes(pcm.tobytes())
    curl = await server.curl("-T", str(tmp_path / "x.pcm"), server.url("/pcm/room"))
    await until(lambda: is_live(server) and server.bus().top > 4800)
    time.sleep(2.2)  # noqa: ASYNC251 - the process stands still, with its ticker and its sockets
    out, _ = await curl.communicate()
    answer = json.loads(out)
    assert (answer["samples"], answer["silence"], answer["dropped"]) == (len(pcm), 0, 0)
    assert np.array_equal(server.bus().read(0, len(pcm)), pcm)


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "says"),
    [
        ("/pcm/a%20b", {}, b"\0\0", 400, "room id"),
        ("/pcm/" + "x" * 65, {}, b"\0\0", 400, "room id"),
        ("/pcm/room?channels=3", {}, b"\0\0", 400, "channels"),
        ("/pcm/room?channels=", {}, b"\0\0", 400, "channels"),
        ("/pcm/room?channels=one", {}, b"\0\0", 400, "channels"),
        ("/pcm/room?speaker=", {}, b"\0\0", 400, "speaker"),
        ("/pcm/room?speaker=" + "x" * 65, {}, b"\0\0", 400, "speaker"),
        ("/pcm/room?speaker=a%0Ab", {}, b"\0\0", 400, "speaker"),
        ("/pcm/room", {"Content-Encoding": "gzip"}, b"\0\0", 415, "Content-Encoding"),
        ("/pcm/room", {}, b"", 400, "empty"),
        ("/pcm/room", {}, b"\0", 400, "inside a sample"),
        ("/pcm/room?channels=2", {}, b"\0\0\0\0\0\0", 400, "inside a sample"),
    ],
)
async def test_bad_input_gets_one_line_that_says_what_to_do(
    server: Server, path: str, headers: dict[str, str], body: bytes, status: int, says: str
) -> None:
    async with server.http.put(
        server.url(path), data=body, headers=headers, skip_auto_headers=["Expect"]
    ) as answer:
        got = json.loads(await answer.text())
    assert answer.status == status
    assert says in got["error"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH"])
async def test_another_method_is_told_the_right_one(server: Server, method: str) -> None:
    async with server.http.request(method, "/pcm/room", data=b"xx") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "PUT"
        assert "PUT" in (await answer.json())["error"]


async def test_an_odd_body_is_taken_to_its_last_whole_sample(server: Server) -> None:
    pcm = tone(20_000)
    status, answer = await server.ask("PUT", "/pcm/room", data=pcm.tobytes() + b"\7")
    assert status == 400
    assert "1 bytes over" in answer["error"]
    assert np.array_equal(server.bus().read(0, 20_000), pcm)


async def test_who_asks_first_is_told_to_go_on(server: Server) -> None:
    line = await Line.open(server.port, "/pcm/room", "Expect: 100-continue")
    assert await line.told_to_go_on()
    line.send(tone(9600).tobytes())
    line.writer.write(b"0\r\n\r\n")
    status, answer = await line.answer()
    assert status == 200
    assert answer["samples"] == 9600
    line.cut()


async def test_another_expectation_fails(server: Server) -> None:
    line = await Line.open(server.port, "/pcm/room", "Expect: miracles")
    status, answer = await line.answer()
    assert status == 417
    assert "100-continue" in answer["error"]
    line.cut()


async def test_two_senders_are_heard_together(server: Server) -> None:
    pcm = np.full((RATE, 1), 1000, np.int16).tobytes()
    answers = await asyncio.gather(*(server.ask("PUT", "/pcm/room", data=pcm) for _ in range(2)))
    assert [(status, answer["silence"]) for status, answer in answers] == [(200, 0)] * 2
    assert len({answer["take"] for _, answer in answers}) == 1
    heard = server.bus().read(0, server.bus().top)
    assert heard.max() == 2000
    assert 2 * RATE * 1000 - 4 * FADE * 1000 <= heard.sum(dtype=int) <= 2 * RATE * 1000


async def test_a_sender_too_many_is_refused_before_its_body_is_read(tmp_path: Path) -> None:
    server = Server(tmp_path, max_speakers=1)
    await server.start()
    first = await Line.open(server.port, "/pcm/room")
    first.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    second = await Line.open(server.port, "/pcm/room", "Expect: 100-continue")
    status, answer = await second.answer()
    assert status == 503
    assert "all 1 places" in answer["error"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await server.http.ws_connect("/pcm/room/ws")
    assert refused.value.status == 503
    first.writer.write(b"0\r\n\r\n")
    status, answer = await first.answer()
    assert status == 200
    assert answer["silence"] == 0
    first.cut()
    second.cut()
    await server.stop()


async def test_the_same_name_takes_over_and_the_old_line_is_told(server: Server) -> None:
    old = await Line.open(server.port, "/pcm/room?speaker=Ada")
    old.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    new = await Line.open(server.port, "/pcm/room?speaker=Ada")
    status, answer = await old.answer()
    assert status == 409
    assert "newer connection" in answer["error"]
    new.send(tone(9600).tobytes())
    new.writer.write(b"0\r\n\r\n")
    assert (await new.answer())[0] == 200
    events = server.bus().events_from(0)
    assert [event.speakers for event in events][:1] == [("Ada",)]
    old.cut()
    new.cut()


async def test_a_connection_that_is_cut_leaves_the_take_and_its_place(server: Server) -> None:
    other = asyncio.create_task(server.ask("PUT", "/pcm/other", data=tone(2 * RATE).tobytes()))
    line = await Line.open(server.port, "/pcm/room")
    pcm = tone(14_400)
    line.send(pcm.tobytes())
    await until(lambda: is_live(server))
    bus = server.bus()
    line.cut()
    await until(lambda: not present(server) and bus.top >= len(pcm))
    status, answer = await server.ask("PUT", "/pcm/room", data=tone(4800).tobytes())
    assert (status, answer["take"]) == (200, bus.key.take)
    assert np.array_equal(bus.read(0, 14_400), pcm)
    assert (await other)[1]["silence"] == 0


async def test_a_body_that_stops_is_timed_out(tmp_path: Path) -> None:
    server = Server(tmp_path, sender_timeout=1)
    await server.start()
    line = await Line.open(server.port, "/pcm/room")
    line.send(tone(RATE).tobytes())
    status, answer = await line.answer()
    assert status == 408
    assert "nothing arrived for 1 seconds" in answer["error"]
    assert server.bus().ended is None
    line.cut()
    await server.stop()


async def test_too_many_rooms_are_told_to_come_back(tmp_path: Path) -> None:
    server = Server(tmp_path, max_rooms=1)
    await server.start()
    line = await Line.open(server.port, "/pcm/room")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    async with server.http.put("/pcm/other", data=b"\0\0") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
    line.cut()
    await server.stop()


async def test_a_server_that_goes_down_tells_its_senders(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await server.start()
    line = await Line.open(server.port, "/pcm/room")
    line.send(tone(RATE).tobytes())
    await until(lambda: is_live(server))
    await server.ingest.stop()
    assert (await line.answer())[0] == 503
    line.cut()
    await server.stop()
