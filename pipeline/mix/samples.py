"""16-bit samples as floats and back, and a place to gather small blocks until they are worth a look."""

from __future__ import annotations

from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

_FULL_SCALE: Final = np.float32(32_768)
_TO_UNIT: Final = np.float32(1 / 32_768)


def to_unit(pcm: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples with full scale 1.0: exact for 16 bits; floats are given back as they are."""
    if pcm.dtype == np.float32:
        return cast("NDArray[np.float32]", pcm)
    return np.multiply(pcm, _TO_UNIT, dtype=np.float32)


def to_int16(pcm: NDArray[np.float32]) -> NDArray[np.int16]:
    """Floats rounded to 16 bits, and clipped. What `to_unit` made comes back exactly."""
    scaled = pcm * _FULL_SCALE
    np.rint(scaled, out=scaled)
    np.clip(scaled, -32_768, 32_767, out=scaled)
    return scaled.astype(np.int16)


class Gathered:
    """Blocks put together until they hold `size` samples: a call of numpy costs more than its samples."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._blocks: list[NDArray[np.int16] | NDArray[np.float32]] = []
        self.samples = 0
        """Gathered so far."""

    def add(self, pcm: NDArray[np.int16] | NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Take (n, channels) in; all of it as floats as soon as it is enough."""
        self._blocks.append(pcm)
        self.samples += len(pcm)
        return self.rest() if self.samples >= self._size else None

    def rest(self) -> NDArray[np.float32] | None:
        """Whatever there is, if there is something."""
        if not self._blocks:
            return None
        # All of one kind: who gathers 16 bits never adds floats.
        together = to_unit(cast("NDArray[np.int16] | NDArray[np.float32]", np.concatenate(self._blocks)))
        self._blocks, self.samples = [], 0
        return together


class Steps:
    """A stream in pieces of any length, given on in whole steps of `size` samples: what is over waits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._gathered = Gathered(size)

    def add(self, pcm: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Take (n, channels) in; all steps that are whole now, in one array, if there are any."""
        together = self._gathered.add(pcm)
        if together is None:
            return None
        whole = len(together) - len(together) % self._size
        if whole < len(together):
            self._gathered.add(together[whole:])
        return together[:whole]
