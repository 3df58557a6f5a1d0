"""What became of a room during a fault: counted, in one line for people, and compared with what was said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.grid import Grid
from tests.cluster.ear import Heard
from tests.soak.hearing import WINDOW, Pcm, decode, listen

# A window with a join is hardly worse than what one encoder that is never restarted makes of it.
_WORST_MARGIN_DB = -1.5
_BIT_RATE = 64_000


@dataclass(frozen=True)
class Verdict:
    """`samples_lost` are in gaps, were never got, or sound unlike what was said. Stalls are in seconds."""

    fault: str
    samples: int
    samples_lost: int
    stalls: tuple[float, ...]
    discontinuities: int
    errors_5xx: int
    conflicts: int

    @property
    def longest_stall(self) -> float:
        """The longest time for which a player would have stood still."""
        return max(self.stalls, default=0.0)

    def __str__(self) -> str:
        return (
            f"{self.fault}: {self.samples} samples heard, {self.samples_lost} lost; "
            f"{len(self.stalls)} stalls, longest {self.longest_stall:.2f}, in all {sum(self.stalls):.2f} s; "
            f"{self.discontinuities} discontinuities, {self.errors_5xx} × 5xx, {self.conflicts} conflicts"
        )


def verdict(fault: str, heard: Heard, said: Pcm | None, directory: Path, *, conflicts: int = 0) -> Verdict:
    """Judge what was `heard`; with what was `said`, if all of it should be there."""
    grid = Grid(5)
    missing = heard.missing()
    lost = sum(grid.stop_sample(each) - grid.start_sample(each) for each in missing)
    samples = sum(grid.stop_sample(each) - grid.start_sample(each) for each in heard.parts)
    if said is not None and not missing:
        lost += _unlike(heard, said, directory)
    return Verdict(
        fault,
        samples,
        lost,
        tuple(heard.stalls()),
        heard.discontinuities,
        sum(count for status, count in heard.statuses.items() if status >= 500),
        conflicts,
    )


def _unlike(heard: Heard, said: Pcm, directory: Path) -> int:
    """Samples of windows that do not sound like what was said; all of them, where time ran differently."""
    recording = decode(heard.write(directory / f"{heard.take}.mp4"))
    result = listen(said, recording, _BIT_RATE, skip=WINDOW)
    if result.drift:
        return len(recording)
    return int(np.sum(result.margin_db < _WORST_MARGIN_DB)) * WINDOW + result.noisy_pauses * WINDOW
