"""Live senders whose clocks are not ours, in virtual time: who drifts is kept in step, and nobody else."""

import math
from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.drift import MOST, DriftCorrector, DriftEstimator
from workers.intake import Intake

RATE = 48_000
MS = RATE // 1000
MINUTE = 60 * RATE
BLOCK = CHUNK = 960
Wave = Callable[[NDArray[np.int64]], NDArray[np.int16]]

# Four seconds of work at the most, where the machine has nothing else to do.
pytestmark = pytest.mark.timeout(300)


def counting(index: NDArray[np.int64]) -> NDArray[np.int16]:
    """Each sample says which it is."""
    return np.asarray(index % 32_000 + 1, np.int16)


def ticking(index: NDArray[np.int64]) -> NDArray[np.int16]:
    """Once a second of the sender's time a click, in a low buzz."""
    return np.asarray(np.where(index % RATE < 8, 20_000, index % 1_000), np.int16)


def humming(index: NDArray[np.int64]) -> NDArray[np.int16]:
    return np.asarray(np.rint(10_000 * np.sin(2 * np.pi * 440 * index / RATE)), np.int16)


class Take:
    """An intake, and a sender whose clock gains `ppm` on ours. It sends `chunk` samples when it has them."""

    def __init__(self, wave: Wave, *, ppm: float = 0, chunk: int = CHUNK, burst: int = 0) -> None:
        self.intake = Intake(1, BLOCK)
        self.out: list[NDArray[np.int16] | None] = []
        self._rate = 1 + ppm / 1e6
        self._wave, self._chunk, self._burst = wave, chunk, burst
        self._now = 0
        self._sent = 0
        self._arrives: int | None = None
        self._last = 0

    def run(self, until: int, late: Iterator[int] | None = None) -> None:
        """Go on until `until`; chunks take as long as `late` says, and none overtakes another."""
        delays = late or iter(count(0, 0))
        while self._now < until:
            self._now += BLOCK
            while self._arrival(delays) <= self._now:
                index = np.arange(self._sent, self._sent + self._chunk)
                self.intake.push(self._wave(index).tobytes(), self._arrival(delays))
                self._sent += self._chunk
                self._arrives = None
            block = self.intake.pull(self._now)
            self.out.append(None if block is None else block[:, 0])

    def _arrival(self, delays: Iterator[int]) -> int:
        """When the next chunk is here."""
        if self._arrives is None:
            made = math.ceil((self._sent + self._chunk - self._burst) / self._rate)
            self._arrives = max(made + next(delays), self._last)
            self._last = self._arrives
        return self._arrives

    @property
    def sound(self) -> NDArray[np.int16]:
        """What was played from the first sound on; no block of it may be missing."""
        first = next(number for number, block in enumerate(self.out) if block is not None)
        played = [block for block in self.out[first:] if block is not None]
        assert len(played) == len(self.out) - first
        return np.concatenate(played)


def jitter(most: int, seed: int) -> Iterator[int]:
    """Mostly a little late, now and then by `most`."""
    rng = np.random.default_rng(seed)
    while True:
        yield from (int(late) for late in np.minimum(rng.exponential(most / 6, 500), most))


