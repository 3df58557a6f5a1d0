"""The mixer: all are heard, one programme goes through bit by bit, and nothing clicks or is over."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.mix.limiter import CEILING
from pipeline.mix.loudness import LoudnessMeter
from pipeline.mix.mixer import Mixer
from pipeline.mix.samples import to_unit
from pipeline.mix.sound import AS_IT_IS, VOICE, Sound
from pipeline.mix.strip import FADE, Samples, Strip
from pipeline.mix.true_peak import true_peak
from tests.audio import seeded_noise, speechlike

BLOCK = 240
RATE = 48_000
FILTERED = Sound(filtered=True)
# What rounding to 16 bits adds.
ROUNDED = 0.6 / 32_768

Pcm = NDArray[np.int16]
Scene = Sequence[tuple[Strip, Samples | None]]


def play(mixer: Mixer, scenes: Sequence[Scene], block: int = BLOCK) -> Pcm:
    """The mix of all `scenes`, from the first one's first sample to the last one's last."""
    blocks = [mixer.mix(scene) for scene in [*scenes, []]][1:]
    channels = next((mixed.shape[1] for mixed in blocks if mixed is not None), 1)
    silence = np.zeros((block, channels), np.int16)
    for mixed in blocks:
        assert mixed is None or (mixed.dtype == np.int16 and mixed.shape == silence.shape)
    return np.concatenate([silence if mixed is None else mixed for mixed in blocks])


def cut(pcm: Samples) -> list[Samples]:
    return [pcm[at : at + BLOCK] for at in range(0, len(pcm), BLOCK)]


def int16(sound: NDArray[np.floating]) -> Pcm:
    pcm: Pcm = np.rint(sound * 32_767).astype(np.int16)[:, None]
    return pcm


def sine(hertz: float, amplitude: float, samples: int, phase: float = 0.0) -> NDArray[np.float64]:
    wave: NDArray[np.float64] = amplitude * np.sin(2 * np.pi * hertz / RATE * np.arange(samples) + phase)
    return wave


def strip(sound: Sound = AS_IT_IS) -> Strip:
    return Strip(1, sound, BLOCK)


@pytest.mark.parametrize("channels", [1, 2])
def test_one_programme_alone_goes_through_bit_by_bit(channels: int) -> None:
    # Every sample value there is, full scale and far over any ceiling.
    rng = np.random.default_rng(1)
    programme = rng.integers(-32_768, 32_768, (100 * BLOCK, channels), np.int16)
    alone = Strip(channels, AS_IT_IS, BLOCK)
    scenes = [[(alone, block)] for block in cut(programme)]
    alone.finished = True  # its last block is its end: no fade
    assert np.array_equal(play(Mixer(channels, BLOCK), scenes), programme)


def test_one_programme_alone_is_not_even_copied() -> None:
    mixer, alone = Mixer(1, BLOCK), strip()
    blocks = cut(int16(sine(440, 1.0, RATE)))
    assert mixer.mix([(alone, blocks[0])]) is None
    for before, block in pairwise(blocks):
        assert mixer.mix([(alone, block)]) is before


def test_the_end_of_a_body_inside_a_block_is_its_last_sample() -> None:
    mixer, alone = Mixer(1, BLOCK), strip()
    body = int16(np.full(5 * BLOCK + 100, 0.9))
    scenes: list[Scene] = [[(alone, block)] for block in cut(body)]
    mixer_out = []
    for index, scene in enumerate([*scenes, [(alone, None)], []]):
        alone.finished = index >= 4
        mixer_out.append(mixer.mix(scene))
    heard = np.concatenate([block for block in mixer_out if block is not None])
    assert np.array_equal(heard[: len(body)], body)
    assert not heard[len(body) :].any()


def test_who_begins_a_take_is_not_faded_in_and_who_joins_one_is() -> None:
    loud = int16(np.full(2 * BLOCK, 0.5))
    for resumed in (False, True):
        member = strip()
        out = play(Mixer(1, BLOCK, resumed=resumed), [[(member, block)] for block in cut(loud)])
        assert (out[0, 0] == loud[0, 0]) is not resumed
    mixer = Mixer(1, BLOCK)
    first, second = strip(), strip()
    out = play(mixer, [[(first, loud[:BLOCK])], [], [], [(second, loud[:BLOCK])]])
    assert out[0, 0] == loud[0, 0]
    assert abs(int(out[3 * BLOCK, 0])) < 10


def test_two_who_are_quiet_enough_are_added_to_the_last_bit() -> None:
    one, two = seeded_noise(RATE, 1, amplitude=0.02)[:, None], seeded_noise(RATE, 2, amplitude=0.02)[:, None]
    first, second = strip(), strip()
    scenes = [[(first, a), (second, b)] for a, b in zip(cut(one), cut(two), strict=True)]
    assert np.array_equal(play(Mixer(1, BLOCK), scenes)[:-BLOCK], (one + two)[:-BLOCK])


def test_silence_is_none_and_costs_nothing() -> None:
    mixer, member = Mixer(1, BLOCK), strip()
    block = int16(sine(440, 0.5, BLOCK))
    assert mixer.idle
    assert mixer.mix([]) is None
    assert mixer.mix([(member, None)]) is None
    assert mixer.idle
    assert mixer.mix([(member, block)]) is None
    held = [mixer.idle]
    assert mixer.mix([(member, None)]) is not None
    held.append(mixer.idle)
    assert held == [False, True]
    assert mixer.mix([(member, None)]) is None


@pytest.mark.parametrize("block", [240, 960])
@pytest.mark.parametrize("sound", [AS_IT_IS, VOICE])
def test_ten_who_shout_at_once_are_never_over(sound: Sound, block: int) -> None:
    samples = RATE
    speech = [np.clip(speechlike(samples, seed) / 9_000.0, -1, 1) for seed in range(10)]
    shouts = [shout.astype(np.float32)[:, None] for shout in speech]
    strips = [Strip(1, sound, block) for _ in shouts]
    scenes = [
        [(member, shout[at : at + block]) for member, shout in zip(strips, shouts, strict=True)]
        for at in range(0, samples - block, block)
    ]
    out = to_unit(play(Mixer(1, block), scenes, block))
    assert CEILING * 0.95 < true_peak(out) <= CEILING + ROUNDED


def test_a_voice_alone_is_not_over_either() -> None:
    voice = sine(300, 1.4, RATE).astype(np.float32)[:, None]
    member = strip(FILTERED)
    assert true_peak(to_unit(play(Mixer(1, BLOCK), [[(member, block)] for block in cut(voice)]))) <= CEILING


def test_from_alone_to_together_and_back_the_gain_is_smooth() -> None:
    # A constant shows every change of gain as a step.
    programme, other = int16(np.full(4 * RATE, 1.0)), int16(np.full(RATE, 0.5))
    alone, guest = strip(), strip()
    scenes: list[Scene] = [[(alone, block)] for block in cut(programme)]
    for index, block in enumerate(cut(other)):
        scenes[100 + index] = [*scenes[100 + index], (guest, block)]
    out = play(Mixer(1, BLOCK), scenes)[: -2 * BLOCK, 0].astype(np.float64) / 32_767
    join, leave = 100 * BLOCK, 100 * BLOCK + RATE
    assert (out[: join - BLOCK] == 1.0).all()
    assert out[join + BLOCK : leave - BLOCK] == pytest.approx(CEILING, abs=0.02)
    assert (out[leave + RATE :] == 1.0).all()
    # A gain from 1 to 0.6 within 5 ms, and the other's fades: no step of more than 1 %.
    assert np.abs(np.diff(out)).max() < 0.01


def test_after_a_pause_the_programme_is_no_longer_held_down() -> None:
    loud, quiet = int16(np.full(BLOCK, 0.9)), int16(np.full(BLOCK, 0.3))
    one, two = strip(), strip()
    together: Scene = [(one, loud), (two, loud)]
    out = play(
        Mixer(1, BLOCK), [together, together, [], [(one, quiet), (two, quiet)], [(one, quiet), (two, quiet)]]
    )
    assert true_peak(to_unit(out)) <= CEILING + ROUNDED
    assert out[3 * BLOCK + FADE - 1, 0] == pytest.approx(2 * quiet[0, 0], rel=0.01)


def test_two_who_begin_at_once_are_not_over() -> None:
    loud = int16(np.full(BLOCK, 0.9))
    one, two = strip(), strip()
    out = to_unit(play(Mixer(1, BLOCK), [[(one, loud), (two, loud)]] * 5))
    # A sound that begins at full height overshoots between its first samples, and is lower for it.
    assert true_peak(out) <= CEILING + ROUNDED
    assert out[BLOCK : 4 * BLOCK].min() > 0.75


def test_one_who_leaves_is_faded_out_like_one_who_breaks_off() -> None:
    stays, leaves = int16(sine(80, 0.1, 20 * BLOCK)), int16(np.full(20 * BLOCK, 0.5))
    heard = []
    for gone in (True, False):
        host, guest = strip(), strip()
        scenes: list[Scene] = []
        for index, (one, two) in enumerate(zip(cut(stays), cut(leaves), strict=True)):
            there = [(guest, two)] if index < 10 else [] if gone else [(guest, None)]
            scenes.append([(host, one), *there])
        heard.append(play(Mixer(1, BLOCK), scenes)[:-BLOCK])
    assert np.array_equal(heard[0], heard[1])
    steps = np.abs(np.diff(heard[0][:, 0].astype(np.float64) / 32_768))
    assert steps.max() < 0.1 * 2 * np.pi * 80 / RATE + 0.5 * np.pi / 2 / FADE + 1e-4
    assert np.array_equal(heard[0][10 * BLOCK :], stays[10 * BLOCK : -BLOCK])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9, 50.0])
def test_garbage_from_one_changes_nothing_for_the_others(bad: float) -> None:
    voice = (speechlike(RATE, 1) / 32_768).astype(np.float32)[:, None]
    heard = []
    for noisy in (True, False):
        good, broken = strip(VOICE), strip(VOICE)
        garbage = np.full((BLOCK, 1), bad, np.float32) if noisy else None
        heard.append(play(Mixer(1, BLOCK), [[(good, block), (broken, garbage)] for block in cut(voice)]))
        assert broken.invalid == (RATE if noisy else 0)
    assert np.array_equal(heard[0], heard[1])
    assert np.abs(heard[0]).max() > 1000


def test_a_strip_that_breaks_is_silent_and_the_others_are_heard() -> None:
    voice = int16(sine(440, 0.3, 20 * BLOCK))
    good, broken = strip(), strip()
    wrong = np.zeros((BLOCK, 7), np.int16)
    out = play(Mixer(1, BLOCK), [[(broken, wrong), (good, block)] for block in cut(voice)])
    assert broken.failed is not None
    assert good.failed is None
    assert np.array_equal(out[:-BLOCK], voice[:-BLOCK])


def test_the_loudness_is_that_of_what_is_given_out() -> None:
    mixer, meter = Mixer(1, BLOCK), LoudnessMeter(1)
    voices = [(speechlike(5 * RATE, seed) / 32_768).astype(np.float32)[:, None] for seed in range(2)]
    strips = [strip(VOICE), strip(VOICE)]
    scenes = [list(zip(strips, blocks, strict=True)) for blocks in zip(*map(cut, voices), strict=True)]
    out = play(mixer, scenes)
    meter.push(to_unit(out))
    assert mixer.loudness.integrated == pytest.approx(meter.integrated, abs=0.1)
    assert mixer.loudness.momentary == pytest.approx(meter.momentary, abs=1.0)
    for _ in range(2 * RATE // BLOCK):
        mixer.mix([])
    assert mixer.loudness.momentary is not None
    assert mixer.loudness.momentary < -100


def test_a_short_sound_before_a_silence_is_measured() -> None:
    mixer, member = Mixer(1, BLOCK), strip()
    burst = int16(sine(1000, 0.5, RATE // 20))
    play(mixer, [[(member, block)] for block in cut(burst)] + [[]] * (RATE * 35 // 100 // BLOCK))
    assert mixer.loudness.momentary is not None
    assert -30 < mixer.loudness.momentary < -10
