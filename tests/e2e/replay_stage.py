"""A server with replays that never happened: the pages as they are, and behind them what a test wants there.

It speaks as the origin does of replays and as the host's API does, and lets a test say that one is being
finished, cannot be reached, or has become another.
"""

from __future__ import annotations

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from origin.pages import Page, load_pages
from origin.respond import respond
from pipeline.replay.peaks import Peaks, peaks_json
from tests import programs

RATE = 48_000
TAKE = "20260703T170000Z-ab2cd3"
EPOCH_US = 1_783_098_000_000_000
SECRET = "a-host's-token"
# Not to be kept: what a test takes away is to be missed at once.
_SOUND = {"Content-Type": "audio/mp4", "Cache-Control": "no-store"}


@dataclass
class Made:
    """One replay. Times in seconds; `sound` is its m4a; `trouble` (status, headers) is answered instead.

    With `cut` no more of the sound than so many bytes can be had: then the connection breaks.
    """

    sound: Path
    seconds: float
    room: str = "evening"
    take: str = TAKE
    room_title: str = "Evening talk"
    title: str = ""
    chapters: list[tuple[float, str]] = field(default_factory=list)
    speakers: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    gaps: list[tuple[float, float]] = field(default_factory=list)
    published: bool = True
    live: bool = False
    trouble: tuple[int, dict[str, str]] | None = None
    cut: int | None = None
    quiet: float = 1.0

    @property
    def shown_title(self) -> str:
        return self.title or f"{self.room_title}, 3 July 2026"

    @property
    def record(self) -> dict[str, Any]:
        """`take.json`."""
        return {
            "room": self.room,
            "take": self.take,
            "room_title": self.room_title,
            "epoch_us": EPOCH_US,
            "samples": samples(self.seconds),
            "speakers": [
                {
                    "name": name,
                    "joined": [[samples(spans[0][0]), samples(spans[-1][1])]],
                    "spoke": [[samples(a), samples(b)] for a, b in spans],
                    "muted": [],
                }
                for name, spans in self.speakers.items()
            ],
            "chapters": [],
            "loudness": None,
            "gaps": [
                {"from": samples(a), "to": samples(b), "why": "the power was out"} for a, b in self.gaps
            ],
        }

    @property
    def chapters_json(self) -> dict[str, Any]:
        return {
            "version": "1.2.0",
            "title": self.shown_title,
            "chapters": [{"startTime": at, "title": title} for at, title in self.chapters],
        }

    @property
    def peaks(self) -> dict[str, object]:
        """As loud as speech is, in phrases; what a room sounds like where nobody speaks."""
        pixels = round(self.seconds * 10)
        rng = np.random.default_rng(7)
        phrase = np.convolve(rng.random(pixels + 30), np.hanning(31) / 15, "same")[:pixels]
        loud = (phrase - phrase.min()) / max(1e-9, float(np.ptp(phrase))) * rng.uniform(0.25, 1, pixels)
        for at, _ in self.chapters[1:]:
            loud[max(0, round(at * 10) - 15) : round(at * 10)] = 0.02
        top = np.clip(loud * 120 * self.quiet, 0, 127).astype(np.int8)
        records = np.stack((np.ones(pixels, np.int8), -top, top), axis=1)
        return peaks_json(Peaks(records), samples(self.seconds))

    @property
    def for_host(self) -> dict[str, Any]:
        return {
            "room": self.room,
            "take": self.take,
            "state": "ready",
            "title": self.shown_title,
            "published": self.published,
            "chapters": [
                {"sample": samples(at), "seconds": at, "title": title} for at, title in self.chapters
            ],
            "own": {"title": self.title or None, "chapters": None},
        }


