"""What an origin holds at most."""

from __future__ import annotations

from dataclasses import dataclass

from origin.line import BLOCK_SECONDS
from pipeline.grid import SAMPLE_RATE, SEGMENT


@dataclass(frozen=True, slots=True)
class OriginLimits:
    """What an origin holds at most. `max_takes` and `max_window_bytes` only keep new takes out."""

    window_seconds: int = 900
    max_takes: int = 1_000
    max_window_bytes: int = 4 * 2**30
    max_blocked: int = 20_000
    block_seconds: float = BLOCK_SECONDS

    @property
    def window_segments(self) -> int:
        """Whole segments that are listed."""
        return max(3, self.window_seconds * SAMPLE_RATE // SEGMENT)
