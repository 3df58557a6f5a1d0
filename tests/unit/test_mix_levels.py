"""Rumble, voice activity and levelling of one speaker."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.mix.activity import HANGOVER, Activity
from pipeline.mix.filters import RumbleFilter
from pipeline.mix.leveller import MAX_GAIN_DB, Leveller
from pipeline.mix.loudness import LoudnessMeter
from tests.audio import seeded_noise, speechlike

RATE = 48_000
BLOCK = 240


def unit(pcm: NDArray[np.int16], gain_db: float = 0.0) -> NDArray[np.float32]:
    return (pcm.reshape(-1, 1) / 32768 * 10 ** (gain_db / 20)).astype(np.float32)


def tone(hz: float, seconds: float, level_db: float = -12.0) -> NDArray[np.float32]:
    sound = 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return sound.astype(np.float32)[:, None]


def blocks(pcm: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [pcm[start : start + BLOCK] for start in range(0, len(pcm), BLOCK)]


def rms_db(pcm: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(pcm, dtype=np.float64)) + 1e-20))


# ---- rumble


@pytest.mark.parametrize(("hz", "at_most", "at_least"), [(20, -23, -26), (50, -8, -10), (200, 0, -0.3)])
def test_rumble_is_taken_out_and_voice_is_not(hz: float, at_most: float, at_least: float) -> None:
    sound = tone(hz, 2)
    out = np.concatenate([*map(RumbleFilter(1).process, [sound])])
    assert at_least < rms_db(out[RATE:]) - rms_db(sound[RATE:]) < at_most + 0.01


def test_dc_goes_and_no_cutting_is_heard() -> None:
    sound = tone(300, 1) + np.float32(0.25)
    rumble = RumbleFilter(1)
    pieces = np.concatenate([rumble.process(block) for block in blocks(sound)])
    assert np.array_equal(pieces, RumbleFilter(1).process(sound))
    assert abs(float(pieces[RATE // 2 :].mean())) < 1e-4


# ---- voice activity


def spoken(activity: Activity, pcm: NDArray[np.float32]) -> list[bool]:
    said = []
    for block in blocks(pcm):
        activity.push(block)
        said.append(activity.speaking)
    return said


def test_a_voice_is_noticed_within_a_tenth_of_a_second_and_missed_after_half_a_second() -> None:
    activity = Activity(1)
    noise = unit(seeded_noise(5 * RATE, 1, amplitude=0.001))
    voice = noise.copy()
    voice[2 * RATE : 3 * RATE] += tone(220, 1, -25)
    said = spoken(activity, voice)
    began = said.index(True) * BLOCK
    ended = len(said) * BLOCK - said[::-1].index(True) * BLOCK
    assert 2 * RATE < began <= 2.1 * RATE
    assert 3 * RATE + HANGOVER <= ended <= 3.1 * RATE + HANGOVER
    assert activity.quiet_for == pytest.approx(2 * RATE, abs=RATE // 20)


@pytest.mark.parametrize("gain_db", [0, -20, -30])
def test_a_quiet_speaker_speaks_as_much_as_a_loud_one(gain_db: float) -> None:
    voice = unit(speechlike(10 * RATE, seed=5), gain_db)
    noise = unit(seeded_noise(12 * RATE, 2, amplitude=0.0003))
    noise[: len(voice)] += voice
    said = spoken(Activity(1), noise)
    talk = said[: 10 * RATE // BLOCK]
    assert sum(talk) > 0.9 * len(talk)
    assert not any(said[-RATE // BLOCK :])


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros((4 * RATE, 1), dtype=np.float32),
        np.full((4 * RATE, 1), 0.5, dtype=np.float32),
        unit(seeded_noise(4 * RATE, 3, amplitude=0.0008)),
        tone(12, 4, -28),
    ],
    ids=["silence", "dc", "hiss", "rumble"],
)
def test_noise_is_no_voice(sound: NDArray[np.float32]) -> None:
    said = spoken(Activity(1), sound)
    assert not any(said[RATE // BLOCK :])


def test_a_fan_is_no_voice_once_it_has_been_heard_for_a_while_and_speech_over_it_is() -> None:
    fan = unit(seeded_noise(20 * RATE, 4, amplitude=0.006))
    fan[12 * RATE : 15 * RATE] += tone(200, 3, -22)
    said = np.array(spoken(Activity(1), fan)).reshape(20, -1)
    assert not said[6:12].any()
    assert said[13:15].all()
    assert not said[17:].any()


def test_a_click_is_no_voice() -> None:
    sound = np.zeros((2 * RATE, 1), dtype=np.float32)
    sound[RATE : RATE + 200] = 0.5
    assert not any(spoken(Activity(1), sound))


def test_steady_music_goes_on_being_heard() -> None:
    assert all(spoken(Activity(1), tone(440, 20))[RATE // BLOCK :])


def test_nothing_arriving_is_a_pause() -> None:
    activity = Activity(1)
    activity.push(tone(220, 1))
    assert activity.speaking
    activity.push_silence(HANGOVER)
    assert activity.speaking
    activity.push_silence(BLOCK)
    assert not activity.speaking


# ---- levelling


def levelled(pcm: NDArray[np.float32], target: float = -19.0) -> tuple[NDArray[np.float32], Leveller]:
    activity, leveller = Activity(pcm.shape[1]), Leveller(pcm.shape[1], target)
    out = []
    for block in blocks(pcm):
        activity.push(block)
        out.append(leveller.process(block, voiced=activity.voiced))
    return np.concatenate(out), leveller


def loudness(pcm: NDArray[np.float32]) -> float:
    meter = LoudnessMeter(pcm.shape[1])
    meter.push(pcm)
    assert meter.integrated is not None
    return meter.integrated


def test_a_quiet_and_a_loud_speaker_end_within_three_units_of_each_other() -> None:
    ends = []
    for seed, gain_db in ((7, 0), (7, -20), (8, 6), (9, -10)):
        out, _ = levelled(unit(speechlike(20 * RATE, seed=seed), gain_db))
        ends.append(loudness(out[8 * RATE :]))
    assert max(ends) - min(ends) < 3
    assert np.mean(ends) == pytest.approx(-19, abs=1.5)


def test_stereo_goes_to_its_own_target() -> None:
    voice = np.repeat(unit(speechlike(20 * RATE, seed=7), -15), 2, axis=1)
    out, _ = levelled(voice, -16)
    assert loudness(out[8 * RATE :]) == pytest.approx(-16, abs=1.5)


def test_pauses_are_not_pulled_up() -> None:
    noise = unit(seeded_noise(60 * RATE, 2, amplitude=0.0005))
    voice = noise.copy()
    voice[: 10 * RATE] += unit(speechlike(10 * RATE, seed=7), -12)
    _, after_speech = levelled(voice[: 12 * RATE])
    _, after_pause = levelled(voice)
    assert after_pause.gain_db == pytest.approx(after_speech.gain_db, abs=0.5)


def test_who_leans_back_is_brought_up_again() -> None:
    near = unit(speechlike(15 * RATE, seed=7))
    far = unit(speechlike(40 * RATE, seed=8), -18)
    out, _ = levelled(np.concatenate([near, far]))
    assert loudness(out[35 * RATE :]) == pytest.approx(-19, abs=3)


def test_a_shout_is_turned_down_within_a_second() -> None:
    quiet = unit(speechlike(15 * RATE, seed=7), -30)
    shout = unit(speechlike(4 * RATE, seed=8))
    out, _ = levelled(np.concatenate([quiet, shout]))
    assert loudness(out[17 * RATE :]) < -19 + 5


def test_the_gain_is_bounded_and_never_jumps() -> None:
    whisper = unit(speechlike(20 * RATE, seed=7), -40)
    whisper += unit(seeded_noise(20 * RATE, 1, amplitude=0.00001))
    out, leveller = levelled(whisper)
    assert leveller.gain_db <= MAX_GAIN_DB
    loud = np.abs(whisper) > 1e-5
    gain_db = 20 * np.log10(out[loud] / whisper[loud])
    assert gain_db.max() > 12
    assert np.abs(np.diff(gain_db)).max() < 0.2


def test_silence_and_nonsense_move_nothing() -> None:
    out, leveller = levelled(np.zeros((RATE, 1), dtype=np.float32))
    assert leveller.gain_db == 0
    assert not out.any()
