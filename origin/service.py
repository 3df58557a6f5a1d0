"""The origin without HTTP: what workers put (`origin/puts.py`), what listeners ask, how it is.

The HTTP handlers call it, and so does a publisher in the same process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import structlog

from contracts.errors import NotReady
from contracts.metrics import Metrics
from contracts.take import TakeKey
from origin.contents import contents
from origin.journal import Journal
from origin.limits import OriginLimits
from origin.line import Line
from origin.live_take import LiveTake
from origin.puts import Puts
from pipeline.take_window import TakeWindow

__all__ = ["Origin", "OriginLimits"]

log = structlog.get_logger()


class Origin(Puts):
    """All takes of one origin. `clock` is monotonic."""

    def __init__(
        self,
        limits: OriginLimits,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(limits, metrics, clock, journal)
        self.draining = False
        self.being_filled = False
        """Set while windows are taken over from sisters: nothing may be put, and no playlist is right yet."""
        metrics.blocked_listeners.set_function(lambda: self._crowd.blocked)
        metrics.window_bytes.set_function(lambda: self.takes.size)
        metrics.listeners.set_function(lambda: sum(take.listeners() for take in self.takes))
        metrics.live_edge_age.set_function(self._live_edge_age)
        metrics.takes.labels("live").set_function(lambda: self.takes.count(ended=False))
        metrics.takes.labels("ended").set_function(lambda: self.takes.count(ended=True))

    # ---- what listeners ask -----------------------------------------------------------------------------

    # Who is to hear of private takes says so (`private`): all others are shown what there is without them.

    def line(self, room: str, take: str, rendition: str, *, private: bool = False) -> Line:
        """A rendition. Raises NotFound, or BadRequest where `room` cannot be a room's id."""
        return self.takes.line(room, take, rendition, private=private)

    def current(self, room: str, *, private: bool = False) -> LiveTake:
        """The room's newest running take, else the newest that has ended. Raises NotFound or BadRequest."""
        return self.takes.current(room, private=private)

    def find_current(self, room: str, *, private: bool = False) -> LiveTake | None:
        """The same, if there is one."""
        return self.takes.find_current(room, private=private)

    def running(self, room: str, *, private: bool = False) -> LiveTake | None:
        """The room's running take, if there is one."""
        return self.takes.running(room, private=private)

    def live_takes(self) -> list[LiveTake]:
        """Each room's running take that is not private, for the lobby."""
        return self.takes.live()

    def is_live(self, key: TakeKey, *, private: bool = False) -> bool | None:
        """Whether a take goes on, as far as this origin was told; None where it is not in the window."""
        take = self.takes.find(key)
        return None if take is None or take.private > private else not take.window.ended

    def listeners(self, room: str) -> int:
        """How many listen to the room's running take through this origin, as far as can be told."""
        return self.takes.listeners(room)

    def listeners_by_room(self) -> Mapping[str, int]:
        """The same for every room that is live, for heartbeats."""
        return {take.key.room: take.listeners() for take in self.takes.live(private=True)}

    # ---- how it is --------------------------------------------------------------------------------------

    def size(self) -> int:
        """Bytes of media held."""
        return self.takes.size

    @property
    def filling(self) -> bool:
        """Whether the origin, or any take, is being filled."""
        return self.being_filled or any(take.filling for take in self.takes)

    def _live_edge_age(self) -> float:
        now = self.clock()
        return max((now - take.grew for take in self.takes.live(private=True)), default=0.0)

    def refuse_while_filled(self) -> None:
        """Raise NotReady while windows are taken over from sisters."""
        if self.being_filled:
            raise NotReady("this origin is being filled: try again in a moment")

    def degraded(self) -> list[str]:
        """What does not work although live audio does."""
        now = self.clock()
        journal = self._journal.degraded(now) if self._journal else None
        return [trouble for trouble in (journal, self.conflicts.degraded(now)) if trouble is not None]

    def sweep(self, now: float) -> None:
        """Let go of takes that ended one window length ago, or to which nothing was put for so long."""
        for take in [take for take in self.takes if now - take.touched > self.limits.window_seconds]:
            self.discard(take)

    def drain(self) -> None:
        """Turn away everybody who waits, and everybody who would."""
        self.draining = True
        self._crowd.limit = 0
        for take in self.takes:
            take.drain()

    # ---- whole takes: from the journal, from sisters, and away ------------------------------------------

    def replace(self, key: TakeKey, window: TakeWindow, touched: float) -> None:
        """Serve `window`, which holds at least what is here of a take, and write it to the journal anew."""
        before = self.takes.find(key)
        if before is not None:
            before.left()
        take = LiveTake(key, window, self._make_line, touched)
        self.takes.add(take)
        take.opens()
        if self._journal is not None:
            self._journal.rewrite(key, contents(window))

    def discard(self, take: LiveTake) -> None:
        """Let go of a take and of what the journal has of it."""
        self.takes.remove(take)
        take.left()
        log.info("a take has left the window", room=take.key.room, take=take.key.take)
        if self._journal is not None:
            self._journal.remove(take.key)

    def forget(self, key: TakeKey) -> None:
        """Let go of a take that its host deletes, if it is here."""
        take = self.takes.find(key)
        if take is not None:
            self.discard(take)
