"""From beeps at the source and beeps in the ear to seconds, losses and repetitions."""

from collections.abc import Sequence

import pytest

from tests.e2e.latency import AsCaptured, OnAClock, to_ear
from tests.e2e.listener import Heard

TONES = 8


def beeping(instants: Sequence[float], first_tone: int = 0) -> list[Heard]:
    return [Heard(at, (first_tone + number) % TONES) for number, at in enumerate(instants)]


def later(beeps: Sequence[Heard], seconds: float) -> list[Heard]:
    return [Heard(beep.at + seconds, beep.tone) for beep in beeps]


def test_a_beep_is_as_old_as_the_last_one_of_its_tone_on_the_clock() -> None:
    heard = later(beeping([100 + 0.5 * number for number in range(20)]), 0.7)
    result = to_ear(OnAClock(100.0), heard)
    assert result.latencies == pytest.approx([0.7] * 20)
    assert (result.lost, result.doubled) == (0, 0)
    assert to_ear(OnAClock(100.0), later(heard, 3.0)).median == pytest.approx(3.7)


def test_a_beep_is_as_old_as_what_the_microphone_captured() -> None:
    uneven = [10.0, 10.5, 11.1, 11.4, 12.0, 12.5]
    spoken = beeping(uneven, first_tone=6)
    heard = [Heard(beep.at + 0.5 + 0.1 * number, beep.tone) for number, beep in enumerate(spoken)]
    assert to_ear(AsCaptured(spoken), heard).latencies == pytest.approx([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def test_beeps_that_do_not_reach_the_ear_are_lost_and_those_that_come_again_doubled() -> None:
    spoken = beeping([float(number) / 2 for number in range(12)])
    heard = later(spoken, 0.4)
    source = AsCaptured(spoken)
    del heard[3:5]
    assert (to_ear(source, heard).lost, to_ear(source, heard).doubled) == (2, 0)
    again = [*heard, Heard(heard[-1].at + 0.3, heard[-1].tone)]
    assert (to_ear(source, again).lost, to_ear(source, again).doubled) == (2, 1)


def test_what_the_microphone_did_not_capture_is_not_lost() -> None:
    spoken = beeping([float(number) / 2 for number in range(12)])
    del spoken[5]
    result = to_ear(AsCaptured(spoken), later(spoken, 0.4))
    assert (len(result.latencies), result.lost, result.doubled) == (11, 0, 0)


def test_a_beep_that_nobody_spoke_is_one_too_many() -> None:
    spoken = beeping([10.0, 10.5])
    nobody_s = [Heard(9.0, 0), Heard(11.0, 5), Heard(14.6, 1)]
    result = to_ear(AsCaptured(spoken), [*later(spoken, 0.4), *nobody_s])
    assert (len(result.latencies), result.lost, result.doubled) == (2, 0, 3)
