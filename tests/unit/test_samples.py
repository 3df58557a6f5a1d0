"""The demo sounds as its README says: loud enough, clean, whole, and without a seam."""

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from samples import DEMO
from samples.make_samples import RATE, SEGMENT, limit, loudness, resample
from tests.audio import snr_db


@pytest.fixture(scope="module")
def demo() -> NDArray[np.float64]:
    with av.open(str(DEMO)) as file:
        assert (file.streams.audio[0].rate, file.streams.audio[0].channels) == (RATE, 1)
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)]) / 32_768.0


def test_it_is_about_a_minute_of_whole_segments(demo: NDArray[np.float64]) -> None:
    assert 55 <= len(demo) / RATE <= 75
    assert len(demo) % SEGMENT == 0


def test_it_is_as_loud_as_podcasts_are_and_does_not_clip(demo: NDArray[np.float64]) -> None:
    assert -19 < loudness(demo) < -16
    assert np.max(np.abs(demo)) < 0.9


def test_no_tenth_of_a_second_is_silent(demo: NDArray[np.float64]) -> None:
    blocks = demo.reshape(-1, RATE // 10)
    assert np.min(np.sqrt(np.mean(blocks**2, axis=1))) > 0.001


def test_the_loop_has_no_seam(demo: NDArray[np.float64]) -> None:
    step = abs(demo[0] - demo[-1])
    assert step <= np.max(np.abs(np.diff(demo[-RATE:])))


def test_loudness_is_that_of_the_recommendations_own_example() -> None:
    """A full-scale sine of 997 Hz in one channel is -3.01 LUFS (ITU-R BS.1770-4, annex 1)."""
    sine = np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)
    assert loudness(sine) == pytest.approx(-3.01, abs=0.02)


def test_resampling_keeps_a_tone() -> None:
    rate = 22_050
    seconds = np.arange(rate) / rate
    fade = np.hanning(rate)
    sharp = np.arange(RATE) / RATE
    expected = np.sin(2 * np.pi * 1_000 * sharp) * np.interp(sharp, seconds, fade)
    assert snr_db(expected, resample(np.sin(2 * np.pi * 1_000 * seconds) * fade, rate)) > 60


def test_the_limiter_leaves_what_is_quiet_and_bends_what_is_loud() -> None:
    ramp = np.linspace(-3, 3, 1_001)
    bent = limit(ramp)
    quiet = np.abs(ramp) < 0.4
    assert np.array_equal(bent[quiet], ramp[quiet])
    assert np.max(np.abs(bent)) <= 0.89
    assert np.all(np.diff(bent) >= 0)
