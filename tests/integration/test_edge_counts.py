"""`longwave edge` beside real edges: who listens there is counted, told to origins, and shown."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from contracts.errors import DependencyError, UsageError
from longwave.edge.gathering import Gathering
from longwave.edge.role import run_edge
from longwave.edge.sources import gathered
from longwave.settings import EdgeSettings, load_settings
from tests.edge_stage import PROGRAMS, edge_before, fetch, fresh_take, stand_in, until
from tests.origins import ROOM, RunningOrigin, running

pytestmark = pytest.mark.timeout(120)
LISTENERS = 30
POSITIONS = ((2, 0), (2, 1), (2, 2), (3, 0), (3, 1))


@pytest.fixture
async def room() -> AsyncIterator[RunningOrigin]:
    async with running() as origin:
        origin.take = fresh_take()
        await origin.begin()
        await origin.feed((3, 2))
        yield origin


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def numbers(port: int) -> dict[str, float]:
    """What `longwave edge` shows: each name, its labels added up."""
    answer = await fetch(f"http://127.0.0.1:{port}/metrics")
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


async def told(room: RunningOrigin) -> dict[str, object]:
    """What an origin says of the room."""
    answer = await room.get(f"/listen/{ROOM}.json")
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("program", PROGRAMS)
async def test_listeners_through_an_edge_are_counted_and_the_origin_knows_them(
    program: str, room: RunningOrigin, tmp_path: Path
) -> None:
    port = free_port()
    async with edge_before(
        program, [room.url], tmp_path, count="", metrics_port=str(port), name="e1"
    ) as edge:
        await until(lambda: "listeners of the edge e1" in edge.log, "it counts")
        line = f"{edge.url}{room.line()}/index.m3u8"

        # As when parts come: all who wait for one are answered before they ask for the next.
        for msn, part in POSITIONS:
            address = f"{line}?_HLS_msn={msn}&_HLS_part={part}&x=1"
            answers = await asyncio.gather(*(fetch(address) for _ in range(LISTENERS)))
            assert {answer.status for answer in answers} == {200}
            # What all ask for at once, and nothing a moment later, is a burst.
            await asyncio.sleep(0.25)
        async with asyncio.timeout(20):
            async for _ in moments():
                if (await told(room))["listeners"] == LISTENERS:
                    break
        requests = LISTENERS * len(POSITIONS)
        async with asyncio.timeout(20):
            async for _ in moments():
                shown = await numbers(port)
                # Programs are asked for their own numbers every two seconds.
                counted = ("longwave_edge_client_requests_total", "longwave_edge_requests_total")
                if min(shown.get(name, 0) for name in counted) >= requests:
                    break
        assert shown["longwave_edge_requests_total"] == requests
        # Each once, also who has waited. The edge asked itself whether it is there.
        assert shown["longwave_edge_client_requests_total"] < requests + LISTENERS
        if program == "varnish":
            # As infra/edge/varnish/edge.py says: two pools.
            assert shown["longwave_edge_threads_max"] == 24_000
            assert 0 < shown["longwave_edge_threads"] < 24_000
            assert shown["longwave_edge_queued"] >= 0 == shown["longwave_edge_dropped_total"]
            assert shown["longwave_edge_threads_limited_total"] == 0
        else:
            assert "longwave_edge_threads" not in shown
        assert len(POSITIONS) <= shown["longwave_edge_origin_requests_total"] <= len(POSITIONS) + 1
        assert (await fetch(f"http://127.0.0.1:{port}/healthz")).status == 200
        ready = json.loads((await fetch(f"http://127.0.0.1:{port}/readyz")).body)
        assert ready == {"status": "ready", "degraded": []}


async def moments() -> AsyncIterator[None]:
    """Now, and again and again."""
    while True:
        yield
        await asyncio.sleep(0.05)


async def counter(*options: str, **environment: str) -> asyncio.subprocess.Process:
    """`longwave edge` alone, that reads what it is written."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "longwave", "edge", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )


async def test_it_shows_its_token_and_an_origin_that_is_away_costs_the_other_nothing() -> None:
    token = "a-secret-of-the-tests"
    async with stand_in() as origin:
        path = "/edges/e.1/listeners"
        origin.says(path, status=204)
        away = f"http://127.0.0.1:{free_port()}"
        options = ("--origin", away, "--origin", origin.url, "--name", "e.1", "--tier", "cdn")
        process = await counter(*options, LONGWAVE_TOKEN=token)
        assert process.stdin is not None
        process.stdin.write(b"lw1 200 hit playlist /live/room/20260101T000000Z-abc234/64k/index.m3u8\n" * 8)
        process.stdin.write(os.urandom(70_000) + b"\nlw1 x\n")
        await process.stdin.drain()
        await until(lambda: len(origin.asked) >= 2, "the origin is told again and again")
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, out) == (0, b"Longwave counts the listeners of the edge e.1\n")
    assert {(one.method, one.path) for one in origin.asked} == {("PUT", path)}
    shown = origin.asked[0].headers["Authorization"].removeprefix("Bearer ")
    assert shown != token
    assert err.count(b"cannot be told") == 1
    assert token.encode() not in err
    assert shown.encode() not in err


async def test_it_ends_when_its_log_does() -> None:
    process = await counter("--origin", f"http://127.0.0.1:{free_port()}")
    _, err = await asyncio.wait_for(process.communicate(b""), 20)
    assert process.returncode == 1
    last = err.splitlines()[-1]
    assert last == b"longwave: the access log is over: what wrote it has ended"
    assert b"Traceback" not in err
    assert b"of ours" not in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "somebody to tell: --origin http://HOST:PORT"),
        ({"name": "an edge"}, "--name: an edge's name is 1 to 64"),
        ({"tier": "origin"}, "--tier: "),
        ({"origin": ("nowhere",)}, "--origin: "),
    ],
)
def test_what_it_cannot_do_it_says(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        run_edge(load_settings(EdgeSettings, options))


async def test_a_log_that_cannot_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no directory /nowhere/at"):
        async with gathered("/nowhere/at/all", Gathering()):
            pass
    with pytest.raises(DependencyError, match="cannot be read: Is a directory"):
        async with gathered(str(tmp_path), Gathering()):
            pass
