"""Ways back to the target delay: how fast they go, and that they stop."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.voice.pace import CatchUp, Pace
from tests.voices import MS, SECOND


def steady(pace: Pace, late: int, seconds: int) -> list[float]:
    """The ratios for blocks of 5 ms of a voice that stays as late as it is."""
    return [pace.ratio(late, 240) for _ in range(seconds * SECOND // 240)]


@pytest.mark.parametrize(("late", "farthest"), [(SECOND, 1.005), (-SECOND, 0.995), (4 * MS, 1.00075)])
def test_a_voice_is_read_faster_or_slower_the_later_or_earlier_it_is(late: int, farthest: float) -> None:
    ratios = steady(Pace(), late, 10)
    assert ratios[-1] == pytest.approx(farthest)
    assert ratios == sorted(ratios, reverse=late < 0)
    # The pitch moves by no more than a cent and a half in a second.
    assert np.abs(np.diff([1.0, *ratios])).max() <= 0.001 * 240 / SECOND + 1e-9


def test_a_millisecond_is_let_be() -> None:
    assert set(steady(Pace(), 48, 1) + steady(Pace(), -48, 1)) == {1.0}


def test_catching_up_begins_above_20_ms_and_ends_at_5() -> None:
    catch_up = CatchUp()
    surplus = [960, 961, 500, 241, 240, 500, 960, 961]
    assert [catch_up.wanted(samples) for samples in surplus] == [False, True, True, True, *[False] * 3, True]


def voiced(amplitude: float) -> NDArray[np.float32]:
    """40 ms of a voice at 200 Hz."""
    time = np.arange(1_920)[:, None] / SECOND
    return np.asarray(amplitude * np.sin(2 * np.pi * 200 * time), np.float32)


def test_of_a_pause_half_is_cut_and_of_what_is_said_one_stretch() -> None:
    assert len(CatchUp().cut(voiced(0.001), 5_000)) == 960
    assert len(CatchUp().cut(voiced(0.001), 840)) == 1_920 - 840
    assert 1_920 - 720 <= len(CatchUp().cut(voiced(0.3), 5_000)) <= 1_920 - 240


def test_what_repeats_nothing_is_cut_only_after_half_a_second() -> None:
    catch_up, rng = CatchUp(), np.random.default_rng(1)
    noise = [np.asarray(rng.standard_normal((1_920, 1)) * 0.1, np.float32) for _ in range(26)]
    lengths = [len(catch_up.cut(pcm, 700)) for pcm in noise]
    assert lengths == [1_920] * 12 + [1_220] + [1_920] * 12 + [1_220]
