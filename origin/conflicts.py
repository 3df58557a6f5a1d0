"""Other bytes under a name that is taken: refused, counted, and said once for each segment.

The first writer wins and listeners have a whole take; what is lost is that origins are equal. It should not
happen while the workers of a take have equal encoder fingerprints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from contracts.metrics import Metrics
    from contracts.take import TakeKey

log = structlog.get_logger()

# How long it is shown that there was one.
_SHOWN_SECONDS: Final = 60.0
# Renditions with a conflict whose last segment is remembered: more of them are said more than once.
_MAX_REMEMBERED: Final = 4_096


class Conflicts:
    """Those of one origin. Times are the origin's monotonic clock's."""

    def __init__(self, metrics: Metrics) -> None:
        self.count = 0
        """Parts, segments, headers, events and ends that were refused so far."""
        self._metrics = metrics
        self._said: dict[tuple[TakeKey, str], int | None] = {}
        self._last: float | None = None

    def note(self, key: TakeKey, what: str, msn: int | None, reason: str, now: float) -> None:
        """One was refused: of a rendition's segment `msn`, or of something else that `what` names."""
        self.count += 1
        self._last = now
        self._metrics.byte_conflicts.inc()
        name = (key, what)
        if name in self._said and self._said[name] == msn:
            return
        if len(self._said) >= _MAX_REMEMBERED:
            self._said.clear()
        self._said[name] = msn
        log.warning(
            "other bytes are refused: what came first stays",
            room=key.room,
            take=key.take,
            what=what,
            msn=msn,
            reason=reason,
        )

    def degraded(self, now: float) -> str | None:
        """That there was one a short while ago, in a few words, or None."""
        if self._last is None or now - self._last > _SHOWN_SECONDS:
            return None
        return f"conflicts: other bytes were refused {self.count} times"
