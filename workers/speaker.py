"""A connected sender: its buffer, and the task that reads its connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from contracts.errors import LongwaveError
from pipeline import pcm
from pipeline.grid import BLOCK
from workers.intake import Intake


class Speaker:
    """One connection that brings s16le with `channels` channels into `room`. `name` None is anybody.

    The connection's task feeds it and waits in it; the ticker pulls blocks out of it and may close it.
    """

    def __init__(self, room: str, name: str | None, channels: int, now_ns: int, block: int = BLOCK) -> None:
        self.room = room
        self.name = name
        self.intake = Intake(channels, block)
        self.take: str | None = None
        self.heard_ns = now_ns
        self.closed: LongwaveError | None = None
        self._odd = b""
        self._waiter: asyncio.Future[None] | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def odd_bytes(self) -> int:
        """Bytes at the end of what was fed so far that are not a whole sample."""
        return len(self._odd)

    @property
    def waits_for_room(self) -> bool:
        """It has sent so far ahead that it is not being read: its silence on the line is our doing."""
        return self.intake.room <= 0 or self.intake.finished

    def feed(self, data: bytes, now_ns: int, now: int) -> None:
        """Bytes as they arrived, cut anywhere; `now` is `now_ns` in samples."""
        self.heard_ns = now_ns
        if self._odd:
            data = self._odd + data
        odd = len(data) % (2 * self.intake.channels)
        self._odd = data[-odd:] if odd else b""
        self.intake.push(data[:-odd] if odd else data, now)

    def pull(self, channels: int) -> bytes | None:
        """The block that is due, with as many channels as the take has; None for silence."""
        block = self.intake.pull()
        if block is not None and channels != self.intake.channels:
            block = pcm.to_bytes(pcm.remix(pcm.from_bytes(block, self.intake.channels), channels))
        return block

    def stir(self) -> None:
        """Let the connection's task look again: there may be room, or all may have been played."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def paced(self) -> None:
        """Wait until more of it may be read."""
        while self.intake.room <= 0:
            await self._stirred()

    async def played(self) -> None:
        """Wait until everything that was fed is on the bus."""
        while not self.intake.drained:
            await self._stirred()

    def close(self, error: LongwaveError) -> None:
        """Break off the connection: its task sees `error`. Only the first reason counts."""
        if self.closed is None:
            self.closed = error
            if self._task is not None:
                self._task.cancel()

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """The current task reads the connection in here; raises the error that `close` gives."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a speaker is attached to a task")
        self._check_open()
        self._task = task
        try:
            yield
        except asyncio.CancelledError:
            if self.closed is not None and task.uncancel() == 0:
                self._check_open()
            raise
        finally:
            self._task = None

    def _check_open(self) -> None:
        if self.closed is not None:
            raise self.closed

    async def _stirred(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
