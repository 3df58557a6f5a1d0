"""The pace of all takes: a tick for every block, by an absolute schedule that does not drift."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from pipeline.grid import BLOCK
from workers.take_clock import block_ns

STALLED_NS: Final = 50_000_000
"""So late a tick means that the process stood still, and with it everyone who reads a socket."""
CATCH_UP_NS: Final = 10_000_000_000
"""After a longer stall, what waits in sockets is no longer worth playing before the silence."""
TURNS: Final = 8
"""From the socket to the intake: the selector, the protocol, the task that reads, each a turn of the loop."""


async def ticks(
    clock_ns: Callable[[], int], every_ns: int = block_ns(BLOCK)
) -> AsyncIterator[tuple[int, int]]:
    """Yield (now, how late that is) in nanoseconds, for ever.

    Ticks that were missed are left out: whoever is woken does all that is due by then.
    """
    due_ns = clock_ns()
    while True:
        due_ns += every_ns
        now_ns = clock_ns()
        while now_ns < due_ns:  # again: some loops round a timer down
            await asyncio.sleep((due_ns - now_ns) / 1e9)
            now_ns = clock_ns()
        late_ns = now_ns - due_ns
        due_ns += late_ns // every_ns * every_ns
        yield now_ns, late_ns
