"""Every route with every role, on the app that `longwave serve` runs; and tokens in and out of a real one."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

import origin.app
import workers.http_app
from contracts.access import ACCESS, Grant
from contracts.metrics import Metrics
from contracts.tokens import Keys, TokenGate
from longwave.serve_origin import make_app
from origin.connection import OriginRunner
from origin.http_feed import FeedHandlers
from origin.replays import Replays
from origin.service import Origin, OriginLimits
from storage.disk_objects import DiskObjects
from storage.pooled import Pooled
from storage.rooms import RoomRecord, RoomStore
from storage.stories import Stories
from tests.commands import Commands
from tests.server import Server
from workers.archive.finish import Finisher
from workers.cluster.node import Node
from workers.cluster.view import LocalView
from workers.http_cluster import ClusterHandlers
from workers.http_replays import ReplayHandlers
from workers.ingest import Ingest, IngestSettings
from workers.memory_bus import MemoryHub
from workers.storyteller import Storyteller
from workers.take_keeper import TakeKeeper
from workers.take_store import TakeStore
from workers.whip.http_whip import add_whip_routes
from workers.whip.settings import WhipSettings

TOKEN = "the-admins-s3cret"
SECRET = "of-thirty-two-bytes-at-the-least"
KEYS = Keys({"k": SECRET.encode()})
PAST, FAR = 1_700_000_000, 4_000_000_000
TAKE = "20260101T000000Z-abc234"

ADMIN, HOST, SPEAKER, LISTENER, WORKER = "admin", "host", "speaker", "listener", "publish"
# Written down a second time on purpose: who changes the one table is asked whether it was meant.
GUARDED: Final = {
    "PUT /pcm/{room}": {ADMIN, HOST, SPEAKER},
    "GET /pcm/{room}/ws": {ADMIN, HOST, SPEAKER},
    "POST /whip/{room}": {ADMIN, HOST, SPEAKER},
    "PATCH /whip/{room}/{session}": {ADMIN, HOST, SPEAKER},
    "DELETE /whip/{room}/{session}": {ADMIN, HOST, SPEAKER},
    "GET /rooms/{room}": {ADMIN, HOST, SPEAKER},
    "POST /rooms/{room}/listen-token": {ADMIN, HOST, SPEAKER, LISTENER},
    "PUT /rooms/{room}": {ADMIN, HOST},
    "DELETE /rooms/{room}": {ADMIN, HOST},
    "POST /rooms/{room}/end": {ADMIN, HOST},
    "POST /rooms/{room}/chapters": {ADMIN, HOST},
    "GET /rooms/{room}/replays": {ADMIN, HOST},
    "GET /rooms/{room}/replays/{take}": {ADMIN, HOST},
    "PATCH /rooms/{room}/replays/{take}": {ADMIN, HOST},
    "DELETE /rooms/{room}/replays/{take}": {ADMIN, HOST},
    "POST /rooms/{room}/speakers/{name}/mute": {ADMIN, HOST},
    "POST /rooms/{room}/speakers/{name}/unmute": {ADMIN, HOST},
    "DELETE /rooms/{room}/speakers/{name}": {ADMIN, HOST},
    "PUT /publish/{room}/{take}/{rendition}/{msn}.{part}.m4s": {ADMIN, WORKER},
    "PUT /publish/{room}/{take}/{rendition}/{msn}.m4s": {ADMIN, WORKER},
    "PUT /publish/{room}/{take}/{rendition}/{msn}.gap": {ADMIN, WORKER},
    "PUT /publish/{room}/{take}/{rendition}/init.mp4": {ADMIN, WORKER},
    "PUT /publish/{room}/{take}/events/{event}.json": {ADMIN, WORKER},
    "PUT /publish/{room}/{take}/take.json": {ADMIN, WORKER},
    "POST /publish/{room}/{take}/end": {ADMIN, WORKER},
    "GET /publish/{room}/{take}": {ADMIN, WORKER},
    "DELETE /publish/{room}/{take}": {ADMIN, WORKER},
    "GET /publish/{room}/{take}/window": {ADMIN, WORKER},
    "GET /publish/{room}/{take}/{rendition}/{msn}.m4s": {ADMIN, WORKER},
    "GET /publish": {ADMIN, WORKER},
    "PUT /edges/{name}/listeners": {ADMIN, WORKER},
    "GET /cluster.json": {ADMIN, WORKER},
    "GET /rooms": {ADMIN},
    "HEAD /publish/{room}/{take}": {ADMIN, WORKER},
}
# What a room is heard by is there at signed paths, too.
SIGNED: Final = (
    "/live/{room}/{take}/{rendition}/index.m3u8",
    "/live/{room}/{take}/{rendition}/{msn}.{part}.m4s",
    "/live/{room}/{take}/{rendition}/{msn}.m4s",
    "/live/{room}/{take}/{rendition}/init.mp4",
    "/live/{room}/index.m3u8",
    "/replay/{room}/{take}/{rendition}/{fragment}.mp4",
    "/replay/{room}/{take}/{rendition}/init.mp4",
    "/replay/{room}/{take}/{rendition}/index.m3u8",
    "/replay/{room}/{take}/index.m3u8",
    "/replay/{room}/{take}/take.json",
    "/replay/{room}/{take}/chapters.json",
    "/replay/{room}/{take}/peaks.json",
    "/replay/{room}/{take}.m4a",
    "/feeds/{room}.xml",
    "/listen/{room}.json",
)
OPEN: Final = {
    "OPTIONS /whip/{room}",
    "OPTIONS /whip/{room}/{session}",
    "OPTIONS /rooms/{room}/listen-token",
    *(
        f"{method} {path}"
        for method in ("GET", "HEAD", "OPTIONS")
        for path in (
            *SIGNED,
            *(f"/p/{{listen}}{path}" for path in SIGNED),
            "/replay/{room}/{take}",
            "/rooms.json",
            "/",
            "/listen/{room}",
            "/speak/{room}",
            "/assets/{name}",
            "/healthz",
            "/readyz",
            "/metrics",
        )
    ),
}
# A body that a route takes, so that what comes back is not about the body.
WANTED_BODY: Final = {
    "PUT /rooms/{room}": b"{}",
    "POST /rooms/{room}/chapters": b'{"title": "One"}',
}


def jwt(role: str, room: str | None = None, expires: int = FAR) -> str:
    return KEYS.sign(Grant(role, room), expires)  # type: ignore[arg-type]


# Who asks: the token, the roles it has in the room `room`, and the status of those whom it does not let in.
PEOPLE: Final[dict[str, tuple[str | None, set[str], int]]] = {
    "nobody": (None, set(), 401),
    "a guess": ("guess", set(), 403),
    "nearly the token": (TOKEN + "x", set(), 403),
    "the token": (TOKEN, {ADMIN}, 403),
    "admin": (jwt("admin"), {ADMIN}, 403),
    "admin of this room": (jwt("admin", "room"), {ADMIN}, 403),
    "admin of another room": (jwt("admin", "other"), set(), 403),
    "host": (jwt("host", "room"), {HOST}, 403),
    "host of another room": (jwt("host", "other"), set(), 403),
    "host of yesterday": (jwt("host", "room", PAST), set(), 403),
    "speaker": (jwt("speaker", "room"), {SPEAKER}, 403),
    "speaker of another room": (jwt("speaker", "other"), set(), 403),
    "speaker of yesterday": (jwt("speaker", "room", PAST), set(), 403),
    "listener": (jwt("listener", "room"), {LISTENER}, 403),
    "listener of another room": (jwt("listener", "other"), set(), 403),
    "listener of yesterday": (jwt("listener", "room", PAST), set(), 403),
    "worker": (jwt("publish"), {WORKER}, 403),
    "worker of this room": (jwt("publish", "room"), {WORKER}, 403),
    "worker of another room": (jwt("publish", "other"), set(), 403),
    "worker of yesterday": (jwt("publish", None, PAST), set(), 403),
    "somebody with another key": (Keys({"k": b"x" * 32}).sign(Grant("admin"), FAR), set(), 403),
}
OF_A_ROOM: Final = {"admin of this room", "worker of this room"}


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[tuple[web.Application, int]]:
    """The app that `longwave serve` makes, on a free port."""
    metrics = Metrics(CollectorRegistry())
    rooms, here = RoomStore(DiskObjects(data)), Origin(OriginLimits(), metrics)
    objects, pooled = DiskObjects(data), Pooled()

    async def look_up(room: str) -> RoomRecord | None:
        return rooms.known(room)

    store = TakeStore(data / "takes")
    keeper = TakeKeeper(store, Storyteller(store, Stories(objects), rooms), metrics)
    ingest = Ingest(MemoryHub(), rooms, keeper, IngestSettings("f"), metrics)
    app = make_app(metrics, TokenGate(TOKEN, KEYS))
    hosts = ReplayHandlers(objects, pooled, Finisher(objects, metrics, clock=time.time))
    workers.http_app.add_routes(app, ingest, rooms, listeners_of=here.listeners, replays=hosts)
    add_whip_routes(app, ingest, WhipSettings(), metrics)
    replays = Replays(objects, pooled, live=here.is_live)
    origin.app.add_routes(app, here, replays=replays)
    FeedHandlers(here, replays, look_up).add_routes(app)
    ClusterHandlers(LocalView(lambda: Node("here"), tuple), rooms).add_routes(app)
    runner = OriginRunner(app, metrics, access_log=None, shutdown_timeout=0.1)
    await ingest.start()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield app, runner.addresses[0][1]
    finally:
        here.drain()
        await ingest.stop()
        await runner.cleanup()
        pooled.close()


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    async with serving(tmp_path) as (_, found):
        yield found


def filled(route: str) -> tuple[str, str]:
    """Method and path, with something in the place of every name."""
    method, path = route.split()
    name = "listen.js" if path.startswith("/assets") else "Ada"
    places = {
        "listen": KEYS.listen.sign("room", FAR),
        "room": "room",
        "take": TAKE,
        "rendition": "64k",
        "msn": "0",
        "part": "0",
        "fragment": "0",
    }
    return method, path.format(**places, event="0-0", session="s", name=name)


async def test_the_app_has_the_routes_of_the_table_and_no_others(tmp_path: Path) -> None:
    async with serving(tmp_path) as (app, _):
        routes = {f"{r.method} {r.resource.canonical}" for r in app.router.routes() if r.resource}
    assert routes == GUARDED.keys() | OPEN
    assert {f"{method} {path}" for method, path in ACCESS} == GUARDED.keys() | OPEN


@pytest.mark.parametrize("who", PEOPLE)
async def test_every_route_with_every_role(port: int, who: str) -> None:
    token, roles, refusal = PEOPLE[who]
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    wrong = []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        for route in sorted(GUARDED.keys() | OPEN):
            method, path = filled(route)
            body = WANTED_BODY.get(route)
            async with http.request(method, path, headers=headers, data=body) as answer:
                got = answer.status if answer.status in {401, 403} else 200
                assert answer.status < 500, route
                if got != 200:
                    assert answer.headers["Cache-Control"] == "no-store"
            # What is about all rooms is not for who may deal with one.
            allowed = route in OPEN or (
                roles & GUARDED[route] and ("{room}" in route or who not in OF_A_ROOM)
            )
            wanted = 200 if allowed else refusal
            if got != wanted:
                wrong.append(f"{route}: {answer.status}, not {wanted}")
    assert not wrong


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"], ids=["at once", "asks first"])
@pytest.mark.parametrize("shown", ["", "Authorization: Bearer guess\r\n"], ids=["nobody", "a guess"])
async def test_nothing_of_a_body_is_wanted_from_who_may_not(port: int, expect: str, shown: str) -> None:
    for route in GUARDED:
        method, path = filled(route)
        if method not in {"PUT", "POST", "PATCH"}:
            continue
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # A body is promised and never sent: who waits for it does not answer.
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n{expect}{shown}\r\n".encode()
        )
        line = await asyncio.wait_for(reader.readline(), 20)
        assert line.split()[1] == (b"403" if shown else b"401"), route
        writer.transport.abort()


# ------------------------------------------------------------ a real server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    env = {"LONGWAVE_TOKEN": TOKEN, "LONGWAVE_KEYS": f"k={SECRET}", "LONGWAVE_LOG_LEVEL": "debug"}
    with Server(tmp_path / "data", env=env) as running:
        yield running


def test_tokens_of_the_command_open_what_they_are_for(server: Server, longwave: Commands) -> None:
    words = ("token", "--role", "host", "--room", "room")
    made = {
        "keys": longwave(*words, env={"LONGWAVE_KEYS": f"k={SECRET}"}),
        "token": longwave(*words, env={"LONGWAVE_TOKEN": TOKEN}),
    }
    for result in made.values():
        assert result.returncode == 0, result.stderr
        token = result.stdout.strip()
        assert result.stdout == token + "\n"
        auth = {"Authorization": f"Bearer {token}"}
        assert server.request("PUT", "/rooms/room", b"{}", auth).status in {200, 201}
        assert server.request("PUT", "/rooms/other", b"{}", auth).status == 403
        assert server.get("/rooms/room", auth).json["you"] == {"role": "host", "name": None}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--role", "host"], "--room"),
        (["--role", "root"], "--role"),
        (["--role", "admin", "--for", "soon"], "--for"),
    ],
)
def test_the_token_command_says_what_is_wrong_in_one_line(
    longwave: Commands, args: list[str], says: str
) -> None:
    result = longwave("token", *args, env={"LONGWAVE_TOKEN": TOKEN})
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_without_a_key_no_token_can_be_made(longwave: Commands) -> None:
    result = longwave("token", "--role", "admin")
    assert result.returncode == 2
    assert "LONGWAVE_KEYS or LONGWAVE_TOKEN" in result.stderr


async def test_no_token_gets_into_the_log(server: Server) -> None:
    speaker = jwt("speaker", "room")
    async with aiohttp.ClientSession(server.url) as http:
        for token in (TOKEN, speaker, "guess-me-not"):
            auth = {"Authorization": f"Bearer {token}"}
            for method, path in [("PUT", "/rooms/room"), ("GET", "/nowhere"), ("POST", "/whip/room")]:
                async with http.request(method, f"{path}?token={token}", data=b"{", headers=auth):
                    pass
        for token in (TOKEN, speaker):
            async with http.ws_connect(f"/pcm/room/ws?speaker=Ada&token={token}") as ears:
                await ears.send_bytes(bytes(19_200))
                await ears.send_str("rubbish")
                assert (await asyncio.wait_for(ears.receive(), 20)).data == 1007
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect("/pcm/room/ws?token=guess-me-not")
    for line in (f"GET /pcm/room/ws?token={TOKEN} HTTP/9\r\n\r\n", f"GET / HTTP/1.1\r\nX {TOKEN}\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
            raw.sendall(line.encode())
            assert b" 400 " in raw.recv(4096)
    assert server.stop() == 0
    log = server.log_path.read_text()
    events = [json.loads(line) for line in log.splitlines()]
    # It was logged: who was dropped and why, but not with what they came.
    assert {event["reason"] for event in events if event["event"] == "speaker dropped"} == {"garbage"}
    for secret in (TOKEN, SECRET, speaker, speaker.rpartition(".")[2], "guess-me-not"):
        assert secret not in log
