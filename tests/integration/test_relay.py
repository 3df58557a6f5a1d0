"""PCM that reaches an ingest which does not own the room: it goes to the owner, and the answer comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from numpy.typing import NDArray

from tests.audio import beeps
from tests.ingests import IngestServer, Owners, read_nothing, serving, two_ingests
from tests.pcm_line import Line, pieces
from tests.waiting import until

RATE = 48_000
Pair = tuple[IngestServer, IngestServer, Owners]


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with two_ingests(tmp_path) as made:
        yield made


def sound(samples: int) -> NDArray[np.int16]:
    """Never 0, never the same twice within a third of a second; shape (n, 1)."""
    return (np.arange(samples) % 16_000 + 1).astype("<i2")[:, None]


async def test_a_body_arrives_at_the_owner_sample_for_sample(pair: Pair) -> None:
    here, owner, _ = pair
    pcm = beeps(1.7)[:, None]
    status, answer = await here.ask("PUT", "/pcm/room?speaker=Ada+%26+Bo&sound=as-is", data=pieces(pcm, 7777))
    bus = owner.bus()
    assert (status, answer) == (
        200,
        {"room": "room", "take": bus.key.take, "samples": len(pcm), "silence": 0, "dropped": 0},
    )
    assert np.array_equal(bus.read(0, len(pcm)), pcm)
    assert bus.events_from(0)[0].speakers == ("Ada & Bo",)
    assert not here.is_live()


async def test_the_owner_decides_before_the_body_is_sent(tmp_path: Path) -> None:
    async with two_ingests(tmp_path, max_speakers=1) as (here, owner, _):
        first = await Line.open(here.port, "/pcm/room", "Expect: 100-continue")
        assert await first.told_to_go_on()
        first.send(sound(RATE).tobytes())
        await until(owner.is_live)
        second = await Line.open(here.port, "/pcm/room", "Expect: 100-continue")
        status, answer = await second.answer()
        assert (status, "all 1 places" in answer["error"]) == (503, True), "and nothing was asked for before"
        first.writer.write(b"0\r\n\r\n")
        assert (await first.answer())[0] == 200
        first.cut()
        second.cut()


async def test_an_owner_that_reads_nothing_holds_its_sender_back(pair: Pair) -> None:
    here, _, owners = pair
    async with serving(read_nothing) as url:
        owners.urls["room"] = url
        line = await Line.open(here.port, "/pcm/room")
        sent, piece = 0, bytes(256 * 1024)

        async def pour() -> None:
            nonlocal sent
            while sent < 64 * 2**20:
                line.send(piece)
                await line.writer.drain()
                sent += len(piece)

        pouring, before = asyncio.create_task(pour()), -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        pouring.cancel()
        # What the kernel holds of three connections' ends, and no more.
        assert 0 < sent < 32 * 2**20
        line.cut()


async def test_a_sender_that_is_cut_leaves_the_owner(pair: Pair) -> None:
    here, owner, _ = pair
    line = await Line.open(here.port, "/pcm/room?speaker=Ada")
    pcm = sound(14_400)
    line.send(pcm.tobytes())
    await until(owner.is_live)
    bus = owner.bus()
    assert owner.present() == ["Ada"]
    line.cut()
    await until(lambda: not owner.present() and bus.top >= len(pcm))
    assert np.array_equal(bus.read(0, len(pcm)), pcm)
    assert bus.ended is None


async def test_the_take_s_end_comes_back_in_the_middle_of_the_body(pair: Pair) -> None:
    here, owner, _ = pair
    line = await Line.open(here.port, "/pcm/room")
    line.send(sound(RATE).tobytes())
    await until(owner.is_live)
    assert (await owner.ask("POST", "/rooms/room/end"))[0] == 200
    status, answer = await line.answer()
    assert (status, "ended" in answer["error"]) == (409, True)
    line.cut()


async def test_an_owner_that_dies_is_a_503_and_the_sender_may_come_back(pair: Pair) -> None:
    here, _, owners = pair

    async def die(request: web.Request) -> web.StreamResponse:
        await request.content.readexactly(9600)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(die) as url:
        owners.urls["room"] = url
        line = await Line.open(here.port, "/pcm/room")
        line.send(sound(RATE).tobytes())
        status, answer = await line.answer()
        assert (status, "gives no answer" in answer["error"]) == (503, True)
        assert "retry-after: 1" in answer["head"]
        line.cut()
    # Nobody listens at that address any more.
    status, answer = await here.ask("PUT", "/pcm/room", data=sound(960).tobytes())
    assert (status, "gives no answer" in answer["error"]) == (503, True)


@pytest.mark.parametrize("successor", ["", "http://127.0.0.1:9"])
async def test_a_frozen_owner_is_left_once_the_room_is_not_its_own(pair: Pair, successor: str) -> None:
    here, _, owners = pair
    async with serving(read_nothing) as url:
        owners.urls["room"] = url
        line = await Line.open(here.port, "/pcm/room")
        line.send(sound(960).tobytes())
        asked = owners.asked
        await until(lambda: owners.asked > asked + 5)
        owners.down = True
        asked = owners.asked
        await until(lambda: owners.asked > asked + 5)
        owners.down = False
        assert not line.reader._buffer, "while it may be there, it is waited for"  # type: ignore[attr-defined]
        if successor:
            owners.urls["room"] = successor
        else:
            del owners.urls["room"]
        status, answer = await line.answer()
        assert (status, "connect again" in answer["error"]) == (503, True)
        line.cut()


async def test_two_ingests_that_take_each_other_for_the_owner_say_so(pair: Pair) -> None:
    here, owner, _ = pair
    # What the owner believes: it lives at the one that asks it.
    owner.believe(Owners(room=here.url))
    status, answer = await here.ask("PUT", "/pcm/room", data=sound(960).tobytes())
    assert (status, "changing its ingest" in answer["error"]) == (503, True)
    assert len(here.seen) == len(owner.seen) == 1


async def test_an_ingest_that_goes_down_tells_those_it_relays(pair: Pair) -> None:
    here, owner, _ = pair
    line = await Line.open(here.port, "/pcm/room")
    line.send(sound(RATE).tobytes())
    await until(owner.is_live)
    here.relay.end()
    status, answer = await line.answer()
    assert (status, "goes down" in answer["error"]) == (503, True)
    assert (await here.ask("PUT", "/pcm/room", data=b"\0\0"))[0] == 503
    await until(lambda: not owner.present())
    line.cut()


async def test_the_owner_gets_the_token_and_no_page(tmp_path: Path) -> None:
    async with two_ingests(tmp_path, "secret") as (here, owner, _):
        assert (await here.ask("PUT", "/pcm/room", data=b"\0\0"))[0] == 401
        assert owner.seen == [], "who may not is told at once"
        headers = {"Authorization": "Bearer secret", "Origin": here.url, "Cookie": "a=b"}
        status, _ = await here.ask("PUT", "/pcm/room", data=sound(960).tobytes(), headers=headers)
        (request,) = owner.seen
        assert (status, request.headers["Authorization"]) == (200, "Bearer secret")
        assert not {"Origin", "Cookie"} & request.headers.keys()
