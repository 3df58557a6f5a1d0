"""Origins that are filled from sisters, and sisters that answer in ways of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from contracts.position import Position
from contracts.take import TakeEvent, TakeKey
from origin.fill import start_filling
from origin.service import Origin
from origin.sisters import Sister
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from tests import takes
from tests.origins import KEY, TAKE, RunningOrigin, running

GRID = Grid(5)
HEADER = takes.header()
INIT = init_segment(HEADER.settings, HEADER.settings.renditions[0])
LIST = f"/publish/{KEY.room}/{TAKE}"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def begin(origin: Origin, key: TakeKey = KEY) -> None:
    origin.put_take(key, HEADER)
    origin.put_init(key, "64k", INIT)


def play(
    origin: Origin,
    start: tuple[int, int],
    stop: tuple[int, int],
    *,
    unit: bytes = b"\x01" * 8,
    key: TakeKey = KEY,
) -> None:
    begin(origin, key)
    for position in takes.positions(GRID, Position(*start), Position(*stop)):
        origin.put_part(key, "64k", *position, takes.part(GRID, *position, unit))


def served(origin: Origin, key: TakeKey = KEY) -> dict[int, bytes]:
    line = origin.line(*key, "64k").window
    return {msn: b"".join(parts) for msn in range(line.next.msn + 1) if (parts := line.parts_held(msn))}


def state(origin: Origin, key: TakeKey = KEY) -> dict[str, object]:
    return origin.state(key).to_json()


async def fill(room: RunningOrigin, *urls: str, patience: float = 5.0, total: float = 10.0) -> None:
    await start_filling(room.origin, [Sister(url) for url in urls], patience=patience, total=total)


@asynccontextmanager
async def bad_sister(window: Handler, offer: Origin) -> AsyncIterator[str]:
    """Somebody who lists what `offer` has, and answers in her own way when asked for a window."""

    async def listing(_: web.Request) -> web.Response:
        takes = [{"room": KEY.room, "take": TAKE, "age": 0.0, **state(offer)}]
        return web.json_response({"takes": takes})

    async with other_sister(listing, window) as url:
        yield url


@asynccontextmanager
async def other_sister(listing: Handler, window: Handler) -> AsyncIterator[str]:
    """Somebody who answers in her own way."""
    app = web.Application()
    app.router.add_get("/publish", listing)
    app.router.add_get(f"{LIST}/window", window)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def a_sister() -> AsyncIterator[RunningOrigin]:
    """Segments 0 to 8, a gap at 3, a chapter, and two parts of segment 9."""
    async with running() as room:
        play(room.origin, (0, 0), (3, 0))
        room.origin.put_gap(KEY, "64k", 3)
        play(room.origin, (4, 0), (9, 2))
        room.origin.put_event(KEY, TakeEvent(96_000, 0, "chapter", title="Öne"))
        yield room
