"""Source to ear: from the instant a beep is spoken to the instant it leaves the listener's loudspeaker.

Used by the end-to-end tests (which assert the sound), the benchmarks and the long runs (which measure). There
are two sources: a program that beeps on a known clock (`measure`), and the microphone of a browser, whose
beeps are found in what it captures (`measure_microphone`).
"""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from playwright.sync_api import Browser

from tests.audio import RATE, TONES_HZ
from tests.e2e.listener import Heard, Listener, listening
from tests.e2e.microphone import Guest, speaking
from tests.e2e.speaker import PERIOD, Speaker
from tests.server import Server

# Time for the page to come from the hold-back, where it starts, to its target.
SETTLE_SECONDS = 8.0
# No beep takes longer: after 4 s the same tone comes again.
_LONGEST = len(TONES_HZ) * PERIOD / RATE


@dataclass(frozen=True)
class SourceToEar:
    """What one listener got: seconds from source to ear of each beep, and what was wrong."""

    latencies: tuple[float, ...]
    stalls: int
    lost: int
    doubled: int

    @property
    def median(self) -> float:
        return float(np.median(self.latencies))

    @property
    def p95(self) -> float:
        return float(np.percentile(self.latencies, 95))

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{len(self.latencies)} beeps: median {self.median:.3f} s, p95 {self.p95:.3f} s, "
            f"{self.stalls} stalls, {self.lost} lost, {self.doubled} doubled"
        )


class Source(Protocol):
    """Where beeps come from."""

    def spoken_before(self, beep: Heard) -> tuple[int, float] | None:
        """The last one of that tone when `beep` was heard: its number, and when it was spoken."""


@dataclass(frozen=True)
class OnAClock:
    """Beep *i* is spoken at ``epoch + i * PERIOD / RATE``."""

    epoch: float

    def spoken_before(self, beep: Heard) -> tuple[int, float]:
        tones = len(TONES_HZ)
        due = (beep.at - self.epoch) * RATE / PERIOD
        number = int((due - beep.tone) // tones) * tones + beep.tone
        return number, self.epoch + number * PERIOD / RATE


class AsCaptured:
    """The beeps that a microphone captured. What it did not capture itself is no loss of ours."""

    def __init__(self, beeps: Sequence[Heard]) -> None:
        self._by_tone: dict[int, list[tuple[float, int]]] = {}
        for number, beep in enumerate(beeps):
            self._by_tone.setdefault(beep.tone, []).append((beep.at, number))

    def spoken_before(self, beep: Heard) -> tuple[int, float] | None:
        of_tone = self._by_tone.get(beep.tone, [])
        index = bisect.bisect_right(of_tone, beep.at, key=lambda entry: entry[0]) - 1
        if index < 0 or beep.at - of_tone[index][0] > _LONGEST:
            return None
        at, number = of_tone[index]
        return number, at


def to_ear(source: Source, heard: Sequence[Heard], stalls: int = 0) -> SourceToEar:
    """What became of the source's beeps between the first and the last that was heard."""
    found = [(beep.at, spoken) for beep in heard if (spoken := source.spoken_before(beep)) is not None]
    measured = tuple(at - spoken for at, (_, spoken) in found)
    steps = [after - before for (_, (before, _)), (_, (after, _)) in itertools.pairwise(found)]
    lost = sum(step - 1 for step in steps if step > 1)
    doubled = sum(1 - step for step in steps if step < 1) + len(heard) - len(found)
    return SourceToEar(measured, stalls, lost, doubled)


def latencies(heard: Sequence[Heard], epoch: float) -> list[float]:
    """Source to ear of each beep, in seconds. Ambiguous beyond the time after which tones repeat (4 s)."""
    return [*to_ear(OnAClock(epoch), heard).latencies]


def lost_and_doubled(tones: Sequence[int]) -> tuple[int, int]:
    """How many beeps are missing between, and how many are repeated among, tones that should count up."""
    steps = [(after - before) % len(TONES_HZ) for before, after in itertools.pairwise(tones)]
    # A step back is a repetition; anything up to half a round ahead is a loss.
    half = len(TONES_HZ) // 2
    lost = sum(step - 1 for step in steps if 1 < step <= half)
    doubled = sum(1 + (len(TONES_HZ) - step) % len(TONES_HZ) for step in steps if step == 0 or step > half)
    return lost, doubled


def measure(
    server: Server, browser: Browser, *, seconds: float, settle: float = SETTLE_SECONDS, parts: int = 10
) -> SourceToEar:
    """One speaker and one listener on `server`, for `seconds` after the page has had `settle` to settle."""
    room = "latency"
    server.request("PUT", f"/rooms/{room}", f'{{"parts": {parts}}}'.encode())
    with Speaker(server.url, room) as speaker:
        server.wait_for_sound(room)
        with listening(browser, f"{server.url}/listen/{room}") as listener:
            heard, stalls = _hear(listener, seconds, settle)
            return to_ear(OnAClock(speaker.epoch), heard, stalls)


def measure_microphone(
    server: Server,
    browser: Browser,
    microphone: Browser,
    *,
    seconds: float,
    settle: float = SETTLE_SECONDS,
    parts: int = 10,
) -> SourceToEar:
    """The same from browser to browser: `microphone` speaks on its page what its microphone beeps.

    A beep is spoken when the browser captures it.
    """
    room = "microphone"
    server.request("PUT", f"/rooms/{room}", f'{{"parts": {parts}}}'.encode())
    with speaking(microphone, f"{server.url}/speak/{room}", ear=True) as guest:
        guest.go_on_air("Ann")
        with listening(browser, f"{server.url}/listen/{room}") as listener:
            heard, stalls = _hear(listener, seconds, settle, guest)
            return to_ear(AsCaptured(guest.beeps()), heard, stalls)


def _hear(
    listener: Listener, seconds: float, settle: float, guest: Guest | None = None
) -> tuple[list[Heard], int]:
    """The beeps of `seconds`, and how often the sound ran dry in them, after `settle` seconds of others."""
    listener.wait_for_playback(settle)
    stalls = listener.knows["stalls"]
    listener.forget()  # what was recorded while it settled
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        listener.hear(min(left, 2.0))
        if guest is not None:
            guest.take_in()
    return listener.beeps(), listener.knows["stalls"] - stalls
