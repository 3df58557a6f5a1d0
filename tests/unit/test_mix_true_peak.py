"""True peaks, against sines whose height is known and against exact interpolation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pipeline.mix.true_peak import OVERSHOOT, REACH, TAPS, between, sample_peak, true_peak
from tests.audio import speechlike


def column(sound: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(sound, np.float32)[:, None]


def db(ratio: float) -> float:
    return 20 * math.log10(ratio)


def faded(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """Soft edges: a sine that begins at once has higher peaks there than itself."""
    edge = 0.5 - 0.5 * np.cos(np.pi * np.arange(500) / 500)
    sound[:500] *= edge
    sound[-500:] *= edge[::-1]
    return sound


def test_a_sine_is_as_high_as_it_is_between_the_samples() -> None:
    # A quarter of the sampling rate, 45 degrees off: all samples lie 3 dB under the peaks.
    sine = faded(np.sin(np.pi / 2 * np.arange(4800) + np.pi / 4))
    assert db(sample_peak(column(sine))) == pytest.approx(-3.01, abs=0.01)
    assert db(true_peak(column(sine))) == pytest.approx(0.1, abs=0.1)


@pytest.mark.parametrize("hertz", [50.0, 997.0, 5000.0, 11_990.0, 15_990.0, 19_900.0])
def test_no_sine_reads_lower_than_it_is(hertz: float) -> None:
    sine = faded(0.5 * np.sin(2 * np.pi * hertz / 48_000 * np.arange(48_000)))
    # EBU Tech 3341 allows -0.4 to +0.2 dB up to fs/4; near fs/2 the filter itself reads 0.6 dB too much.
    assert -0.02 <= db(true_peak(column(sine)) / 0.5) <= (0.25 if hertz < 12_000 else 0.7)


def test_speech_reads_as_exact_interpolation_says() -> None:
    speech = speechlike(48_000, 3) / 32_768
    spectrum = np.zeros(8 * 24_000 + 1, complex)
    spectrum[:24_001] = np.fft.rfft(speech)
    exact = float(np.abs(np.fft.irfft(spectrum) * 8).max())
    assert db(true_peak(column(speech)) / exact) == pytest.approx(0.0, abs=0.2)


def test_the_spaces_beside_an_impulse_are_where_it_is_seen() -> None:
    pcm = np.zeros((40, 1), np.float32)
    pcm[20] = 1.0
    spaces = between(pcm)
    # Value i is the space before sample i + REACH.
    assert sorted(np.argsort(spaces)[-2:] + REACH) == [20, 21]


def test_of_two_channels_the_higher_one_counts() -> None:
    noise = np.random.default_rng(1).standard_normal((500, 2)).astype(np.float32)
    each = [between(noise[:, [channel]]) for channel in range(2)]
    assert np.array_equal(between(noise), np.maximum(*each))
    assert true_peak(noise) == max(true_peak(noise[:, [0]]), true_peak(noise[:, [1]]))


def test_a_sample_that_is_no_number_is_not_overlooked() -> None:
    for place in range(3):
        pcm = np.zeros((3, 1), np.float32)
        pcm[place] = np.nan
        assert math.isnan(sample_peak(pcm))


def test_some_sound_overshoots_as_far_as_is_promised() -> None:
    pcm = np.zeros((3 * TAPS, 1), np.float32)
    best = 0.0
    # The signs of the taps of one of the phases: all of them add up.
    for signs in np.ndindex(*(2,) * 4):
        outer = [1 - 2 * sign for sign in signs]
        for middle in ([1, 1], [1, -1]):
            half = [(-1) ** place for place in range(5)]
            pattern = [*[outer[0] * x for x in half], *[outer[1] * x for x in middle]]
            pattern += [outer[2] * x for x in half]
            pcm[TAPS : 2 * TAPS, 0] = np.float32(outer[3]) * np.asarray(pattern, np.float32)
            best = max(best, true_peak(pcm))
    assert best == pytest.approx(OVERSHOOT, rel=1e-6)


@given(arrays(np.float32, (24, 1), elements=st.floats(-1, 1, width=32)))
def test_no_sound_overshoots_further(pcm: NDArray[np.float32]) -> None:
    assert true_peak(pcm) <= OVERSHOOT * sample_peak(pcm) * (1 + 1e-5)
