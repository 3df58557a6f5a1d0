"""Voice activity: who is heard to speak, against the noise of the room that the microphone stands in."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SAMPLE_RATE
from pipeline.mix.filters import RumbleFilter
from pipeline.mix.samples import Steps

FRAME: Final = SAMPLE_RATE // 50
"""Samples of a look, 20 ms."""
HANGOVER: Final = SAMPLE_RATE // 2
"""Who speaks goes on speaking through pauses of this length: those between words."""
_ABOVE_NOISE: Final = 9.0
"""Decibels over the noise floor that a voice has."""
_LOWEST: Final = -60.0
"""dBFS under which nothing is a voice."""
_LOUD: Final = -32.0
"""dBFS over which anything is: steady music or applause is not noise, although its floor is high."""
_NOTHING: Final = 1e-12
_ONSET: Final = 2
"""Looks in a row that make a voice; one alone is a click."""
_FLOOR_LOOKS: Final = 200
"""4 s: in so long every speaker pauses for a look or two, and what is left then is the noise."""


class Activity:
    """The voice activity of one speaker. What is pushed may be at any level; DC and rumble do not count."""

    def __init__(self, channels: int) -> None:
        self._filter = RumbleFilter(channels)
        self._looks = Steps(FRAME)
        self._floor: deque[float] = deque([_LOWEST], maxlen=_FLOOR_LOOKS)
        self._row = 0
        self.speaking = False
        """A voice is heard, or was within the last half second."""
        self.voiced = False
        """The last look heard a voice: no pause between words counts."""
        self.quiet_for = 0
        """Samples since a voice was last heard."""
        self.speaks_for = 0
        """Samples since the voice began that is speaking."""

    def push(self, pcm: NDArray[np.float32]) -> None:
        """Take (n, channels) samples in, full scale 1.0."""
        whole = self._looks.add(pcm)
        if whole is not None:
            self.look(self._filter.process(whole))

    def look(self, filtered: NDArray[np.float32]) -> None:
        """Take samples in that have lost their rumble elsewhere, `FRAME` or a multiple of it."""
        frames = filtered.reshape(len(filtered) // FRAME, -1)
        energies = np.einsum("ij,ij->i", frames, frames) / frames.shape[1] + _NOTHING
        for level in 10 * np.log10(energies):
            self._look(float(level))

    def push_silence(self, count: int) -> None:
        """Take `count` samples of nothing in: a pause in what arrives tells nothing of the room's noise."""
        self._row = 0
        self.voiced = False
        self._rest(count)

    def _look(self, level: float) -> None:
        heard = level > _LOUD or (level > _LOWEST and level > min(self._floor) + _ABOVE_NOISE)
        self._floor.append(level)
        if heard:
            self._row += 1
            self.voiced = self._row >= _ONSET
        else:
            self._row = 0
            self.voiced = False
        if self.voiced:
            self.speaks_for += FRAME if self.speaking else _ONSET * FRAME
            self.speaking = True
            self.quiet_for = 0
        else:
            self._rest(FRAME)

    def _rest(self, count: int) -> None:
        self.quiet_for += count
        if self.quiet_for > HANGOVER:
            self.speaking = False
        self.speaks_for = self.speaks_for + count if self.speaking else 0
