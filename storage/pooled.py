"""Blocking calls from an event loop: a bounded number of threads of their own, a bounded number that wait."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from contracts.errors import StorageUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_THREADS: Final = 8
_WAITING: Final = 512
"""Calls that may wait for a thread. A storage that hangs must not make a server collect requests for ever."""


class Pooled:
    """Threads for one storage. When it is slow its own callers wait, and nobody else does."""

    def __init__(self, threads: int = _THREADS, waiting: int = _WAITING) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="storage")
        self._most = threads + waiting
        self._calls = 0

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What `function` returns or raises. One that still waits for a thread is never begun when cancelled.

        Raises StorageUnavailable when too many wait, or after `close`.
        """
        if self._calls >= self._most:
            raise StorageUnavailable(f"the storage is too slow: {self._calls} requests wait for it already")
        context = contextvars.copy_context()
        try:
            future = self._executor.submit(context.run, partial(function, *args, **kwargs))
        except RuntimeError:
            raise StorageUnavailable("this server is about to stop") from None
        # A call counts until its thread is free again, however early its caller has left.
        self._calls += 1
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: self._done(loop))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Begin nothing any more. What has begun ends by its own timeouts, and nobody waits for it here."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _done(self, loop: asyncio.AbstractEventLoop) -> None:
        # In the thread, or in the loop when a call was cancelled before it began; the count is the loop's.
        with contextlib.suppress(RuntimeError):  # the loop is closed, and counts nothing any more
            loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._calls -= 1
