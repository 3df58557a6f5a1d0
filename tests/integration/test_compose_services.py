"""The edge and the bus of infra/compose as they are started there: nginx and Redis with the very files."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis
from aiohttp import ClientSession, WSMsgType, web
from aiohttp.test_utils import TestServer
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests import programs
from tests.redis_server import free_port, poll

COMPOSE = Path(__file__).parents[2] / "infra" / "compose"


class Behind:
    """A server behind the edge. It notes what it is asked, and answers `answer`, or who it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[tuple[str, str, bytes]] = []
        self.host = ""
        self.answer: Callable[[str], web.Response] = lambda name: web.Response(text=name)
        app = web.Application()
        app.router.add_get("/pcm/{room}/ws", self._echo)
        app.router.add_route("*", "/{path:.*}", self._note)
        self.server = TestServer(app)

    @property
    def address(self) -> str:
        return f"{self.server.host}:{self.server.port}"

    async def _note(self, request: web.Request) -> web.Response:
        self.asked.append((request.method, request.path_qs, await request.read()))
        self.host = request.headers["Host"]
        return self.answer(self.name)

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_bytes(message.data)
        return socket


class Edge:
    """Two ingests, two origins, and nginx before them."""

    def __init__(self, url: str, ingests: list[Behind], origins: list[Behind], client: ClientSession) -> None:
        self.url = url
        self.ingests = ingests
        self.origins = origins
        self.client = client

    async def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        async with self.client.request(method, self.url + path, data=body, allow_redirects=False) as response:
            return response.status, await response.text()

    def asked(self) -> list[tuple[str, str]]:
        """What anybody behind it was asked."""
        return [(method, path) for each in (*self.ingests, *self.origins) for method, path, _ in each.asked]


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    behind = {name: Behind(name) for name in ("ingest-1", "ingest-2", "origin-1", "origin-2")}
    for each in behind.values():
        await each.server.start_server()
    port = free_port()
    text = (COMPOSE / "nginx.conf").read_text().replace("listen 8080", f"listen 127.0.0.1:{port}")
    for name, each in behind.items():
        text = text.replace(f"{name}:8080", each.address)
    # Names that are looked up again are of a later version than some that this runs on; here are addresses.
    text = (
        text.replace(" resolve ", " ")
        .replace("/tmp/", f"{tmp_path}/")
        .replace("/dev/stdout", f"{tmp_path}/log")
    )
    (tmp_path / "nginx.conf").write_text(text)
    files = ("-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log"))
    process = await asyncio.create_subprocess_exec(programs.path("nginx"), *files, "-g", "daemon off;")
    try:
        async with ClientSession() as client:
            running = Edge(
                f"http://127.0.0.1:{port}",
                [behind["ingest-1"], behind["ingest-2"]],
                [behind["origin-1"], behind["origin-2"]],
                client,
            )
            while True:
                try:
                    assert await running.ask("GET", "/edge-healthz") == (200, "")
                    break
                except OSError:
                    assert process.returncode is None, (tmp_path / "error.log").read_text()
                    await asyncio.sleep(0.02)
            yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        for each in behind.values():
            await each.server.close()


@pytest.mark.needs("nginx")
async def test_the_edge_brings_everybody_to_whom_they_want(edge: Edge) -> None:
    for path in (
        "/",
        "/live/a/index.m3u8?_HLS_msn=3",
        "/rooms.json",
        "/replay/a/b.m4a",
        "/listen/a",
        "/listen/a.json",
        "/p/k.1800000660.5f0c/live/a/index.m3u8?_HLS_msn=3",
        "/p/k.1800000660.5f0c/listen/a.json",
        "/assets/x.js",
    ):
        status, name = await edge.ask("GET", path)
        assert (status, name[:6]) == (200, "origin"), path
    for method, path in (
        ("POST", "/whip/a?speaker=Ada"),
        ("PUT", "/rooms/a"),
        ("POST", "/rooms/a/listen-token"),
        ("OPTIONS", "/rooms/a/listen-token"),
        ("GET", "/rooms"),
        ("PUT", "/pcm/a"),
    ):
        status, name = await edge.ask(method, path, None if method == "GET" else b"body")
        assert (status, name[:6]) == (200, "ingest"), path
    assert ("GET", "/live/a/index.m3u8?_HLS_msn=3") in edge.asked()
    assert {each.host for each in (*edge.ingests, *edge.origins)} <= {"", edge.url.removeprefix("http://")}


