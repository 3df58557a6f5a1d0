"""The clock of a live take: the wall clock is read once, at the epoch, and monotonic time ever after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pipeline.grid import BLOCK, SAMPLE_RATE

_SECOND_NS: Final = 1_000_000_000


def block_ns(block: int) -> int:
    """The length of a block of `block` samples in nanoseconds."""
    return _SECOND_NS * block // SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Clocks:
    """The two clocks of a process: monotonic nanoseconds, and microseconds of UTC.

    Its owners write `block` samples at once: a part leaves with the block that completes it, so shorter ones
    cost time of the processor and save time of the listener. It divides `BLOCK`.
    """

    monotonic_ns: Callable[[], int] = time.monotonic_ns
    wall_us: Callable[[], int] = lambda: time.time_ns() // 1000
    block: int = BLOCK


@dataclass(frozen=True, slots=True)
class TakeClock:
    """Says which blocks of a take are over. `zero_ns` is the monotonic instant of sample 0.

    `block` is how many samples the owner writes at once; it divides `BLOCK`.
    """

    zero_ns: int
    block: int = BLOCK

    @classmethod
    def resumed(cls, epoch_us: int, wall_us: int, now_ns: int, block: int = BLOCK) -> TakeClock:
        """The clock of a take that began in another process, whose monotonic time is gone."""
        return cls(now_ns - (wall_us - epoch_us) * 1000, block)

    def blocks_over(self, now_ns: int) -> int:
        """How many blocks have sounded: block k is due at `zero_ns` + (k + 1) blocks."""
        return max(0, now_ns - self.zero_ns) // block_ns(self.block)


def real_samples(now_ns: int) -> int:
    """Monotonic time in samples: what an intake measures arrivals with."""
    return now_ns * SAMPLE_RATE // _SECOND_NS
