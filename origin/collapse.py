"""Work that many want at once is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(slots=True)
class _Shared(Generic[T]):
    task: asyncio.Task[T]
    waiting: int = 0


class Collapse(Generic[K, T]):
    """Concurrent calls for one thing share one piece of work, and its result or error.

    It goes on while anybody waits for it, and is cancelled when the last of them has left.
    """

    def __init__(self) -> None:
        self._running: dict[K, _Shared[T]] = {}

    async def run(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` gives, or what it is already about to give."""
        shared = self._running.get(key)
        if shared is None:
            shared = self._running[key] = _Shared(asyncio.create_task(work()))
            shared.task.add_done_callback(lambda _: self._forget(key, shared))
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done():
                # Whoever comes now begins anew, and does not join what is being cancelled.
                self._forget(key, shared)
                shared.task.cancel()

    def _forget(self, key: K, shared: _Shared[T]) -> None:
        if self._running.get(key) is shared:
            del self._running[key]
