"""A level that moves along straight lines, so that sound comes and goes without a click."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Fader:
    """The level of one voice, 0 to 1; it begins at 0."""

    def __init__(self) -> None:
        self.level = 0.0

    def move(self, pcm: NDArray[np.float32], level: float, over: int) -> NDArray[np.float32]:
        """`pcm`, (n, channels), from the present level to `level`, which is reached after `over` samples."""
        if self.level == level:
            return pcm if level == 1.0 else pcm * np.float32(level)
        way = np.minimum(np.arange(1, len(pcm) + 1) / over, 1.0)
        levels = (self.level + (level - self.level) * way).astype(np.float32)
        self.level = float(levels[-1])
        return pcm * levels[:, None]
