"""That something is new, as a version that can be waited for: nobody is called back, and nobody misses it."""

from __future__ import annotations

import asyncio


class News:
    """A version, and those who wait for another one. One event loop."""

    def __init__(self) -> None:
        self.version = 0
        self._waiters: list[asyncio.Future[None]] = []

    def announce(self) -> None:
        """Grow the version by one and wake everybody."""
        self.version += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self, seen: int) -> int:
        """The version, as soon as it is not `seen`. Cancelling it is always safe."""
        while self.version == seen:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return self.version
