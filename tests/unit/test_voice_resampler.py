"""Two clocks keep step: how right the resampled sound is, and that no cut, change or ratio leaves a mark."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.voice.resampler import FARTHEST, REACH, Resampler

RATE = 48_000


def tone(frequency: float, places: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2 * np.pi * frequency * places / RATE))


def as_input(sound: NDArray[np.float64]) -> NDArray[np.float32]:
    return sound[:, None].astype(np.float32)


def noise(n: int, channels: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(5).standard_normal((n, channels)).astype(np.float32)


@pytest.mark.parametrize("ratio", [1.0002, 0.9998, 1 + FARTHEST, 1 - FARTHEST])
@pytest.mark.parametrize(
    ("frequency", "least_db"), [(50, 100), (1_000, 100), (10_000, 100), (18_000, 95), (20_000, 50)]
)
def test_a_tone_stays_clean(frequency: float, least_db: float, ratio: float) -> None:
    resampler = Resampler(1)
    resampler.ratio = ratio
    resampler.push(as_input(tone(frequency, np.arange(2.0 * RATE))))
    heard = resampler.pull(resampler.available())[:, 0].astype(np.float64)
    right = tone(frequency, np.arange(len(heard)) * resampler.ratio)
    error = (heard - right)[REACH:]  # before the tone there was silence: it begins with an edge
    assert 10 * np.log10(np.mean(right**2) / np.mean(error**2)) > least_db


@pytest.mark.parametrize("ratio", [1.0002, 0.9998])
def test_as_much_goes_in_as_comes_out_times_the_ratio(ratio: float) -> None:
    resampler = Resampler(1)
    resampler.ratio = ratio
    block, used = noise(240), 0
    for _ in range(5_000):
        while resampler.available() < 240:
            resampler.push(block)
            used += 240
        resampler.pull(240)
    assert abs(used - resampler.held - 5_000 * 240 * ratio) <= 1


@pytest.mark.parametrize("channels", [1, 2])
def test_at_a_ratio_of_one_every_bit_comes_out_at_once(channels: int) -> None:
    resampler = Resampler(channels)
    sound = noise(5_000, channels)
    heard = []
    for start in range(0, 5_000, 500):
        resampler.push(sound[start : start + 500])
        assert resampler.available() == resampler.held == 500
        heard += [resampler.pull(123), resampler.pull(377)]
    assert np.array_equal(np.concatenate(heard), sound)


def test_channels_do_not_touch_each_other() -> None:
    sound = noise(2_000, 2)
    both, left, right = Resampler(2), Resampler(1), Resampler(1)
    for resampler, pcm in ((both, sound), (left, sound[:, :1]), (right, sound[:, 1:])):
        resampler.ratio = 1.003
        resampler.push(pcm)
    heard = both.pull(1_900)
    assert heard.dtype == np.float32
    assert np.array_equal(heard, np.hstack((left.pull(1_900), right.pull(1_900))))


@settings(max_examples=60, deadline=None)
@given(
    pushes=st.lists(st.integers(0, 700), min_size=1, max_size=8),
    pulls=st.lists(st.integers(0, 400), min_size=1, max_size=8),
    ratio=st.floats(1 - FARTHEST, 1 + FARTHEST),
)
def test_the_cut_into_pieces_changes_no_bit(pushes: list[int], pulls: list[int], ratio: float) -> None:
    sound = noise(sum(pushes), 2)
    whole, pieces = Resampler(2), Resampler(2)
    whole.ratio = pieces.ratio = ratio
    whole.push(sound)
    right = whole.pull(whole.available())
    heard, at = [], 0
    for number, count in enumerate(pushes):
        pieces.push(sound[at : at + count])
        at += count
        heard.append(pieces.pull(min(pulls[number % len(pulls)], pieces.available())))
    heard.append(pieces.pull(pieces.available()))
    assert np.array_equal(np.concatenate(heard), right)
    assert whole.held == pieces.held


def test_a_change_of_ratio_bends_the_sound_and_does_not_break_it() -> None:
    resampler = Resampler(1)
    resampler.push(as_input(tone(1_000, np.arange(3.0 * RATE))))
    ratios = [1.0, 1.0005, 0.9995, 1.01, 0.99, 1.0, 1.0001, 1.0]
    heard, places, place = [], [], 0.0
    for number in range(400):
        resampler.ratio = ratios[number % len(ratios)]
        heard.append(resampler.pull(240)[:, 0])
        places.append(place + np.arange(240) * resampler.ratio)
        place += 240 * resampler.ratio
    error = np.concatenate(heard) - tone(1_000, np.concatenate(places))
    assert float(np.abs(error[REACH:]).max()) < 1e-5


def test_silence_comes_before_the_first_sample_and_an_impulse_where_it_was() -> None:
    resampler = Resampler(1)
    resampler.ratio = 1.01
    impulse = np.zeros((400, 1), np.float32)
    impulse[202] = 1
    resampler.push(impulse)
    heard = resampler.pull(300)[:, 0]
    assert int(np.argmax(heard)) == 200  # 200 outputs × 1.01
    assert float(heard[200]) == 1.0
    assert not heard[: 200 - REACH].any()


def test_what_is_not_there_cannot_be_pulled() -> None:
    resampler = Resampler(1)
    resampler.ratio = 1.0002
    assert resampler.available() == 0
    resampler.push(noise(REACH))
    assert resampler.available() == 0
    resampler.push(noise(1))
    assert resampler.available() == 1
    with pytest.raises(ValueError, match="2 samples are wanted and 1 are here"):
        resampler.pull(2)
    assert len(resampler.pull(1)) == 1
    assert resampler.held == REACH


@pytest.mark.parametrize("ratio", [1.011, 0.989, float("nan"), 0.0])
def test_clocks_that_no_machine_has_are_refused(ratio: float) -> None:
    resampler = Resampler(1)
    with pytest.raises(ValueError, match=r"ratio|NaN"):
        resampler.ratio = ratio
    assert resampler.ratio == 1.0


def test_who_writes_into_what_was_pulled_changes_nothing_else() -> None:
    touched, untouched = Resampler(1), Resampler(1)
    for resampler in (touched, untouched):
        resampler.push(noise(1_000))
    touched.pull(480)[:] = 0
    untouched.pull(480)
    touched.ratio = untouched.ratio = 1.0002
    assert np.array_equal(touched.pull(400), untouched.pull(400))


@pytest.mark.parametrize("ratio", [1.0, 1.0002, 0.9998, 1.01, 0.99])
def test_what_is_needed_is_just_enough(ratio: float) -> None:
    resampler = Resampler(1)
    resampler.ratio = ratio
    for count in (240, 960, 1, 480) * 20:
        needed = resampler.needed(count)
        if needed:
            resampler.push(noise(needed - 1))
            assert resampler.available() < count
            resampler.push(noise(1))
        assert resampler.available() >= count
        assert resampler.needed(count) == 0
        resampler.pull(count)
