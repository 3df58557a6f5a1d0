"""Lobby, pages and status: what people and their tools ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from contracts.access import guard
from contracts.http import error_middleware
from contracts.metrics import Metrics
from contracts.tokens import TokenGate
from origin.app import Rooms, add_routes
from origin.cache_policy import error_cache_control
from origin.pages import WEB, Page, load_pages
from origin.service import Origin, OriginLimits
from tests.origins import TAKE, RunningOrigin, running, settings
from tests.playlists import blocked, end, samples_to


@asynccontextmanager
async def serving(
    web_files: Path = WEB,
    *,
    title_of: Callable[[str], str | None] = str,
    degraded: Callable[[], list[str]] = list,
) -> AsyncIterator[RunningOrigin]:
    metrics = Metrics(CollectorRegistry())
    origin = Origin(OriginLimits(), metrics)
    app = web.Application(middlewares=[error_middleware(error_cache_control, metrics)])
    pages = load_pages(web_files)
    guard(app, TokenGate())
    add_routes(app, origin, rooms=Rooms(title_of), degraded=degraded, pages=pages)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with ClientSession(skip_auto_headers=["Accept-Encoding"]) as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield RunningOrigin(url, origin, session, settings())
    finally:
        await runner.cleanup()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    files = {
        "web/index.html": "<title>Lobby</title>",
        "web/listen.html": "<title>Player</title>",
        "web/speak.html": "<title>Microphone</title>",
        "web/listen.js": "export {};",
        "web/icons/a.svg": "<svg/>",
        "web/package.json": "{}",
        "web/.hidden": "x",
        "web/node_modules/hls.js/dist/hls.min.mjs": "export default 1;",
        "web/node_modules/other/secret.js": "x",
        "outside.txt": "x",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "web"


# ---- pages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/", "text/html; charset=utf-8", "<title>Lobby</title>"),
        ("/listen/any-room", "text/html; charset=utf-8", "<title>Player</title>"),
        ("/speak/any-room", "text/html; charset=utf-8", "<title>Microphone</title>"),
        ("/assets/listen.js", "text/javascript; charset=utf-8", "export {};"),
        ("/assets/icons/a.svg", "image/svg+xml", "<svg/>"),
        ("/assets/hls.mjs", "text/javascript; charset=utf-8", "export default 1;"),
    ],
)
async def test_pages_and_what_they_load(site: Path, path: str, content_type: str, body: str) -> None:
    async with serving(site) as room:
        answer = await room.get(path)
        assert (answer.status, answer.text) == (200, body)
        assert answer.headers["Content-Type"] == content_type
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert (await room.get(path, If_None_Match=answer.headers["ETag"])).status == 304


async def test_a_page_loads_from_nowhere_else(site: Path) -> None:
    async with serving(site) as room:
        policy = (await room.get("/listen/room")).headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self';")
        assert "http" not in policy
        assert "unsafe" not in policy


def policy_of(pages: dict[str, Page], name: str, directive: str) -> list[str]:
    """The sources of one directive of a page's content security policy."""
    fields = dict(pages[name].plain.headers)
    found = [rule.split() for rule in fields["Content-Security-Policy"].split(";")]
    return next(sources for name, *sources in found if name == directive)


def test_the_player_may_listen_at_the_edges_and_other_pages_may_not() -> None:
    edges = ["https://edge.example/rooms", "https://cdn.example:8443", "https://edge.example/other"]
    pages = load_pages(listen_sources=edges)
    listens = ["https://edge.example", "https://cdn.example:8443"]
    assert policy_of(pages, "listen.html", "connect-src") == ["'self'", *listens]
    assert policy_of(pages, "listen.html", "media-src") == ["'self'", "blob:", *listens]
    assert policy_of(pages, "replay.html", "connect-src") == ["'self'", *listens]
    for name in ("index.html", "speak.html"):
        assert policy_of(pages, name, "connect-src") == ["'self'"]
        assert policy_of(pages, name, "media-src") == ["'self'", "blob:"]


def test_pages_know_where_hosts_and_invitations_are_known() -> None:
    pages = load_pages(server="https://radio.example")
    for name in ("listen.html", "replay.html"):
        assert '<meta name="longwave-server" content="https://radio.example">' in body_of(pages[name])
        assert policy_of(pages, name, "connect-src") == ["'self'", "https://radio.example"]
    assert '<meta name="longwave-server" content="">' in body_of(load_pages()["listen.html"])
    assert pages["listen.html"].plain.etag != load_pages()["listen.html"].plain.etag


def body_of(page: Page) -> str:
    return b"".join(page.plain.chunks).decode()


def test_a_replay_may_come_from_where_it_is_redirected_to() -> None:
    pages = load_pages(media_sources=["https://bucket.example"])
    assert policy_of(pages, "replay.html", "media-src") == ["'self'", "blob:", "https://bucket.example"]
    assert policy_of(pages, "listen.html", "media-src") == ["'self'", "blob:"]


async def test_only_the_speakers_page_may_use_a_microphone(site: Path) -> None:
    async with serving(site) as room:
        allowed = {
            path: "microphone=(self)" in (await room.get(path)).headers["Permissions-Policy"]
            for path in ("/", "/listen/room", "/speak/room")
        }
        assert allowed == {"/": False, "/listen/room": False, "/speak/room": True}


