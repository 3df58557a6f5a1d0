"""The mixer: every speaker's blocks in, the programme's block before them out.

Taking in a block ahead is what lets a source that breaks off be faded out, and the limiter's gain be down
before a peak is there. It costs one block of latency, and nothing else does.

A 16-bit source that sounds alone and is to stay as it is goes through bit by bit, over full scale or not.
The limiter works as soon as two sound together, or one that is processed.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.grid import BLOCK, SAMPLE_RATE
from pipeline.mix.limiter import Limiter
from pipeline.mix.loudness import STEP, LoudnessMeter
from pipeline.mix.samples import Gathered, to_int16, to_unit
from pipeline.mix.strip import Samples, Strip

_MEASURED_SILENCE: Final = 4 * SAMPLE_RATE
"""Samples after which a silence tells the loudness meter nothing new: its windows hold nothing else."""


@dataclass(frozen=True, slots=True)
class _Announced:
    """The next block, as far as it is known.

    `parts` are the strips' shares and `together` is their sum. `free` is what is not limited: one source
    alone, as it is. Then there is no need of a sum.
    """

    parts: tuple[Samples, ...] = ()
    together: NDArray[np.float32] | None = None
    free: bool = True


_NOTHING: Final = _Announced()


class Mixer:
    """Mixes blocks of `block` samples with `channels` channels.

    `resumed`: the take had sound before. Otherwise what is as it is and sounds first begins with its very
    first sample.
    """

    def __init__(self, channels: int, block: int = BLOCK, *, resumed: bool = False) -> None:
        self.loudness = LoudnessMeter(channels)
        """The programme's, a tenth of a second behind."""
        self._block = block
        self._opening = not resumed
        self._limiter = Limiter(channels, block)
        self._sounding: list[Strip] = []
        self._next = _NOTHING
        self._unheard = Gathered(STEP)
        self._silent_for = _MEASURED_SILENCE

    @property
    def idle(self) -> bool:
        """Nothing is held: when silence goes in, silence comes out."""
        return not self._sounding

    def mix(self, blocks: Sequence[tuple[Strip, Samples | None]]) -> NDArray[np.int16] | None:
        """Take in the next block of every speaker who is there, None for silence; give out the one before.

        A block that is shorter says that its source breaks off inside it. A strip that is not among them any
        more has left, and is faded out like one that breaks off. What is given out has shape
        (block, channels), or is None for silence, and may be an array that came in.

        Raises nothing on account of a speaker: a strip that breaks says so in `Strip.failed` and is silent.
        """
        parts = self._step(blocks)
        now, self._next = self._next, self._announced()
        if self._sounding:
            self._opening = False
        programme = self._programme(parts, now)
        if not self._next.parts:
            self._limiter.reset()
        self._hear(programme)
        return programme

    def flows(self, strip: Strip) -> bool:
        """`strip` is alone and is passed on as it is: `flow` may be used in place of `mix`."""
        return self._next.free and self._limiter.at_rest and self._sounding == [strip] and strip.flows

    def flow(self, strip: Strip, run: NDArray[np.int16]) -> NDArray[np.int16]:
        """`mix` for the whole blocks in a row of a strip that `flows`: as many, from the one before on."""
        programme = strip.flow(run)
        weighted = self._measure(self._unheard.add(programme))
        if weighted is not None:
            strip.flowed(weighted)
        return programme

    def _step(self, blocks: Sequence[tuple[Strip, Samples | None]]) -> list[Samples]:
        """Every strip moves on by a block; what they give out."""
        parts = [strip.step(pcm, opening=self._opening) for strip, pcm in blocks]
        there = [strip for strip, _ in blocks]
        parts += [strip.step(None) for strip in self._sounding if strip not in there]
        self._sounding = [strip for strip in there if strip.coming is not None]
        return [part for part in parts if part is not None]

    def _announced(self) -> _Announced:
        match self._sounding:
            case []:
                return _NOTHING
            case [strip] if strip.exact and strip.coming is not None:
                return _Announced((strip.coming,))
        parts = tuple(part for strip in self._sounding if (part := strip.coming) is not None)
        return _Announced(parts, _sum(parts), free=False)

    def _programme(self, parts: list[Samples], now: _Announced) -> NDArray[np.int16] | None:
        """The sum of `parts`, limited unless it is `free`."""
        if not parts:
            return None
        alone = parts[0]
        if now.free and self._next.free and self._limiter.at_rest and alone.dtype == np.int16:
            return cast("NDArray[np.int16]", alone)
        # Mostly all comes as it was announced.
        same = len(parts) == len(now.parts) and all(map(operator.is_, parts, now.parts))
        together = now.together if same and now.together is not None else _sum(parts)
        return to_int16(self._limiter.process(together, self._next.together, free=now.free))

    def _hear(self, programme: NDArray[np.int16] | None) -> None:
        """Measure the loudness of what is given out."""
        if programme is not None:
            self._silent_for = 0
            self._measure(self._unheard.add(programme))
        elif self._silent_for < _MEASURED_SILENCE:
            self._silent_for += self._block
            self._measure(self._unheard.rest())
            self.loudness.push_silence(self._block)

    def _measure(self, pcm: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if pcm is None else self.loudness.push(pcm)


def _sum(parts: Sequence[Samples]) -> NDArray[np.float32]:
    """Floats have all the headroom there is."""
    together = to_unit(parts[0])
    for part in parts[1:]:
        together = together + to_unit(part)
    return together
