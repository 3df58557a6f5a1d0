"""Five speakers in one room: who they are, what each says at which instant, and what it is sent as.

The room's clock counts samples at 48 kHz from an instant 0 that all share. Every 20 s are a cycle::

    0          8     10      12.5     15       17.5     20
    ├─ together ─┤ Eve ─┤ Ada ─┤ Ben ──┤ Cleo ─┤ Dan ──┤    Cleo pauses from 3 to 5, the host mutes Dan
    ├─ Eve is connected ┤                                   at 3 and lets him speak again at 4

What is said in a cycle is said in no other, and can be heard out of the mix (`tests.room_ear`). Voices have
nothing above 5 kHz, so that what is up there was made on the way. Eve comes and goes in the middle of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from tests.audio import RATE, speechlike
from tests.opus import opus_packets
from tests.voices import MS, Network, Sent, spoken

CYCLE: Final = 20 * RATE
VISIT: Final = 10 * RATE
_NOISE: Final = 10 ** (-75 / 20)
_HIGHEST_HZ: Final = 5_000
_EDGE: Final = RATE // 50
_FULL_SCALE: Final = 32_768


class Span(NamedTuple):
    """From one instant to another, which is left out."""

    start: int
    stop: int


@dataclass(frozen=True)
class Voice:
    """A speaker. `alone` is where in every cycle nobody else speaks; `pitch` and `level` are factors.

    Its clock is `ppm` fast. `visits`: connected for the first half of every cycle only.
    """

    name: str
    seed: int
    pitch: float
    alone: Span
    network: Network
    level: float = 1.0
    ppm: int = 0
    dtx: bool = False
    visits: bool = False

    def turns(self, cycle: int) -> list[Span]:
        """When it speaks in a cycle."""
        if self.visits:  # it is heard from the beginning of its visit to the end: in the middle of words
            spans = [(-RATE // 4, VISIT + RATE // 4)]
        else:
            together = [(0, 3 * RATE), (5 * RATE, 8 * RATE)] if self.dtx else [(0, 8 * RATE)]
            spans = [*together, self.alone]
        begin = cycle * CYCLE
        return [Span(max(0, begin + start), begin + stop) for start, stop in spans]

    def visits_until(self, length: int) -> list[Span]:
        """When it is connected in a room that is open for `length` samples."""
        if not self.visits:
            return [Span(0, length)]
        return [Span(start, min(start + VISIT, length)) for start in range(0, length, CYCLE)]

    def says(self, span: Span) -> NDArray[np.float32]:
        """Its words between two instants of the room's clock within one turn, shape (n,); no noise."""
        turn = self._turn(span)
        words = _words(self.seed, self.pitch, turn)
        place = np.arange(span.start - turn.start, span.stop - turn.start) * (1 + self.ppm / 1e6)
        said: NDArray[np.float64] = np.interp(place, np.arange(len(words)), words) * self.level
        return said.astype(np.float32)

    def _turn(self, span: Span) -> Span:
        for cycle in range(max(0, span.start // CYCLE), span.stop // CYCLE + 2):
            for turn in self.turns(cycle):
                if turn.start <= span.start and span.stop <= turn.stop:
                    return turn
        raise ValueError(f"{self.name} does not speak all through {span}")

    def microphone(self, span: Span) -> NDArray[np.int16]:
        """What its sound card, with a clock of its own, delivers between two instants of the room's clock."""
        rate = 1 + self.ppm / 1e6
        first, count = round(span.start * rate), round((span.stop - span.start) * rate)
        sound = np.random.default_rng(self.seed + span.start).standard_normal(count).astype(np.float32)
        sound *= np.float32(_NOISE)
        for cycle in range(span.start // CYCLE, span.stop // CYCLE + 1):
            for turn in self.turns(cycle):
                words = _words(self.seed, self.pitch, turn)
                at = round(turn.start * rate) - first
                begin, end = max(0, at), min(count, at + len(words))
                if begin < end:
                    sound[begin:end] += words[begin - at : end - at]
        pcm: NDArray[np.int16] = np.rint(sound * np.float32(self.level * _FULL_SCALE)).astype(np.int16)
        return pcm

    def sends(self, visit: Span) -> list[Sent]:
        """The packets of a visit; each has the instant at which it leaves."""
        payloads = opus_packets(self.microphone(visit), dtx=self.dtx, effort=1)
        number = self.seed + visit.start
        return spoken(
            payloads,
            at=visit.start,
            ppm=self.ppm,
            sequence=number * 7_919 % 2**16,
            timestamp=number * 104_729 % 2**32,
            ssrc=number,
            dtx=self.dtx,
        )


CAST: Final = (
    Voice("Ada", 11, 1.0, Span(480_000, 600_000), Network(8 * MS, 4 * MS, seed=1), level=0.1),
    Voice("Ben", 12, 0.8, Span(600_000, 720_000), Network(5 * MS, 4 * MS, seed=2), ppm=200),
    Voice("Cleo", 13, 1.35, Span(720_000, 840_000), Network(8 * MS, 4 * MS, seed=3), dtx=True),
    Voice("Dan", 14, 0.9, Span(840_000, 960_000), Network(10 * MS, 10 * MS, loss=0.05, seed=4)),
    Voice("Eve", 15, 1.2, Span(384_000, 480_000), Network(5 * MS, 4 * MS, seed=5), visits=True),
)
"""Ada is 20 dB quieter than the others, Ben's clock is fast, Cleo's encoder sends nothing in pauses, Dan's
network loses 5 % of his packets, and Eve comes and goes."""
MUTED: Final = "Dan"
_MUTED_FOR: Final = Span(3 * RATE, 4 * RATE)


def mutes(length: int) -> list[Span]:
    """When the host mutes `MUTED`, in every cycle."""
    begins = range(0, length - _MUTED_FOR.stop, CYCLE)
    return [Span(begin + _MUTED_FOR.start, begin + _MUTED_FOR.stop) for begin in begins]


_TOGETHER: Final = Span(11 * RATE // 2, 7 * RATE)
_ON_THE_WAY: Final = RATE // 2


def all_speak(length: int) -> list[Span]:
    """When nobody pauses, is muted or has just begun: 1.5 s of every cycle but the first."""
    return [
        Span(begin + _TOGETHER.start, begin + _TOGETHER.stop)
        for begin in range(CYCLE, length - CYCLE // 2 + 1, CYCLE)
    ]


def speaks_alone(voice: Voice, length: int) -> list[Span]:
    """When nobody else speaks, in every cycle, and words of nobody else are on the way."""
    return [
        Span(begin + voice.alone.start + _ON_THE_WAY, begin + voice.alone.stop - _ON_THE_WAY)
        for begin in range(0, length - CYCLE + 1, CYCLE)
    ]


@lru_cache(maxsize=64)
def _words(seed: int, pitch: float, turn: Span) -> NDArray[np.float32]:
    """What is said in a turn, by whom: some more than its length, so that a clock may be fast."""
    count = round((turn.stop - turn.start) * 1.001)
    plain = speechlike(round(count * pitch) + RATE, seed * 100_000 + turn.start // RATE + 1)
    turned = np.interp(np.arange(count) * pitch, np.arange(len(plain)), plain) / _FULL_SCALE
    rise = np.minimum(1.0, np.arange(1, count + 1) / _EDGE)
    low = butter(10, _HIGHEST_HZ, fs=RATE, output="sos")
    return np.asarray(sosfilt(low, turned * np.minimum(rise, rise[::-1])), np.float32)
