"""Loudness as ITU-R BS.1770-5 and EBU Tech 3341 measure it: K-weighted, gated, in LUFS.

Sound is weighted and squared in steps of 100 ms. Four steps are a gating block (400 ms, 75 % overlap),
thirty the short-term window (3 s). Gating blocks are kept as a histogram in tenths of a loudness unit: a
take that runs for days costs the same memory as one of a minute, and since each bin keeps its energy, only
the relative gate is rounded, by less than a tenth.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import SAMPLE_RATE
from pipeline.mix.filters import StreamFilter
from pipeline.mix.samples import Steps

STEP: Final = SAMPLE_RATE // 10
"""Samples of a measuring step, 100 ms."""
ABSOLUTE_GATE: Final = -70.0
"""LUFS; quieter gating blocks are no programme (BS.1770-5, annex 1, equation 4)."""
_RELATIVE_GATE: Final = -10.0
_MOMENTARY_STEPS: Final = 4
_SHORT_TERM_STEPS: Final = 30
_OFFSET: Final = -0.691
# BS.1770-5, tables 1 and 2, for 48 kHz: the head's high shelf, then the revised low-frequency B curve.
_SHELF_B: Final = np.array([1.53512485958697, -2.69169618940638, 1.19839281085285])
_SHELF_A: Final = np.array([1.0, -1.69065929318241, 0.73248077421585])
_RLB_B: Final = np.array([1.0, -2.0, 1.0])
_RLB_A: Final = np.array([1.0, -1.99004745483398, 0.99007225036621])
# Loud enough for anything: ten loudness units above full scale.
_BINS: Final = 800


def k_weighting(channels: int) -> StreamFilter:
    """The filter before every measurement: both stages as one of the fourth order."""
    return StreamFilter(np.convolve(_SHELF_B, _RLB_B), np.convolve(_SHELF_A, _RLB_A), channels)


def lufs(energy: float) -> float:
    """The loudness of a mean square, summed over the channels; -inf for silence."""
    return _OFFSET + 10 * math.log10(energy) if energy > 0 else -math.inf


class LoudnessBin(NamedTuple):
    """Gating blocks of about one loudness: which tenth of a unit, how many of them, and their energy."""

    tenth: int
    blocks: int
    energy: float


class LoudnessMeter:
    """Measures a programme of `channels` channels; left and right weigh the same, and mono is one of them."""

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self._weighting = k_weighting(channels)
        self._pieces = Steps(STEP)
        self._steps: deque[float] = deque(maxlen=_SHORT_TERM_STEPS)
        self._energy = np.zeros(_BINS)
        self._count = np.zeros(_BINS, dtype=np.int64)

    @property
    def momentary(self) -> float | None:
        """LUFS of the last 400 ms; None before there are so many, and -inf in digital silence."""
        return self._mean_of_last(_MOMENTARY_STEPS)

    @property
    def short_term(self) -> float | None:
        """LUFS of the last 3 s; None before there are so many."""
        return self._mean_of_last(_SHORT_TERM_STEPS)

    @property
    def integrated(self) -> float | None:
        """LUFS of the whole programme; None while nothing has been louder than the absolute gate."""
        total = int(self._count.sum())
        if not total:
            return None
        gate = lufs(float(self._energy.sum()) / total) + _RELATIVE_GATE
        first = min(_bin(gate), int(np.flatnonzero(self._count)[-1]))
        return lufs(float(self._energy[first:].sum()) / int(self._count[first:].sum()))

    def snapshot(self) -> tuple[LoudnessBin, ...]:
        """All that `integrated` rests on: some hundred bins, however long the programme is."""
        return tuple(
            LoudnessBin(int(index), int(self._count[index]), float(self._energy[index]))
            for index in np.flatnonzero(self._count)
        )

    def resume(self, bins: Iterable[LoudnessBin]) -> None:
        """Count in what a meter of the same programme had measured before. Raises ValueError on nonsense."""
        for tenth, blocks, energy in bins:
            if not (0 <= tenth < _BINS and blocks > 0 and 0 < energy < math.inf):
                raise ValueError(f"no bin of a loudness meter: {tenth}, {blocks}, {energy}")
            self._count[tenth] += blocks
            self._energy[tenth] += energy

    def push(self, pcm: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Take (n, channels) samples in, full scale 1.0; gives the steps that are whole now, K-weighted."""
        whole = self._pieces.add(pcm)
        if whole is None:
            return None
        weighted = self._weighting.process(whole)
        for step in weighted.reshape(-1, STEP * self._channels):
            self._add(float(np.dot(step, step)) / STEP)
        return weighted

    def push_silence(self, count: int) -> None:
        """Take `count` samples of silence in. A long one costs nothing."""
        # After a second the filter rings no more, and after three no window holds anything else.
        heard = min(count, SAMPLE_RATE + _SHORT_TERM_STEPS * STEP)
        for start in range(0, heard, STEP):
            self.push(np.zeros((min(STEP, heard - start), self._channels), dtype=np.float32))

    def _add(self, energy: float) -> None:
        self._steps.append(energy)
        if len(self._steps) < _MOMENTARY_STEPS:
            return
        block = self._mean(_MOMENTARY_STEPS)
        loudness = lufs(block)
        if loudness > ABSOLUTE_GATE:
            index = _bin(loudness)
            self._energy[index] += block
            self._count[index] += 1

    def _mean_of_last(self, steps: int) -> float | None:
        return lufs(self._mean(steps)) if len(self._steps) >= steps else None

    def _mean(self, steps: int) -> float:
        last = list(self._steps)[-steps:]
        return sum(last) / steps


def _bin(loudness: float) -> int:
    return min(_BINS - 1, max(0, int((loudness - ABSOLUTE_GATE) * 10)))
