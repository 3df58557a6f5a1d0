"""Five speakers at once for a minute of virtual time, each with a trouble of its own; `make soak` has ten."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.audio import RATE
from tests.room_ear import Sound, clicks, find, true_peak_db
from tests.room_of_voices import CAST, CYCLE, Span, all_speak
from tests.room_verdict import Verdict, assert_told, judge
from tests.virtual_room import Held, hold_room

SECONDS = 61


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    directory: Path = tmp_path_factory.mktemp("room")
    return asyncio.run(hold_room(directory, SECONDS))


@pytest.fixture(scope="module")
def verdict(held: Held) -> Verdict:
    return judge(held.mix, held.began)


pytestmark = pytest.mark.timeout(300)  # the fixtures take some 10 s of a core


def test_everybody_is_heard_among_five_who_speak_at_once(verdict: Verdict) -> None:
    assert (len(verdict.together), len(verdict.alone)) == (2, 3)
    for window in verdict.together:
        for name, found in window.items():
            assert found.likeness > 0.15, (name, found)
            assert found.clearness > 2, (name, found)
    for window in verdict.alone[1:]:
        assert all(found.likeness > 0.8 for found in window.values()), window


def test_who_speaks_at_the_same_instant_is_heard_within_40_ms(verdict: Verdict) -> None:
    assert verdict.spread_ms <= 40
    assert verdict.drift_ms < 2  # a clock that is 200 ppm fast moves by 4 ms in 20 s


def test_the_quiet_one_is_as_loud_as_the_others_within_3_lu(verdict: Verdict) -> None:
    assert len(verdict.loudness) == len(CAST)
    assert verdict.loudness_difference <= 3


def test_nothing_clicks_and_nothing_is_over(verdict: Verdict) -> None:
    assert verdict.clicks == ()
    assert verdict.true_peak_db <= -1.0


def test_the_take_is_exactly_as_long_as_its_clock_says(held: Held) -> None:
    assert held.samples == held.clock == len(held.mix)
    assert held.samples == SECONDS * RATE - held.began


def test_the_record_tells_who_was_there_and_who_spoke(held: Held) -> None:
    # Whoever leaves is still heard to the end of what was sent, and a little longer: it is led to silence.
    assert_told(held.record, held.began, slack=RATE // 5)


def test_listeners_are_told_too(held: Held) -> None:
    said = {event.speakers for event in held.events if event.kind == "speakers"}
    assert tuple(voice.name for voice in CAST) in said
    assert {(voice.name,) for voice in CAST} <= said


# ---- the ear can hear what it is to hear -------------------------------------------------------------------


@pytest.mark.parametrize("at", [7 * RATE, 15 * RATE, 31 * RATE, 46 * RATE])
def test_a_step_of_a_twentieth_anywhere_in_the_mix_is_heard(held: Held, at: int) -> None:
    broken = held.mix.copy()
    broken[at : at + RATE] += np.float32(0.05)
    assert [round(found / RATE, 2) for found in clicks(broken)] == [at / RATE, at / RATE + 1]


def test_two_milliseconds_that_are_missing_are_heard(held: Held) -> None:
    loud = int(np.argmax(np.abs(held.mix)))
    broken: Sound = np.delete(held.mix, np.arange(loud, loud + 96))
    assert len(clicks(broken)) == 1


def test_who_is_not_there_is_not_heard(held: Held) -> None:
    (window, *_) = all_speak(len(held.mix))
    later = Span(window.start + CYCLE, window.stop + CYCLE)
    mix = held.mix[window.start - held.began : window.stop - held.began + RATE // 2]
    for voice in CAST:
        assert find(voice.says(later), mix).clearness < 2


def test_a_peak_between_samples_is_heard() -> None:
    tone = np.sin(np.pi * (np.arange(RATE) / 2 + 0.25)).astype(np.float32)
    assert np.abs(tone).max() < 0.71
    assert true_peak_db(tone) > -0.2
