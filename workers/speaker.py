"""A connected speaker: source, channel strip, and the task that reads its connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Generic, TypeVar

from contracts.access import Grant
from contracts.errors import LongwaveError
from pipeline.mix.strip import Strip
from workers.intake import Intake
from workers.live import SpeakerKind
from workers.source import Source
from workers.voice_source import VoiceSource

S_co = TypeVar("S_co", bound=Source, covariant=True)


class Speaker(Generic[S_co]):
    """One connection into `room`. `name` None is anybody, whom no event names.

    The connection's task feeds its source and waits in here; the ticker pulls blocks and may close it.
    `heard_ns` is when a sign of life came last; None as long as there was none.
    """

    def __init__(
        self, room: str, name: str | None, kind: SpeakerKind, grant: Grant, source: S_co, strip: Strip
    ) -> None:
        self.room = room
        self.name = name
        self.kind = kind
        self.grant = grant
        self.source = source
        self.strip = strip
        self.take: str | None = None
        self.heard_ns: int | None = None
        self.closed: LongwaveError | None = None
        # The mixer holds a block of it that is not on the bus yet.
        self.held = False
        self._waiter: asyncio.Future[None] | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def muted(self) -> bool:
        """By the host, or by itself."""
        return self.strip.muted or self.source.muted

    def stir(self) -> None:
        """Let the connection's task look again: there may be room, or all may have been played."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def stirred(self) -> None:
        """Wait until something may have changed."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def played(self) -> None:
        """Wait until everything that arrived is on the bus."""
        while self.held or not self.source.drained:
            await self.stirred()

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


class PcmSpeaker(Speaker[Intake]):
    """One that sends s16le bytes, cut anywhere, and is paced by not being read."""

    _odd = b""

    @property
    def intake(self) -> Intake:
        """Its buffer."""
        return self.source

    @property
    def odd_bytes(self) -> int:
        """Bytes at the end of what was fed so far that are not a whole sample."""
        return len(self._odd)

    @property
    def waits_for_room(self) -> bool:
        """It has sent so far ahead that it is not being read: its silence on the line is our doing."""
        return self.source.room <= 0 or self.source.finished

    def feed(self, data: bytes, now: int) -> None:
        """Bytes that arrived at `now`, in samples of real time."""
        if self._odd:
            data = self._odd + data
        odd = len(data) % (2 * self.source.channels)
        self._odd = data[-odd:] if odd else b""
        self.source.push(data[:-odd] if odd else data, now)

    async def paced(self) -> None:
        """Wait until more of it may be read."""
        while self.source.room <= 0:
            await self.stirred()


class VoiceSpeaker(Speaker[VoiceSource]):
    """One that sends Opus in RTP packets, by WHIP."""
