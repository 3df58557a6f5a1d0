"""A voice made shorter: where it may be, by how much, and that the joint is not heard."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.voice.splice import LONGEST, SHORTEST, shorten
from tests.audio import speechlike

RATE = 48_000
FRAME = 960


def vowel(pitch: float, n: int = FRAME, start: int = 0) -> NDArray[np.float32]:
    """A sound of 12 harmonics of `pitch` in Hz, shape (n, 1)."""
    time = np.arange(start, start + n) / RATE
    waves = [np.sin(2 * np.pi * pitch * k * time + k * k) / k for k in range(1, 13)]
    return np.asarray(0.1 * np.sum(waves, axis=0)[:, None], np.float32)


def noise(amplitude: float, n: int = FRAME, channels: int = 1) -> NDArray[np.float32]:
    return (np.random.default_rng(2).standard_normal((n, channels)) * amplitude).astype(np.float32)


@cache
def spoken(seed: int) -> NDArray[np.int16]:
    """Three seconds of somebody's speech."""
    return speechlike(3 * RATE, seed)


def largest_step(pcm: NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(pcm, axis=0)).max())


@pytest.mark.parametrize("pitch", [75, 100, 140, 220, 390])
@pytest.mark.parametrize("n", [FRAME, 2 * FRAME])
def test_whole_periods_are_cut_out_of_a_voiced_sound(pitch: float, n: int) -> None:
    shorter = shorten(vowel(pitch, n), LONGEST)
    periods = (n - len(shorter)) * pitch / RATE
    assert SHORTEST <= n - len(shorter) <= LONGEST
    assert periods == pytest.approx(round(periods), abs=0.02)
    # It ends where the sound would have ended, and everything before that is the same vowel.
    right = vowel(pitch, len(shorter))
    assert float(np.abs(shorter - right).max()) < 0.03 * float(np.abs(right).max())


def test_no_more_is_cut_than_is_wanted() -> None:
    assert FRAME - len(shorten(vowel(220), 400)) == 218  # one period; two would be 436
    assert FRAME - len(shorten(np.zeros((FRAME, 1), np.float32), 333)) == 333


@pytest.mark.parametrize(
    "pcm",
    [noise(0.1), np.hstack((vowel(140), noise(0.1))), vowel(140)[:239]],
    ids=["a hiss", "a voice with a hiss on the other side", "too short"],
)
def test_what_does_not_repeat_stays_as_it_is(pcm: NDArray[np.float32]) -> None:
    assert shorten(pcm, LONGEST) is pcm


def test_the_cut_is_made_where_the_sound_repeats() -> None:
    pcm = vowel(140, 2 * FRAME)
    pcm[:600] += noise(0.05, 600)
    shorter = shorten(pcm, LONGEST)
    assert len(shorter) < len(pcm)
    assert np.array_equal(shorter[:600], pcm[:600])


@pytest.mark.parametrize("most", [0, -5, SHORTEST - 1])
def test_a_cut_of_less_than_a_period_is_none(most: int) -> None:
    pcm = vowel(390)
    assert shorten(pcm, most) is pcm


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("amplitude", [0.0, 0.001])
def test_a_pause_loses_as_much_as_is_wanted(amplitude: float, channels: int) -> None:
    for most, cut in ((500, 500), (2_000, LONGEST)):
        assert shorten(noise(amplitude, channels=channels), most).shape == (FRAME - cut, channels)


def test_both_channels_are_cut_at_the_same_place() -> None:
    pcm = np.hstack((vowel(140), -0.5 * vowel(140)))
    shorter = shorten(pcm, LONGEST)
    assert len(shorter) < FRAME
    assert np.allclose(shorter[:, 1], -0.5 * shorter[:, 0], atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 20),
    start=st.integers(0, 2 * RATE),
    n=st.integers(200, 3_000),
    most=st.integers(0, 1_000),
    hiss=st.sampled_from([0.0, 0.0005, 0.003, 0.02]),
)
def test_no_joint_clicks(seed: int, start: int, n: int, most: int, hiss: float) -> None:
    speech = spoken(seed)[start : start + n, None] / 32_768
    pcm = speech.astype(np.float32) + noise(hiss, len(speech))
    shorter = shorten(pcm, most)
    assert largest_step(shorter) <= largest_step(pcm) + 2e-6  # rounding
    assert len(pcm) - len(shorter) <= max(0, min(most, LONGEST))
    assert np.array_equal(shorter[[0, -1]], pcm[[0, -1]])
    assert shorter.dtype == np.float32


def test_a_joint_that_would_click_is_not_made() -> None:
    # A slow rise over a pause: a cut would put its two ends, and so a steeper slope, into one place.
    pcm = np.linspace(-0.003, 0.003, FRAME, dtype=np.float32)[:, None]
    assert shorten(pcm, LONGEST) is pcm


def test_most_of_what_speech_is_made_of_can_be_shortened() -> None:
    speech = speechlike(10 * RATE, seed=3) / 32_768
    frames = speech.astype(np.float32).reshape(-1, FRAME, 1)
    assert sum(len(shorten(frame, LONGEST)) < FRAME for frame in frames) > len(frames) // 2
