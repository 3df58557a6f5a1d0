"""Where one listener is told to listen: it asks the room, again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from longwave.load.lane import Lane, Request
from longwave.load.retries import Retries
from longwave.load.tiers import Standing

if TYPE_CHECKING:
    from longwave.load.crowd import Crowd
    from longwave.load.http_client import Answer

Follow = Callable[[Standing, float], None]
"""Goes where a room says, at the instant (monotonic) at which it says so."""


class Directions:
    """A listener's questions to `/listen/{room}.json`, on a connection of their own."""

    __slots__ = ("_closed", "_crowd", "_follow", "_lane", "_retries")

    def __init__(self, crowd: Crowd, follow: Follow) -> None:
        self._crowd = crowd
        self._follow = follow
        self._lane = Lane(crowd.wire, self)
        self._retries = Retries(crowd.timers)
        self._closed = False

    def ask(self, intended: float) -> None:
        """Ask; it asks again by itself whenever it is told to, until it is closed."""
        if not self._closed:
            self._lane.ask(Request("listen", self._crowd.target.base, self._path, intended))

    def close(self) -> list[Request]:
        """Ask no more. Returns what was waited for."""
        self._closed = True
        return self._retries.drop() + self._lane.close()

    def done(self, request: Request, answer: Answer, now: float) -> None:
        """An answer, whatever it says."""
        self._crowd.heard(answer, now)
        standing = Standing.read(request.base, answer.body) if answer.status == 200 else None
        if standing is None:
            wrong = "malformed" if answer.status == 200 else f"status {answer.status}"
            self._crowd.tally.counts[f"error.listen.{wrong}"] += 1
            self._retries.later(request, now, self._again)
            return
        self._crowd.timed(request, now)
        self._crowd.timers.at(max(now, request.began + standing.ask_again), self.ask)
        self._follow(standing, now)

    def lost(self, request: Request, _reason: str, now: float) -> None:
        """No answer."""
        self._retries.later(request, now, self._again)

    def _again(self, request: Request, _intended: float) -> None:
        # The token in it may have been renewed meanwhile.
        request.path = self._path
        self._lane.ask(request)

    @property
    def _path(self) -> bytes:
        return self._crowd.prefix + self._crowd.target.listen
