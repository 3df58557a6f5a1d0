"""Loudness by EBU Tech 3341's own minimum requirements, and beside FFmpeg's meter."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.mix.loudness import LoudnessMeter
from tests.audio import speechlike

RATE = 48_000


def sine(level: float, seconds: float, hz: float = 1000.0, channels: int = 2) -> NDArray[np.float32]:
    """A tone of `level` dBFS (of its peak) in every channel."""
    tone = 10 ** (level / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.repeat(tone.astype(np.float32)[:, None], channels, axis=1)


def measured(*pieces: NDArray[np.float32]) -> LoudnessMeter:
    meter = LoudnessMeter(pieces[0].shape[1])
    for piece in pieces:
        for start in range(0, len(piece), 777):
            meter.push(piece[start : start + 777])
    return meter


@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_tech_3341_cases_1_and_2_a_stereo_tone_is_as_loud_as_its_peak(level: float) -> None:
    meter = measured(sine(level, 20))
    assert meter.integrated == pytest.approx(level, abs=0.1)
    assert meter.momentary == pytest.approx(level, abs=0.1)
    assert meter.short_term == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize(
    ("levels", "seconds", "wanted"),
    [
        ((-36.0, -23.0, -36.0), (10, 60, 10), -23.0),  # case 3: the relative gate
        ((-72.0, -36.0, -23.0, -36.0, -72.0), (10, 10, 60, 10, 10), -23.0),  # case 4: both gates
        ((-26.0, -20.0, -26.0), (20, 20.1, 20), -23.0),  # case 5: no gate at all
    ],
)
def test_tech_3341_cases_3_to_5_the_gates(
    levels: tuple[float, ...], seconds: tuple[float, ...], wanted: float
) -> None:
    meter = measured(*map(sine, levels, seconds))
    assert meter.integrated == pytest.approx(wanted, abs=0.1)


def test_mono_is_three_units_below_the_same_in_both_channels() -> None:
    mono = measured(sine(-23, 5, channels=1)).integrated
    assert mono == pytest.approx(-23 - 3.01, abs=0.05)


def test_low_notes_weigh_less_and_high_ones_more() -> None:
    flat = measured(sine(-23, 5)).integrated
    low = measured(sine(-23, 5, hz=40)).integrated
    high = measured(sine(-23, 5, hz=8000)).integrated
    assert flat is not None
    assert low is not None
    assert high is not None
    assert low < flat - 4
    assert high == pytest.approx(flat + 3.3, abs=0.5)


def test_nothing_is_known_of_silence() -> None:
    meter = LoudnessMeter(1)
    assert meter.integrated is meter.momentary is meter.short_term is None
    meter.push_silence(10 * RATE)
    assert meter.integrated is None
    assert meter.momentary == -math.inf


def test_silence_by_its_length_is_the_same_as_silence_by_its_samples() -> None:
    pieces = (sine(-20, 4), sine(-26, 4))
    short, long = LoudnessMeter(2), LoudnessMeter(2)
    for piece in pieces:
        for meter in (short, long):
            meter.push(piece)
        short.push_silence(7 * RATE)
        long.push(np.zeros((7 * RATE, 2), dtype=np.float32))
    assert short.integrated == pytest.approx(long.integrated, abs=0.01)
    assert short.short_term == long.short_term


@pytest.mark.needs("ffmpeg")
def test_speech_with_pauses_is_as_loud_as_ffmpeg_says(tmp_path: Path) -> None:
    pcm = speechlike(20 * RATE, seed=3)
    (tmp_path / "speech.raw").write_bytes(pcm.tobytes())
    command = ["ffmpeg", "-hide_banner", "-nostats", "-f", "s16le", "-ar", "48000", "-ac", "1"]
    command += ["-i", str(tmp_path / "speech.raw"), "-af", "ebur128", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    theirs = float(said.rpartition("I:")[2].split()[0])
    ours = measured((pcm.reshape(-1, 1) / 32768).astype(np.float32)).integrated
    assert ours == pytest.approx(theirs, abs=0.15)


def test_a_take_of_days_takes_no_more_memory() -> None:
    meter = LoudnessMeter(1)
    for _ in range(40):
        meter.push(sine(-20, 1, channels=1))
    assert meter.integrated == pytest.approx(-23.0, abs=0.05)
    assert len(meter._steps) == 30
    assert meter._pieces._gathered.samples < RATE // 10
