"""The listeners of one process: one clock, one heap of timers, one tally."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from longwave.load.lane import Request, Wire
from longwave.load.listener import Listener
from longwave.load.playlists import PlaylistCache
from longwave.load.server_clock import ServerClock
from longwave.load.tally import Tally
from longwave.load.timers import Timers
from longwave.load.whereabouts import Server

if TYPE_CHECKING:
    from longwave.load.base import Base
    from longwave.load.http_client import Answer, Dialer

_BEAT_SECONDS: Final = 0.01
"""How often it is asked whether the process keeps up."""
_SLICES: Final = 100
"""Each listener is measured every so many beats, which is once a second."""
_SHORTEST_WAIT: Final = 0.002
"""So late may be what could be on time, so that a thousand listeners are not a thousand timers."""
_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Target:
    """What all listen to: a playlist at `base`, or where `listen` (a path) says."""

    base: Base
    path: bytes
    is_media: bool = False
    low_latency: bool = False
    listen: bytes = b""
    same_clock: bool = True
    anywhere: bool = False
    """May servers be loaded that are not on this machine?"""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """When listeners come and go: each `every` seconds one, from `first` on (monotonic), `number` in all."""

    first: float
    every: float
    number: int
    stay: float | None = None

    def at(self, index: int) -> float:
        """When this one comes. Nothing is added up, so nothing drifts."""
        return self.first + index * self.every


class Crowd:
    """Listeners on an event loop. `clock` is monotonic."""

    def __init__(
        self,
        target: Target,
        dialer: Dialer,
        *,
        prefix: bytes = b"",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.target = target
        self.prefix = prefix
        self.clock = clock
        self.tally = Tally()
        self.cache = PlaylistCache()
        self.wire = Wire(clock, dialer, self.tally, {}, {})
        self.timers = Timers(self.tally.time("lag.requests").add)
        self.listeners: list[Listener] = []
        self._server_clock = ServerClock(same=target.same_clock)
        self._released: dict[tuple[str, tuple[int, int]], float] = {}
        self._lag = self.tally.time("lag.loop")
        self._next_beat = 0.0
        self._beats = 0
        self._waking: asyncio.TimerHandle | None = None
        self._random = random.Random()  # noqa: S311 - which server, nothing secret

    # ---- for listeners --------------------------------------------------------------------------------

    def wall(self, now: float) -> float:
        """What the server's wall clock says at `now` (unix seconds)."""
        return now + self._server_clock.ahead

    def choose(self, servers: Sequence[Server]) -> Server | None:
        """One of the servers: of this machine, or any with its owner's word. None where there is none."""
        allowed = [each for each in servers if self.target.anywhere or each[0].is_loopback]
        return self._random.choice(allowed) if allowed else None

    def heard(self, answer: Answer, now: float) -> None:
        """An answer came: what its header says of the server's clock."""
        if not self.target.same_clock:
            self._server_clock.observe(answer.field(b"date"), now)

    def timed(self, request: Request, now: float, *, every: float = 0.0) -> None:
        """Count how long a good answer took from when it was meant to be asked for.

        `every`: the same is asked for at this interval. What a server holds on purpose is counted by how long
        after the first of all listeners here each of them was let go.
        """
        times = self.tally.time
        if not request.waits or request.key is None:
            took = now - request.intended
            if every:
                times(f"latency.{request.kind}").add_with_missed(took, every)
            else:
                times(f"latency.{request.kind}").add(took)
            return
        key = (request.kind, request.key)
        first = self._released.get(key)
        if first is None:
            self._released[key] = first = now
            if len(self._released) > _REMEMBERED:
                del self._released[next(iter(self._released))]
        # Whoever asked when it was there already was not held.
        if request.sent <= first:
            times(f"release.after_first.{request.kind}").add(now - first)

    def abandoned(self, request: Request, now: float, *, every: float = 0.0) -> None:
        """Count what is waited for no longer as if it had come now: it would have taken longer still.

        What a server holds is not late, and so it is not counted.
        """
        if request.waits:
            return
        self.tally.counts[f"abandoned.{request.kind}"] += 1
        self.timed(request, now, every=every)

    def released(self, request: Request, edge: float | None, now: float) -> None:
        """A held playlist was answered, whose media ends at `edge` (the wall clock's instant)."""
        if edge is not None and self.wall(request.sent) < edge:
            self.tally.time(f"release.after_sound.{request.kind}").add(self.wall(now) - edge)

    # ---- the whole ------------------------------------------------------------------------------------

    async def run(self, arrivals: Arrivals, stop: asyncio.Event) -> None:
        """Let them come, listen and go until `stop`; then all leave."""
        if arrivals.number:
            self._arrive(arrivals, 0)
        self._next_beat = max(arrivals.first, self.clock())
        self._wake()
        try:
            await stop.wait()
        finally:
            if self._waking is not None:
                self._waking.cancel()
            for listener in self.listeners:
                listener.end(self.clock())

    def _arrive(self, arrivals: Arrivals, index: int) -> None:
        def come(intended: float) -> None:
            listener = Listener(self, intended)
            self.listeners.append(listener)
            self.tally.counts["arrived"] += 1
            if arrivals.stay is not None:
                self.timers.at(intended + arrivals.stay, listener.leave)
            listener.tune_in(intended)
            if index + 1 < arrivals.number:
                self._arrive(arrivals, index + 1)

        self.timers.at(arrivals.at(index), come)

    def _wake(self) -> None:
        """Do what is due. Beats come at least every 10 ms, so what is new in the heap is never slept over."""
        self.timers.run(self.clock)
        now = self.clock()
        while self._next_beat <= now:
            # Beats that were missed are counted too, each with its own delay.
            self._lag.add(now - self._next_beat)
            self._beat(now)
            self._next_beat += _BEAT_SECONDS
        due = self._next_beat if self.timers.next is None else min(self._next_beat, self.timers.next)
        wait = max(due - self.clock(), _SHORTEST_WAIT)
        self._waking = asyncio.get_running_loop().call_later(wait, self._wake)

    def _beat(self, now: float) -> None:
        self._beats += 1
        slot = self._beats % _SLICES
        for listener in self.listeners[slot::_SLICES]:
            if not listener.gone:
                listener.sample(now)
        if slot == 0:
            self.wire.expire(now)
            self.listeners = [listener for listener in self.listeners if not listener.gone]
