"""Who gives signs of life, as one Redis shows it, judged by one observer's monotonic clock.

A sign is a number that changes. Only what was watched counts: while Redis is away, or this process itself
stands still, missing signs mean nothing; nor do they right after, when others may not be back yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from workers.redis_bus.keys import EXPIRES_SECONDS, OWNER_TTL_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

DEAD_AFTER: Final = 1.8
"""Seconds without a change of sign, all of them watched: four heartbeats of 0.4 s, and a bit."""
_GRACE: Final = OWNER_TTL_MS / 1000
# Two looks further apart than this are not one watch: heartbeats are read every 0.4 s, and a call that takes
# longer than 0.5 s is given up.
_LONGEST_BLINK: Final = 1.2


class Verdict(Enum):
    """What one Redis says of a node."""

    ALIVE = auto()
    DEAD = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class _Sign:
    value: int
    changed: float


class Watch:
    """The signs in one Redis. `now` is monotonic seconds."""

    def __init__(self) -> None:
        self._signs: dict[bytes, _Sign] = {}
        self._since: float | None = None
        self._looked = 0.0
        self._grace = DEAD_AFTER

    def failed(self) -> None:
        """Redis did not answer."""
        self._since = None
        self._grace = _GRACE

    def observe(self, values: Mapping[bytes, int], now: float) -> None:
        """Redis answered with these signs; whose sign is missing did not change it."""
        if self._since is not None and now - self._looked > _LONGEST_BLINK:
            if self._looked - self._since >= self._grace:
                self._grace = DEAD_AFTER
            self._since = None
        if self._since is None:
            self._since = now
        self._looked = now
        for name, value in values.items():
            sign = self._signs.get(name)
            if sign is None:
                self._signs[name] = _Sign(value, now)
            elif sign.value != value:
                sign.value, sign.changed = value, now

    def verdict(self, name: bytes, now: float) -> Verdict:
        """Whether whoever goes by this name lives."""
        sign = self._signs.get(name)
        if self._since is None or sign is None or now - self._looked > _LONGEST_BLINK:
            return Verdict.UNKNOWN
        quiet = self._looked - max(sign.changed, self._since)
        if quiet < DEAD_AFTER:
            return Verdict.ALIVE if sign.changed > self._since else Verdict.UNKNOWN
        return Verdict.DEAD if self._looked - self._since >= self._grace else Verdict.UNKNOWN

    def forget_stale(self) -> list[bytes]:
        """Forget the names that gave no sign for as long as Redis keeps an untouched take; give them."""
        if self._since is None:
            return []
        since, looked = self._since, self._looked
        stale = [n for n, s in self._signs.items() if looked - max(s.changed, since) >= EXPIRES_SECONDS]
        for name in stale:
            del self._signs[name]
        return stale