@pytest.mark.needs("nginx")
async def test_nobody_gets_past_the_edge_to_what_is_not_public(edge: Edge) -> None:
    for method, path in (
        ("GET", "/metrics"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/publish/a/b"),
        ("PUT", "/publish/a/b/take.json"),
        ("GET", "/cluster.json"),
        ("PUT", "/edges/e1/listeners"),
        ("PUT", "/p/k.1800000660.5f0c/edges/e1/listeners"),
        ("POST", "/live/a/index.m3u8"),
        ("DELETE", "/replay/a/b"),
        ("GET", "//publish/a/b"),
        ("GET", "/live/../publish/a/b"),
        ("GET", "/live/%2e%2e/metrics"),
    ):
        status, _ = await edge.ask(method, path)
        assert status in {403, 404}, path
    assert edge.asked() == []


@pytest.mark.needs("nginx")
async def test_a_rooms_requests_go_to_one_ingest_until_that_is_gone(edge: Edge) -> None:
    answers = {await edge.ask("POST", f"/whip/friday?speaker={number}", b"offer") for number in range(6)}
    ((_, name),) = answers
    (gone,) = [each for each in edge.ingests if each.name == name]
    (other,) = [each for each in edge.ingests if each.name != name]
    await gone.server.close()
    assert await edge.ask("POST", "/whip/friday", b"offer") == (200, other.name)


@pytest.mark.needs("nginx")
async def test_the_edge_follows_to_the_owner_with_the_same_request(edge: Edge) -> None:
    _, name = await edge.ask("GET", "/rooms/friday")
    (asked,) = [each for each in edge.ingests if each.name == name]
    (owner,) = [each for each in edge.ingests if each.name != name]

    def elsewhere(_: str) -> web.Response:
        location = f"http://{owner.address}/whip/friday?speaker=Ada"
        return web.Response(status=307, headers={"Location": location})

    asked.answer = elsewhere
    offer = b"v=0\r\n" * 4000
    assert await edge.ask("POST", "/whip/friday?speaker=Ada", offer) == (200, owner.name)
    assert owner.asked == [("POST", "/whip/friday?speaker=Ada", offer)]


@pytest.mark.needs("nginx")
async def test_the_edge_follows_to_nobody_but_its_ingests(edge: Edge) -> None:
    def away(_: str) -> web.Response:
        return web.Response(status=307, headers={"Location": f"http://{edge.origins[0].address}/publish/a/b"})

    for each in edge.ingests:
        each.answer = away
    assert (await edge.ask("POST", "/whip/friday", b"offer"))[0] == 502
    assert edge.origins[0].asked == []


@pytest.mark.needs("nginx")
async def test_sound_passes_the_edge_while_it_is_spoken(edge: Edge) -> None:
    async with edge.client.ws_connect(f"{edge.url}/pcm/friday/ws?speaker=Ada") as socket:
        await socket.send_bytes(b"sound")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.BINARY, b"sound")


@pytest.mark.needs("nginx")
async def test_an_origin_that_is_gone_or_fills_is_not_asked_again(edge: Edge) -> None:
    filling, sister = edge.origins
    filling.answer = lambda name: web.Response(status=503, text=name)
    assert {await edge.ask("GET", "/live/a/index.m3u8") for _ in range(4)} == {(200, sister.name)}
    await filling.server.close()
    assert {await edge.ask("GET", "/live/a/index.m3u8") for _ in range(4)} == {(200, sister.name)}


@pytest.mark.needs("nginx")
async def test_no_token_gets_into_the_edges_log(edge: Edge, tmp_path: Path) -> None:
    await edge.ask("GET", "/rooms?token=verysecret")
    await edge.ask("GET", "/p/kid.1.verysecret/live/a/index.m3u8")
    poll(lambda: (tmp_path / "log").read_text().count("\n") >= 2, "both requests are in the log")
    assert "verysecret" not in (tmp_path / "log").read_text()


@pytest.mark.needs("redis-server")
def test_the_bus_starts_with_its_password_and_keeps_nothing_on_disk(tmp_path: Path) -> None:
    port = free_port()
    for file in ("redis.conf", "start.sh"):
        text = (COMPOSE / "redis" / file).read_text()
        text = re.sub(r"^port 6379$", f"port {port}\nbind 127.0.0.1", text, flags=re.MULTILINE)
        (tmp_path / file).write_text(text.replace("dir /tmp", f"dir {tmp_path}"))
    environment = {**os.environ, "REDIS_PASSWORD": "secret"}
    command = ["sh", str(tmp_path / "start.sh")]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        once = Retry(NoBackoff(), 0)
        with (
            redis.Redis(port=port, password="secret", retry=once) as client,
            redis.Redis(port=port, retry=once) as stranger,
        ):
            poll(client.ping, "redis answers")
            with pytest.raises(redis.AuthenticationError):
                stranger.ping()
            said = client.config_get("*")
        assert said["maxmemory-policy"] == "noeviction"
        assert (said["save"], said["appendonly"], said["min-replicas-to-write"]) == ("", "no", "0")
        # A replica that was away for a minute of 100 mono rooms gets what it missed.
        assert int(said["repl-backlog-size"]) >= 60 * 100 * 96_000
        assert "secret" not in Path(f"/proc/{process.pid}/cmdline").read_text()
    finally:
        process.terminate()
        process.wait(timeout=10)