@pytest.mark.parametrize(("ppm", "late"), [(200, 0), (-200, 60 * MS), (450, 60 * MS)])
def test_five_minutes_of_drift_change_the_delay_by_less_than_15_ms(
    ppm: float, late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.intake.FAST_LEAD", 100 * MS)
    take = Take(ticking, ppm=ppm)
    take.run(5 * MINUTE, jitter(late, seed=1))
    sound = take.sound
    clicks = np.flatnonzero(np.diff((sound > 10_000).astype(np.int8)) == 1)
    assert len(clicks) == pytest.approx(300, abs=2)
    # Click i was made at i seconds of the sender's clock, and is heard this much later by ours.
    delays = clicks - np.arange(len(clicks)) * RATE / (1 + ppm / 1e6)
    assert np.ptp(delays) < 15 * MS
    assert abs(np.mean(delays[-60:] - delays[0])) < 5 * MS  # it came back
    assert (take.intake.silence, take.intake.dropped) == (0, 0)
    assert not take.intake.fast  # by 270 ms at most; a lead that was made up for is none


def test_a_small_drift_is_found_within_hours() -> None:
    estimator = DriftEstimator()
    delays = []
    read = 0.0
    for now in range(0, 180 * MINUTE, RATE // 10):
        lead = round(now * 12e-6)
        estimator.heard(lead, round(read), now)
        read += (estimator.ratio - 1) * RATE / 10
        delays.append(lead - read)
    assert max(delays) < 15 * MS
    assert abs(delays[-1]) < 3 * MS
    assert estimator.ratio == pytest.approx(1 + 12e-6, abs=3e-6)


@pytest.mark.parametrize(
    ("chunk", "burst", "late"),
    [
        (CHUNK, 0, 0),
        (4_608, RATE // 2, 60 * MS),
        (1_024, RATE // 2, 0),
        (12_000, RATE // 2, 100 * MS),
        (441, 0, 20 * MS),
    ],
)
def test_a_bursty_sender_whose_clock_is_right_is_not_touched(chunk: int, burst: int, late: int) -> None:
    take = Take(counting, chunk=chunk, burst=burst)
    take.run(3 * MINUTE, jitter(late, seed=4))
    sound = take.sound
    assert np.array_equal(sound, counting(np.arange(len(sound))))


def test_a_network_that_becomes_slower_or_quicker_at_once_is_no_drift() -> None:
    def way() -> Iterator[int]:
        for minute in count():
            yield from [(40 * MS, 0, 0, 70 * MS, 15 * MS)[minute % 5]] * (MINUTE // CHUNK)

    take = Take(counting)
    take.run(6 * MINUTE, way())
    sound = take.sound
    assert np.array_equal(sound, counting(np.arange(len(sound))))


def test_what_is_sent_a_little_faster_than_life_is_no_clock() -> None:
    take = Take(counting, ppm=5_000)
    take.run(2 * MINUTE)
    assert not take.intake.fast
    assert np.array_equal(take.sound, counting(np.arange(len(take.sound))))


def test_a_correction_is_not_heard() -> None:
    take = Take(humming, ppm=200)
    take.run(3 * MINUTE)
    # A sine bends by (2π·440/48000)² of its height at most, and rounding adds 2 at each end; a click is more.
    bend = np.abs(np.diff(take.sound.astype(np.int64), n=2)).max()
    assert bend <= 10_000 * (2 * np.pi * 440 * (1 + MOST) / RATE) ** 2 + 4
    assert take.intake.taken > len(take.sound) + 500  # and there was one


def test_a_drift_that_is_known_is_not_forgotten_when_the_buffer_was_empty() -> None:
    estimator = DriftEstimator()
    for now in range(0, 2 * MINUTE, CHUNK):
        estimator.heard(round(now * 200e-6), 0, now)
    assert estimator.ratio > 1 + 200e-6  # and a little more, for what was not made up yet
    estimator.restart()
    assert estimator.ratio == pytest.approx(1 + 200e-6, abs=1e-6)


def test_sound_that_was_lost_is_not_taken_for_a_delay() -> None:
    take = Take(ticking, ppm=200)
    take.run(2 * MINUTE)
    take.run(2 * MINUTE + 10 * RATE, iter([2 * RATE] * MINUTE))  # from here on it is 2 s later for good
    assert take.intake.silence > RATE
    silence, held = take.intake.silence, take.intake.held
    take.run(5 * MINUTE, iter([2 * RATE] * MINUTE))
    assert take.intake.silence == silence
    assert abs(take.intake.held - held) < CHUNK + 15 * MS


@pytest.mark.parametrize("channels", [1, 2])
def test_a_corrector_gives_what_is_wanted_in_every_channel(channels: int) -> None:
    corrector = DriftCorrector(channels)
    at = played = 0
    for now in range(0, 2 * MINUTE, BLOCK):
        corrector.heard(round(now * 300e-6), now)
        wanted = corrector.wanted(BLOCK)
        wave = humming(np.arange(at, at + wanted))
        pcm = np.stack([wave, -wave][:channels], axis=1)
        block = corrector.read(pcm, BLOCK)
        assert block.shape == (BLOCK, channels)
        assert block.dtype == np.int16
        assert np.array_equal(block, np.stack([block[:, 0], -block[:, 0]][:channels], axis=1))
        at += wanted
        played += BLOCK
    assert corrector.made_up == pytest.approx(120 * RATE * 300e-6, abs=10 * MS)
    assert 0 < at - played - corrector.made_up < 20


def test_a_sender_that_was_corrected_is_heard_to_its_end() -> None:
    take = Take(humming, ppm=200)
    take.run(2 * MINUTE)
    intake = take.intake
    intake.finish()
    rest = []
    while intake.ready:
        block = intake.pull()
        assert block is not None
        rest.append(block)
    assert [len(block) for block in rest[:-1]] == [BLOCK] * (len(rest) - 1)
    assert intake.drained
    assert abs(intake.received - sum(map(len, rest)) - len(take.sound) - 120 * RATE * 200e-6) < 10 * MS
    assert np.abs(np.diff(np.concatenate(rest), axis=0)).max() < 600  # and no step at the very end
