"""Real time on a machine that others use, too: who was not let run cannot tell what was late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from longwave.running import running as beside

STOOD_STILL: Final = 0.3
"""Seconds without a turn for this process after which real time was not kept."""
_BEAT = 0.01
_TRIES = 3


class Pulse:
    """How long this process's loop was without a turn, at most, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        """Look until cancelled."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(_BEAT)
            now = time.monotonic()
            self.longest = max(self.longest, now - last - _BEAT)
            last = now


async def in_real_time(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene; if it fails and the machine stood still meanwhile, again, up to three times in all."""
    for left in reversed(range(_TRIES)):
        pulse = Pulse()
        async with beside(pulse.watch(), "pulse"):
            try:
                await scene()
            except AssertionError as error:
                if not left or pulse.longest < STOOD_STILL:
                    error.add_note(f"the machine stood still for {pulse.longest:.2f} s at most")
                    raise
            else:
                return