@pytest.mark.parametrize(
    "path",
    [
        "/assets/package.json",
        "/assets/.hidden",
        "/assets/node_modules/other/secret.js",
        "/assets/../outside.txt",
        "/assets/..%2foutside.txt",
        "/assets/%2e%2e/outside.txt",
        "/assets//etc/passwd",
        "/assets/index.html",
        "/assets/",
        "/listen/",
        "/speak/",
        "/assets/speak.html",
        "/nothing",
    ],
)
async def test_nothing_else_has_an_address(site: Path, path: str) -> None:
    async with serving(site) as room:
        answer = await room.get(path)
        assert answer.status == 404
        assert answer.error


async def test_without_hls_js_there_is_none(site: Path) -> None:
    (site / "node_modules/hls.js/dist/hls.min.mjs").unlink()
    async with serving(site) as room:
        assert (await room.get("/assets/hls.mjs")).status == 404
        assert (await room.get("/listen/room")).status == 200


async def test_the_pages_of_the_project_are_there() -> None:
    async with serving() as room:
        for path in ("/", "/listen/room", "/speak/room", "/assets/listen.js", "/assets/style.css"):
            assert (await room.get(path)).status == 200


# ---- lobby -----------------------------------------------------------------------------------------------


async def test_live_rooms_are_listed(site: Path) -> None:
    titles = {"room": "Töwn hall"}
    async with serving(site, title_of=titles.get) as room:
        assert json.loads((await room.get("/rooms.json")).body) == {"rooms": []}
        await room.begin()
        await room.feed((1, 0))
        assert json.loads((await room.get("/rooms.json")).body) == {
            "rooms": [
                {
                    "room": "room",
                    "title": "Töwn hall",
                    "live": True,
                    "take": TAKE,
                    "started_at": "2026-01-01T00:00:00.000Z",
                    "listen": "/listen/room",
                    "playlist": "/live/room/index.m3u8",
                    "listeners": 0,
                    "replays": [],
                }
            ]
        }
        titles.clear()
        assert json.loads((await room.get("/rooms.json")).body) == {"rooms": []}
        titles["room"] = ""
        assert json.loads((await room.get("/rooms.json")).body)["rooms"][0]["title"] == "room"
        await end(room, samples_to((1, 0)))
        assert json.loads((await room.get("/rooms.json")).body) == {"rooms": []}


# ---- status ----------------------------------------------------------------------------------------------


async def test_ready_says_what_does_not_work(site: Path) -> None:
    trouble: list[str] = []
    async with serving(site, degraded=lambda: trouble) as room:
        answer = await room.get("/readyz")
        assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready", "degraded": []})
        assert answer.headers["Cache-Control"] == "no-store"
        trouble.append("reservations: disk full")
        answer = await room.get("/readyz")
        assert (answer.status, json.loads(answer.body)["degraded"]) == (200, trouble)
        assert (await room.get("/healthz")).status == 200


async def test_draining_turns_listeners_away_at_once() -> None:
    async with running() as room:
        await room.begin()
        await room.feed((3, 2))
        held = [await blocked(room, "?_HLS_msn=3&_HLS_part=2") for _ in range(3)]
        room.origin.drain()
        for answer in [*await asyncio.gather(*held), await room.playlist("?_HLS_msn=3&_HLS_part=2")]:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        answer = await room.get("/readyz")
        assert (answer.status, json.loads(answer.body)["status"]) == (503, "draining")
        # What can be answered is.
        assert (await room.playlist()).status == 200
        assert (await room.get("/healthz")).status == 200


async def test_metrics_count_by_row_of_the_cache_table() -> None:
    async with running() as room:
        await room.begin()
        await room.feed((3, 2))
        for path in (
            "index.m3u8",
            "index.m3u8",
            "index.m3u8?_HLS_msn=1",
            "1.m4s",
            "9.m4s",
            "3.0.m4s",
            "init.mp4",
        ):
            await room.get(path)
        request = await blocked(room, "?_HLS_msn=3&_HLS_part=2")
        await room.feed((3, 3))
        await request
        text = (await room.get("/metrics")).text
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    requests = "longwave_http_requests_total"
    assert values[requests, "200", "playlist"] == 2
    assert values[requests, "200", "blocking_playlist"] == 2
    assert values[requests, "200", "segment"] == 1
    assert values[requests, "404", "segment"] == 1
    assert values[requests, "200", "part"] == 1
    assert values[requests, "200", "init"] == 1
    assert values["longwave_takes", "live"] == 1
    assert values["longwave_window_bytes",] > 0
    assert values["longwave_blocked_listeners",] == 0
    assert values["longwave_release_seconds_count",] == 1
    assert values["longwave_publishes_total", "new", "part"] == 18


async def test_an_error_of_ours_shows_no_traceback_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as room:
        await room.begin()
        await room.feed((2, 0))

        def broken(*_: object, **__: object) -> str:
            raise ZeroDivisionError("a secret")

        monkeypatch.setattr("pipeline.take_window.TakeWindow.media_playlist", broken)
        answer = await room.playlist()
        assert answer.status == 500
        assert "logged as" in answer.error
        assert "secret" not in answer.text
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        registry = room.origin.metrics.registry
        assert registry.get_sample_value("longwave_unexpected_errors_total", {"where": "http"}) == 1
