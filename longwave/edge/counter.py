"""From gathered lines to listeners and metrics, every quarter of a second. Pure: time is an argument."""

from __future__ import annotations

from typing import Final

from contracts.listeners import MAX_ROOMS, EdgeReport, Tier
from longwave.edge.crowd import Crowds
from longwave.edge.gathering import Gathering
from longwave.edge.lines import parse_access, parse_asked
from longwave.edge.metrics import EdgeMetrics

STEP_SECONDS: Final = 0.25
_FAILED: Final = 500


class EdgeCounter:
    """What one edge's listeners are, as `gathering` tells; `tier` is what the edge is to them.

    Lines of one moment come within `spread` seconds. When none has come for `silence` seconds, nothing is
    said: they may not reach us, and to say that nobody listens would call everybody back.
    """

    def __init__(
        self,
        gathering: Gathering,
        metrics: EdgeMetrics,
        tier: Tier,
        *,
        spread: float = 0.0,
        silence: float | None = None,
    ) -> None:
        self._gathering = gathering
        self._metrics = metrics
        self._tier = tier
        self._crowds = Crowds(spread)
        self._silence = silence
        self._heard: float | None = None
        self._now = 0.0
        self._rooms: dict[str, int] = {}
        self._dropped = 0

    def step(self, now: float) -> None:
        """Read what has come since the last step."""
        lines = self._gathering.take()
        self._now = now
        if lines:
            self._heard = now
        for line, times in lines.items():
            access = parse_access(line)
            if access is not None:
                self._metrics.answered(access, times)
                self._crowds.add(access, times, now)
            elif asked := parse_asked(line):
                failures = sum(status >= _FAILED for status in asked)
                self._metrics.totals.add_origins(len(asked) * times, failures * times)
        self._rooms = self._crowds.sizes(now)
        self._metrics.listeners.set(sum(self._rooms.values()))
        self._metrics.dropped.inc(self._gathering.dropped - self._dropped)
        self._dropped = self._gathering.dropped

    def report(self) -> EdgeReport | None:
        """What origins are told, of the largest rooms if there are too many; None where nothing is known."""
        if self._silence is not None and (self._heard is None or self._now - self._heard >= self._silence):
            return None
        rooms = self._rooms
        if len(rooms) > MAX_ROOMS:
            rooms = dict(sorted(rooms.items(), key=lambda each: -each[1])[:MAX_ROOMS])
        return EdgeReport(self._tier, rooms)
