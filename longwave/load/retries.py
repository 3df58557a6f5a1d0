"""What a listener asks for again: each thing a second later, and still waited for since it was first due."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from longwave.load.lane import Request
from longwave.load.timers import Timers

_RETRY_SECONDS: Final = 1.0

Ask = Callable[[Request, float], None]
"""Asks once more; it is given the instant at which that was to be done."""


class Retries:
    """Requests that failed, until it is time to ask again. Times are monotonic seconds.

    The same request is asked again, so its `intended` stays what it was: the listener has waited since then.
    """

    __slots__ = ("_timers", "_waiting")

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._waiting: list[Request] = []

    def later(self, request: Request, now: float, ask: Ask) -> None:
        """Ask again in a second."""
        request.tries += 1
        self._waiting.append(request)
        self._timers.at(now + _RETRY_SECONDS, partial(self._due, request, ask))

    def drop(self) -> list[Request]:
        """Ask for none of them any more. Returns them."""
        dropped, self._waiting = self._waiting, []
        return dropped

    def _due(self, request: Request, ask: Ask, intended: float) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
            ask(request, intended)
