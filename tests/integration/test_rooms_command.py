"""`longwave rooms` and `longwave top` against a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner, Result

from contracts.access import Grant, guard
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.tokens import Keys, TokenGate
from longwave.cli import app
from storage.rooms import RoomRecord
from tests.redis_server import free_port
from tests.waiting import until
from tests.world import World
from workers.cluster.node import Node
from workers.cluster.view import LocalView
from workers.http_app import add_routes
from workers.http_cluster import ClusterHandlers

TOKENS = Keys({"k": b"k" * 32})
ADMIN = TOKENS.sign(Grant("admin"), 4_000_000_000)
ME = Node(id="here-1", roles=frozenset({"ingest", "worker", "origin"}))


class Site:
    """A server with a room that is live, and another one."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url

    async def run(self, *words: str, token: str = ADMIN, url: str | None = None, typed: str = "") -> Result:
        """`longwave …`, in a thread: it has an event loop of its own."""
        line = [*words, "--url", url or self.url, "--token", token]
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, line, input=typed))

    async def json(self, *words: str) -> Any:  # noqa: ANN401 - JSON
        run = await self.run(*words, "--json")
        assert run.exit_code == 0, run.output
        return json.loads(run.output)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    world = World(tmp_path)
    await world.live("news", "Ada")
    await asyncio.to_thread(world.rooms.put, "news", RoomRecord(title="Nachrichten ö"))
    await asyncio.to_thread(world.rooms.put, "sports", RoomRecord(title="[red]Sport"))
    metrics = Metrics(CollectorRegistry())
    application = web.Application(middlewares=[error_middleware(lambda _: "no-store", metrics)])
    guard(application, TokenGate(keys=TOKENS))
    add_routes(application, world.ingest, world.rooms, listeners_of=lambda _: 17)
    ClusterHandlers(LocalView(lambda: ME, world.hub.live), world.rooms).add_routes(application)
    async with TestServer(application) as server:
        yield Site(world, str(server.make_url("")).rstrip("/"))
    await world.ingest.stop()


async def test_rooms_are_listed_the_live_ones_with_their_length(site: Site) -> None:
    run = await site.run("rooms", "list")
    assert run.exit_code == 0, run.output
    lines = [line.split() for line in run.output.splitlines()]
    assert lines[1:3] == [["news", "0:00", "Nachrichten", "ö"], ["sports", "-", "[red]Sport"]]
    assert lines[-1] == ["2", "rooms,", "1", "live"]
    rows = (await site.json("rooms", "list"))["rooms"]
    assert [(row["room"], row["live"] is not None) for row in rows] == [("news", True), ("sports", False)]


async def test_more_rooms_than_fit_into_an_answer_are_listed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("longwave.rooms._PAGE", "1")
    await asyncio.to_thread(site.world.rooms.put, "weather", RoomRecord())
    rows = (await site.json("rooms", "list"))["rooms"]
    assert [row["room"] for row in rows] == ["news", "sports", "weather"]


async def test_a_list_that_may_lack_rooms_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[dict[str, Any]] = [
        {"rooms": [], "next": "a", "incomplete": "the storage is gone"},
        {"rooms": [], "next": None},
    ]

    async def ask(*_: object, **__: object) -> dict[str, Any]:
        return answers.pop(0)

    monkeypatch.setattr("longwave.asking.Asking.ask", ask)
    run = await site.run("rooms", "list")
    assert run.output.splitlines() == ["no rooms", "only those that are live: the storage is gone"]


async def test_a_room_is_shown_with_who_is_in_it(site: Site) -> None:
    run = await site.run("rooms", "show", "news")
    assert run.exit_code == 0, run.output
    lines = [" ".join(line.split()) for line in run.output.splitlines()]
    assert {"room news", "title Nachrichten ö", "renditions 64k"} <= {*lines}
    assert any(line.startswith("live for 0:00 as ") and "17 listen" in line for line in lines)
    assert "Ada pcm is silent" in lines or "Ada pcm speaks" in lines
    assert (await site.run("rooms", "show", "sports")).output.rstrip().endswith("not live")
    assert (await site.json("rooms", "show", "news"))["live"]["speakers"][0]["name"] == "Ada"


async def test_a_take_is_ended_without_a_question_where_nobody_could_answer_it(site: Site) -> None:
    run = await site.run("rooms", "end", "news")
    assert run.exit_code == 0, run.output
    assert "ended: news/" in run.output
    assert site.world.ingest.live("news") is None


async def test_at_a_terminal_the_end_is_asked_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longwave.rooms._at_terminal", lambda: True)
    run = await site.run("rooms", "end", "news", typed="n\n")
    assert run.exit_code != 0
    assert site.world.ingest.live("news") is not None
    run = await site.run("rooms", "end", "news", typed="y\n")
    assert run.exit_code == 0, run.output
    assert site.world.ingest.live("news") is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rooms", "show", "nobody"], "404"),
        (["rooms", "end", "sports"], "404"),
        (["rooms", "show", "a/b"], "a/b: "),
        (["rooms", "list", "--url", "ftp://x"], "ftp://x is not like"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_line(site: Site, words: list[str], said: str) -> None:
    url = words.pop() if "--url" in words else None
    words = [word for word in words if word != "--url"]
    run = await site.run(*words, url=url)
    assert run.exit_code != 0
    assert said in str(run.exception)
    assert "\n" not in str(run.exception)


async def test_a_token_that_does_not_do_is_said(site: Site) -> None:
    host = TOKENS.sign(Grant("host", "news"), 4_000_000_000)
    for words in (["rooms", "list"], ["top", "--once"]):
        run = await site.run(*words, token=host)
        assert "403" in str(run.exception)


async def test_of_several_servers_the_one_that_answers_is_asked(site: Site) -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    run = await site.run("rooms", "list", url=f"{dead},{site.url}")
    assert run.exit_code == 0, run.output
    run = await site.run("rooms", "list", url=dead)
    assert f"{dead} cannot be reached" in str(run.exception)


async def test_top_shows_a_terminal_what_changes_and_leaves_it_as_it_was(site: Site) -> None:
    master, slave = os.openpty()
    environment = os.environ | {"LONGWAVE_TOKEN": ADMIN, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "longwave", "top", "--url", site.url),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
    )
    os.close(slave)
    said = bytearray()

    def collect() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            said.extend(os.read(master, 65_536))

    loop = asyncio.get_running_loop()
    loop.add_reader(master, collect)
    try:
        await until(lambda: b"1 live take" in said)
        site.world.ingest.end("news")
        await until(lambda: b"0 live takes" in said)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
        await until(lambda: b"\x1b[?1049l" in said)
    finally:
        loop.remove_reader(master)
        os.close(master)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert said.index(b"\x1b[?1049h") < said.index(b"\x1b[?1049l")
    assert b"Traceback" not in said


async def test_top_prints_once_where_nobody_looks(site: Site) -> None:
    run = await site.run("top")
    assert run.exit_code == 0, run.output
    assert run.output.startswith(f"1 node · 1 live take · 0 listeners · 0.0 cores busy   {site.url}")
    assert any(line.split()[:2] == ["news", "0:00"] for line in run.output.splitlines())
    assert (await site.json("top"))["nodes"][0]["id"] == "here-1"
