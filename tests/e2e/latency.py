"""Source to ear: from the instant a beep is spoken to the instant it leaves the listener's loudspeaker.

Used by the end-to-end tests (which assert the sound), the benchmarks and the long runs (which measure).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from playwright.sync_api import Browser

from tests.audio import RATE, TONES_HZ
from tests.e2e.listener import Heard, listening
from tests.e2e.speaker import PERIOD, Speaker
from tests.server import Server

# Time for the page to come from the hold-back, where it starts, to its target.
SETTLE_SECONDS = 8.0


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


def spoken_at(heard: Heard, epoch: float) -> float:
    """When the beep was spoken: the last time before it was heard that its tone was due."""
    tones = len(TONES_HZ)
    due = (heard.at - epoch) * RATE / PERIOD
    beep = int((due - heard.tone) // tones) * tones + heard.tone
    return epoch + beep * PERIOD / RATE


def latencies(heard: Sequence[Heard], epoch: float) -> list[float]:
    """Source to ear of each beep, in seconds. Ambiguous beyond the time after which tones repeat (4 s)."""
    return [beep.at - spoken_at(beep, epoch) for beep in heard]


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
    with Speaker(server.url, room) as speaker, listening(browser, f"{server.url}/listen/{room}") as listener:
        listener.wait_for_playback(settle)
        stalls = listener.knows["stalls"]
        listener.hear(1.0)  # what was recorded while it settled
        begin = len(listener.beeps())
        listener.hear(seconds)
        heard = listener.beeps()[begin:]
        lost, doubled = lost_and_doubled([beep.tone for beep in heard])
        measured = tuple(latencies(heard, speaker.epoch))
        return SourceToEar(measured, listener.knows["stalls"] - stalls, lost, doubled)
