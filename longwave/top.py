"""`longwave top`: all nodes, takes and buses, as a server sees them, again every second."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from longwave.asking import Asking, NoAnswer, Refused, ServerOptions
from longwave.top_view import Shown, render

_EVERY_SECONDS: Final = 1.0
# An answer that comes later tells of another time.
_PATIENCE_SECONDS: Final = 3.0
_PATH: Final = "/cluster.json"
# In a pipe nothing has to fit.
_PIPE: Final = 160


def run_top(options: ServerOptions, *, once: bool, as_json: bool) -> None:
    """Show a cluster until Ctrl-C; once where asked to, or where nobody looks. Raises LongwaveError."""
    console = Console()
    if not console.is_terminal:
        console, once = Console(width=_PIPE), True
    asyncio.run(_top(options, console, once=once, as_json=as_json))


async def _top(options: ServerOptions, console: Console, *, once: bool, as_json: bool) -> None:
    async with Asking(options, seconds=_PATIENCE_SECONDS) as server:
        # A server that cannot be asked at all is an error; one that goes away later is waited for.
        state = await server.ask("GET", _PATH)
        if as_json:
            print(json.dumps(state, indent=2, ensure_ascii=False), flush=True)  # noqa: T201 - the command line
        elif once:
            console.print(render(Shown(state, server.name), console.width))
        else:
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await watch(server, state, console, stop)


async def watch(
    server: Asking,
    state: dict[str, Any],
    console: Console,
    stop: asyncio.Event,
    *,
    clock: Callable[[], float] = time.monotonic,
    every: float = _EVERY_SECONDS,
) -> None:
    """Show `state`, and what the server says from then on, until `stop`. `clock` is monotonic."""
    answered = clock()
    trouble: str | None = None
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while not stop.is_set():
            shown = Shown(state, server.name, trouble, clock() - answered)
            live.update(render(shown, console.width, console.height), refresh=True)
            if await _stopped(stop, every):
                return
            try:
                state = await server.ask("GET", _PATH)
            except (NoAnswer, Refused) as error:
                trouble = error.message
            else:
                answered, trouble = clock(), None


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return False
    return True
