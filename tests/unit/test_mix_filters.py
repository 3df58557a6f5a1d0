"""Filters over a stream: those of scipy, sample by sample, however it is cut."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

from pipeline.mix.filters import RumbleFilter, StreamFilter
from pipeline.mix.loudness import k_weighting

RNG = np.random.default_rng(80)
NOISE: NDArray[np.float32] = (0.3 * RNG.standard_normal((48_000, 2))).astype(np.float32)


@pytest.mark.parametrize("make", [RumbleFilter, k_weighting])
@pytest.mark.parametrize("sizes", [[960] * 50, [1] * 200, [7, 960, 1, 2, 3, 4, 480, 20_000, 0, 5]])
def test_any_cutting_gives_the_same_samples(make: type[RumbleFilter], sizes: list[int]) -> None:
    cuts = np.cumsum(sizes)
    whole = make(2).process(NOISE[: cuts[-1]])
    pieces = [*map(make(2).process, np.split(NOISE[: cuts[-1]], cuts[:-1]))]
    assert np.array_equal(np.concatenate(pieces), whole)


def test_the_rumble_filter_is_a_butterworth_high_pass() -> None:
    b, a = butter(2, 80, btype="highpass", fs=48_000)
    expected = lfilter(b, a, NOISE.astype(np.float64), axis=0)
    assert np.abs(RumbleFilter(2).process(NOISE) - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("b", "a"), [([0.5], [1.0, -0.9]), ([1.0, 2.0, 3.0], [1.0]), ([1.0, -1.0], [1.0, -1.8, 0.9, -0.1])]
)
def test_numerator_and_denominator_may_be_of_any_length(b: list[float], a: list[float]) -> None:
    expected = lfilter(b, a, NOISE.astype(np.float64), axis=0)
    assert np.allclose(StreamFilter(np.array(b), np.array(a), 2).process(NOISE), expected, atol=1e-5)


def test_channels_do_not_touch_each_other() -> None:
    left = np.column_stack([NOISE[:, 0], np.zeros_like(NOISE[:, 0])])
    out = RumbleFilter(2).process(left)
    assert not out[:, 1].any()
    assert np.array_equal(out[:, :1], RumbleFilter(1).process(left[:, :1]))


def test_a_server_does_without_the_heavy_half_of_scipy() -> None:
    seen = "import sys, longwave.serve; print(*[name for name in sys.modules if name.startswith('scipy.s')])"
    modules = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout
    assert "scipy.signal" not in modules
    assert "scipy.stats" not in modules
