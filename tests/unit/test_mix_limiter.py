"""The limiter: nothing over the ceiling, nothing changed below it, and no gain that can be heard to move."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.mix.limiter import CEILING, Limiter
from pipeline.mix.true_peak import sample_peak, true_peak
from tests.audio import speechlike

RATE = 48_000
Sound = NDArray[np.float32]


def column(sound: NDArray[np.floating]) -> Sound:
    return np.asarray(sound, np.float32)[:, None]


def cut(pcm: Sound, block: int) -> list[Sound]:
    return [pcm[at : at + block] for at in range(0, len(pcm) - block + 1, block)]


def limited(pcm: Sound, block: int = 240) -> Sound:
    """`pcm` after a silence, through a limiter that is told of every block before it comes."""
    limiter = Limiter(pcm.shape[1], block)
    blocks = [np.zeros((block, pcm.shape[1]), np.float32), *cut(pcm, block)]
    following = [*blocks[1:], None]
    return np.concatenate([limiter.process(*pair) for pair in zip(blocks, following, strict=True)])[block:]


def gains(before: Sound, after: Sound) -> NDArray[np.float64]:
    return after[:, 0].astype(np.float64) / before[:, 0]


def resting(limiter: Limiter) -> bool:
    return limiter.at_rest


N = RATE
TIME = np.arange(N)
HARD = {
    "a full-scale sine between its samples": np.sin(np.pi / 2 * TIME + np.pi / 4),
    "a sine that is 3 dB over between its samples": np.sqrt(2) * np.sin(np.pi / 2 * TIME + np.pi / 4),
    "white noise": np.random.default_rng(1).standard_normal(N),
    "square bursts": np.where(TIME // 37 % 2, 1.0, -1.0) * np.where(TIME // 5000 % 2, 1.0, 0.01),
    "bursts of noise": np.where(TIME // 2400 % 2, 3.0, 0.0) * np.random.default_rng(2).choice([-1, 1], N),
    "impulses": np.where(TIME % 1777 == 0, 20.0, 0.001),
    "the highest frequency there is": 1.5 * (-1.0) ** TIME,
    "the sum of ten full-scale speakers": sum(
        (speechlike(N, seed) / 10_000.0 for seed in range(10)), np.zeros(N)
    ),
}


@pytest.mark.parametrize("block", [64, 240, 960])
@pytest.mark.parametrize("name", HARD)
def test_no_true_peak_is_over_the_ceiling(name: str, block: int) -> None:
    pcm = column(HARD[name][: N // block * block])
    assert true_peak(pcm) > CEILING
    after = limited(pcm, block)
    assert after.shape == pcm.shape
    assert true_peak(after) <= CEILING


@pytest.mark.parametrize("name", ["white noise", "the sum of ten full-scale speakers"])
def test_no_more_is_taken_away_than_needed(name: str) -> None:
    after = limited(column(HARD[name]))
    # At its loudest it reaches the ceiling to within the margin of 0.1 dB.
    assert true_peak(after) > CEILING * 10 ** (-0.2 / 20)


def test_below_the_ceiling_the_very_array_comes_back() -> None:
    limiter = Limiter(1, 240)
    pcm = column(0.87 * np.sin(2 * np.pi * 200 / RATE * np.arange(4800)))
    blocks = cut(pcm, 240)
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        assert limiter.process(block, following) is block
    assert limiter.at_rest


def test_the_gain_is_down_before_the_peak_and_no_step_of_it_is_heard() -> None:
    pcm = column(np.full(RATE, 0.1))
    pcm[4700:4705] = 4.0
    gain = gains(pcm, limited(pcm))
    assert gain[:4400] == pytest.approx(1.0, abs=1e-6)
    assert (gain[4700:4705] <= CEILING / 4.0).all()
    # 13 dB within 5 ms, as a smooth curve: a straight line would have steps of 0.0035.
    assert np.abs(np.diff(gain)).max() < 0.009
    assert np.abs(np.diff(gain, 2)).max() < 0.0003


def test_the_gain_comes_back_within_a_fifth_of_a_second_and_in_the_end_wholly() -> None:
    pcm = column(np.full(2 * RATE, 0.1))
    pcm[4700:4705] = 2.0
    after = limited(pcm)
    gain = gains(pcm, after)
    assert gain[4700 + RATE // 20] < 0.9
    assert gain[4700 + RATE // 5] > 0.96
    assert np.array_equal(after[-RATE // 2 :], pcm[-RATE // 2 :])


def test_a_peak_that_nobody_announced_leaves_no_step_at_the_end_of_its_block() -> None:
    limiter = Limiter(1, 240)
    quiet = column(np.full(240, 0.1))
    peaked = quiet.copy()
    peaked[5] = 4.0
    after = np.concatenate([limiter.process(peaked, quiet), limiter.process(quiet, None)])[:, 0]
    assert after[5] <= CEILING
    assert np.abs(np.diff(after[200:] / 0.1)).max() < 0.005


def test_after_a_second_without_peaks_it_is_at_rest() -> None:
    limiter = Limiter(1, 240)
    quiet = column(np.full(240, 0.1))
    limiter.process(10 * quiet, quiet)
    assert not resting(limiter)
    for _ in range(200):
        limiter.process(quiet, quiet)
    assert resting(limiter)


def test_both_channels_have_the_same_gain() -> None:
    pcm = np.concatenate((column(HARD["white noise"]), column(np.full(N, 0.1))), axis=1)
    after = limited(pcm)
    assert true_peak(after) <= CEILING
    assert after[:, 1] / pcm[:, 1] == pytest.approx(after[:, 0] / pcm[:, 0], abs=1e-5)


def test_a_block_that_comes_out_higher_than_announced_is_met_by_a_ramp() -> None:
    # Two sources that cancel each other, of which one is faded out in the block before it breaks off.
    tone = column(0.9 * np.sin(2 * np.pi * 150 / RATE * np.arange(4 * 240)))
    blocks = cut(2 * tone, 240)
    fade = column(0.5 - 0.5 * np.cos(np.pi * (np.arange(240) + 0.5) / 240))
    silence = np.zeros((240, 1), np.float32)
    limiter = Limiter(1, 240)
    given_out = [
        limiter.process(silence, silence.copy()),
        limiter.process(blocks[1] * fade, blocks[2]),
        limiter.process(blocks[2], blocks[3]),
        limiter.process(blocks[3], None),
    ]
    after = np.concatenate(given_out)
    assert true_peak(after) <= CEILING
    # No step is larger than those of the tone itself and of its fade together.
    assert np.abs(np.diff(after[:, 0])).max() < 2 * (0.0177 + 0.0065)


def test_what_is_free_is_not_limited_but_makes_ready_for_what_follows() -> None:
    limiter = Limiter(1, 240)
    loud, louder = column(np.full(240, 1.0)), column(np.full(240, 2.0))
    assert limiter.process(loud, None, free=True) is loud
    gain = limiter.process(loud, louder, free=True)[:, 0]
    assert gain[0] == pytest.approx(1.0, abs=0.001)
    # A step from 1 to 2 overshoots between the samples.
    assert 0.9 * CEILING / 2 < gain[-1] <= CEILING / 2
    assert sample_peak(limiter.process(louder, None)) <= CEILING


def test_what_is_foretold_is_what_will_come() -> None:
    limiter = Limiter(1, 240, ceiling=1.0)
    quiet, loud = column(np.full(240, 0.4)), column(np.full(240, 4.0))
    assert limiter.foretell(quiet) is quiet
    assert sample_peak(limiter.foretell(loud)) <= 1.0
    limiter.process(quiet, loud)
    limiter.process(loud, quiet)
    foretold = limiter.foretell(quiet)
    assert foretold == pytest.approx(limiter.process(quiet, None), rel=0.2)
    assert sample_peak(foretold) < 0.2


def test_after_a_reset_nothing_is_remembered() -> None:
    limiter = Limiter(1, 240)
    limiter.process(column(np.full(240, 4.0)), None)
    assert not limiter.at_rest
    limiter.reset()
    quiet = column(np.full(240, 0.4))
    assert limiter.process(quiet, None) is quiet


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 12), st.integers(1, 120), st.booleans()), min_size=2, max_size=12),
    st.sampled_from([64, 240, 960]),
)
def test_nothing_is_ever_over_whatever_was_announced(
    story: list[tuple[float, int, bool]], block: int
) -> None:
    limiter = Limiter(1, block)
    time = np.arange(block)
    blocks = [column(amplitude * np.sin(np.pi * time / half + 0.3)) for amplitude, half, _ in story]
    following = [kept if told else None for kept, (*_, told) in zip(blocks[1:], story[1:], strict=True)]
    pairs = zip(blocks, [*following, None], strict=True)
    after = np.concatenate([limiter.process(*pair) for pair in pairs])
    assert sample_peak(after) <= CEILING