class Stage:
    """What is on, and every request for a replay: `(method, path, Authorization)`."""

    def __init__(self) -> None:
        self.replays: dict[tuple[str, str], Made] = {}
        self.edits: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, str | None]] = []
        self.live: dict[str, str] = {}
        self.url = ""
        self._pages: dict[str, Page] = load_pages()

    def show(self, *made: Made) -> None:
        self.replays = {(each.room, each.take): each for each in made}
        self.edits, self.asked, self.live = [], [], {}

    def page(self, made: Made, fragment: str = "") -> str:
        return f"{self.url}/replay/{made.room}/{made.take}{fragment}"

    # ---- answers -------------------------------------------------------------------------------------------

    def add_routes(self, app: web.Application) -> None:
        """What a page may ask for."""
        app.add_routes(
            [
                web.get("/", self._lobby),
                web.get("/listen/{room}", self._listen),
                web.get("/assets/{name:.+}", self._asset),
                web.get("/rooms.json", self._list),
                web.get("/replay/{room}/{take:[^/.]+}", self._replay),
                web.get("/replay/{room}/{take:[^/.]+}.{name:m4a}", self._kept),
                web.get("/replay/{room}/{take}/{name}", self._kept),
                web.route("*", "/rooms/{room}/replays/{take}", self._host),
            ]
        )

    async def _lobby(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "index.html")

    async def _listen(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "listen.html")

    async def _replay(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, "replay.html")

    async def _asset(self, request: web.Request) -> web.StreamResponse:
        return self._page(request, request.match_info["name"])

    async def _list(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"rooms": self._rooms()})

    def _page(self, request: web.Request, name: str) -> web.StreamResponse:
        return respond(request, self._pages[name].plain)

    def _asked(self, request: web.Request) -> Made | None:
        self.asked.append((request.method, request.path, request.headers.get("Authorization")))
        return self.replays.get((request.match_info["room"], request.match_info["take"]))

    async def _kept(self, request: web.Request) -> web.StreamResponse:
        made = self._asked(request)
        if made is None or (not made.published and not _is_host(request)):
            return web.json_response({"error": "no such replay"}, status=404)
        if made.trouble is not None:
            status, headers = made.trouble
            return web.json_response({"error": "not now"}, status=status, headers=headers)
        name = request.match_info["name"]
        if name == "m4a":
            if made.cut is not None:
                return await _cut_off(request, made.sound.read_bytes(), made.cut)
            return web.FileResponse(made.sound, headers=_SOUND)
        documents = {"take.json": made.record, "chapters.json": made.chapters_json, "peaks.json": made.peaks}
        return web.json_response(documents[name])

    async def _host(self, request: web.Request) -> web.StreamResponse:
        made = self._asked(request)
        if not _is_host(request):
            return web.json_response({"error": "this needs a token"}, status=401)
        if made is None:
            return web.json_response({"error": "no such replay"}, status=404)
        if request.method == "PATCH":
            change = await request.json()
            self.edits.append(change)
            made.title = change.get("title", made.title) or ""
            made.published = change.get("published", made.published)
            if "chapters" in change:
                made.chapters = sorted(
                    (each.get("seconds", each.get("sample", 0) / RATE), each["title"])
                    for each in change["chapters"]
                )
        if request.method == "DELETE":
            del self.replays[made.room, made.take]
            return web.Response(status=204)
        return web.json_response(made.for_host)

    def _rooms(self) -> list[dict[str, Any]]:
        names = {room for room, _ in self.replays} | self.live.keys()
        return [self._room(room) for room in sorted(names)]

    def _room(self, room: str) -> dict[str, Any]:
        mine = [each for each in self.replays.values() if each.room == room and each.published]
        take = self.live.get(room)
        live = {"take": take, "started_at": "2026-07-03T17:00:00Z"} if take else {}
        title = next((each.room_title for each in mine), room)
        return {
            "room": room,
            "title": title,
            "live": take is not None,
            "listen": f"/listen/{room}",
            **live,
            "replays": [
                {
                    "take": each.take,
                    "title": each.shown_title,
                    "started_at": "2026-07-03T17:00:00.000Z",
                    "seconds": each.seconds,
                    "page": f"/replay/{each.room}/{each.take}",
                    "m4a": f"/replay/{each.room}/{each.take}.m4a",
                }
                for each in mine
                if each.trouble is None
            ],
        }


async def _cut_off(request: web.Request, data: bytes, cut: int) -> web.StreamResponse:
    """What lies before byte `cut` of what is asked for, and then nothing: not even an end."""
    start = request.http_range.start or 0
    place = f"bytes {start}-{len(data) - 1}/{len(data)}"
    answer = web.StreamResponse(status=206, headers={**_SOUND, "Content-Range": place})
    answer.content_length = len(data) - start
    await answer.prepare(request)
    await answer.write(data[start:cut])
    if request.transport is not None:
        request.transport.abort()
    return answer


def _is_host(request: web.Request) -> bool:
    return request.headers.get("Authorization") == f"Bearer {SECRET}"


def samples(seconds: float) -> int:
    return round(seconds * RATE)


def tones(path: Path, seconds: float, *hertz: int, rate: int = RATE) -> Path:
    """An m4a of so many seconds of each tone; silence where there is none."""
    each = [f"sine=f={f}:r={rate}:d={seconds}" for f in hertz] or [f"anullsrc=r={rate}:cl=mono:d={seconds}"]
    inputs = [word for source in each for word in ("-f", "lavfi", "-i", source)]
    joined = f"concat=n={len(each)}:v=0:a=1"
    command = [programs.path("ffmpeg"), "-v", "error", "-y", *inputs, "-filter_complex", joined]
    subprocess.run([*command, "-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", path], check=True)
    return path


@contextmanager
def staged() -> Iterator[Stage]:
    """The server, on a free port of this machine, for as long as the block lasts."""
    stage = Stage()
    loop = asyncio.new_event_loop()

    async def begin() -> web.AppRunner:
        app = web.Application()
        stage.add_routes(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = loop.run_until_complete(begin())
    stage.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield stage
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(timeout=20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
