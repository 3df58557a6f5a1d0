"""Automatic levelling: every speaker reaches the mix as loud as every other, whatever the microphone.

The loudness of the *voice* is followed, not that of the pauses: K-weighted steps of 100 ms in which
somebody was heard. Loud steps move the estimate at once (it is a mean of energies), quiet ones slowly. The
gain follows with a bounded slope, so that nobody hears it turn, and stands still while nobody speaks, so
that noise is never pulled up.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SAMPLE_RATE
from pipeline.mix.loudness import STEP, k_weighting, lufs
from pipeline.mix.samples import Gathered

MAX_GAIN_DB: Final = 30.0
"""As much as a whisper far from the microphone needs; beyond it is only noise."""
MIN_GAIN_DB: Final = -20.0
_MEMORY_STEPS: Final = 50
"""Voiced steps of memory, 5 s: less pumps with sentences, more leaves whoever leans back too quiet."""
_GATE: Final = 10.0
"""A step this far below the estimate is the end of a word..."""
_FORGET_DB: Final = 0.15
"""... or somebody has moved away: the estimate comes down by so much a step, 1.5 dB a second."""
_UP_DB: Final = 12.0
_DOWN_DB: Final = 24.0
"""The gain's steepest slopes in decibels a second: too loud hurts at once, too quiet is noticed later."""


class Leveller:
    """Brings a voice of `channels` channels to `target` LUFS, which is -16 for stereo and -19 for mono."""

    def __init__(self, channels: int, target: float) -> None:
        self._target = target
        self._weighting = k_weighting(channels)
        self._unheard = Gathered(STEP)
        self._voiced = False
        self._energy = 0.0
        self._steps = 0
        self._wanted_db = 0.0
        self.gain_db = 0.0
        """The gain in use, in decibels."""

    def process(self, pcm: NDArray[np.float32], *, voiced: bool) -> NDArray[np.float32]:
        """Level (n, channels) samples; `voiced` says that a voice was heard in the last of them."""
        self._voiced |= voiced
        self._listen(pcm)
        if self.gain_db == self._wanted_db:
            return pcm if self.gain_db == 0 else pcm * np.float32(10 ** (self.gain_db / 20))
        before = self.gain_db
        if voiced or self._wanted_db < before:
            seconds = len(pcm) / SAMPLE_RATE
            self.gain_db = min(before + _UP_DB * seconds, max(before - _DOWN_DB * seconds, self._wanted_db))
        # Half a decibel a block at most: a straight line is as good as a curve, and cheap.
        first, last = 10 ** (before / 20), 10 ** (self.gain_db / 20)
        way = np.arange(1, len(pcm) + 1, dtype=np.float32)
        ramp = np.float32(first) + way * np.float32((last - first) / len(pcm))
        return pcm * ramp[:, None]

    def _listen(self, pcm: NDArray[np.float32]) -> None:
        sound = self._unheard.add(pcm)
        if sound is None:
            return
        weighted = self._weighting.process(sound).reshape(-1)
        if self._voiced:
            self._learn(float(np.dot(weighted, weighted)) / len(sound))
        self._voiced = False

    def _learn(self, energy: float) -> None:
        if energy > self._energy * 10 ** (-_GATE / 10):
            self._steps = min(self._steps + 1, _MEMORY_STEPS)
            self._energy += (energy - self._energy) / self._steps
        else:
            self._energy *= 10 ** (-_FORGET_DB / 10)
        self._wanted_db = min(MAX_GAIN_DB, max(MIN_GAIN_DB, self._target - lufs(self._energy)))
