"""A quantile of what a histogram saw in the last half minute: its buckets now, less those of then."""

from __future__ import annotations

from collections import deque
from typing import Final

from prometheus_client import Histogram

_SECONDS: Final = 30.0
_EVERY: Final = 5.0


class RecentQuantile:
    """Quantile `q` of `histogram`, by the upper bounds of its buckets."""

    def __init__(self, histogram: Histogram, q: float) -> None:
        self._histogram = histogram
        self._q = q
        self._seen: deque[tuple[float, dict[float, float]]] = deque()

    def at(self, now: float) -> float | None:
        """The quantile of what was observed lately, as of `now` (monotonic); None where nothing was."""
        counts = _cumulative(self._histogram)
        if not self._seen or now - self._seen[-1][0] >= _EVERY:
            self._seen.append((now, counts))
        while len(self._seen) > 1 and now - self._seen[0][0] > _SECONDS:
            self._seen.popleft()
        before = self._seen[0][1]
        fresh = {bound: count - before.get(bound, 0.0) for bound, count in counts.items()}
        total = max(fresh.values(), default=0.0)
        if total <= 0:
            return None
        finite = [bound for bound in sorted(fresh) if bound != float("inf")]
        return next((bound for bound in finite if fresh[bound] >= self._q * total), finite[-1])


def _cumulative(histogram: Histogram) -> dict[float, float]:
    return {
        float(sample.labels["le"]): sample.value
        for metric in histogram.collect()
        for sample in metric.samples
        if "le" in sample.labels
    }
