"""How long to wait before trying again: short at first, longer each time, never in step with others."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Delays of `first` seconds, doubling up to `longest`, each shortened by up to half at random."""

    first: float = 0.05
    longest: float = 1.0
    _failures: int = field(init=False, default=0)

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        delay = min(self.longest, self.first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries, guards no secret

    def reset(self) -> None:
        """Something went well."""
        self._failures = 0
