"""Looks at rooms in threads: one a room at a time, whoever asks, and a bounded number of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, Generic, TypeVar

from contracts.errors import StorageUnavailable

T = TypeVar("T")

_MOST: Final = 256
"""A storage that hangs must not make a server collect looks for ever."""


class Looks(Generic[T]):
    """Calls `function(room)` in up to `threads` threads of its own."""

    def __init__(self, function: Callable[[str], T], threads: int) -> None:
        self._function = function
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rooms")
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[T]] = {}

    def begin(self, room: str) -> Future[T]:
        """The look at `room` that is under way, or a new one.

        Nobody may cancel it: others wait for it, too. Raises StorageUnavailable where too many are under way,
        and after `close`.
        """
        with self._lock:
            if (there := self._under_way.get(room)) is not None:
                return there
            if len(self._under_way) >= _MOST:
                raise StorageUnavailable(f"the storage is too slow: {_MOST} rooms are looked for already")
            try:
                look = self._pool.submit(self._function, room)
            except RuntimeError:
                raise StorageUnavailable("this server is about to stop") from None
            self._under_way[room] = look
        # Outside of the lock: a look that is over by now calls back at once.
        look.add_done_callback(lambda _: self._done(room))
        return look

    def close(self) -> None:
        """Begin nothing any more. What hangs ends by the storage's own timeouts, and nobody waits for it."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _done(self, room: str) -> None:
        with self._lock:
            self._under_way.pop(room, None)
