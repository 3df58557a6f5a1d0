"""Five publishers by WHIP in a whole server, for one round of their talk; `make soak` has ten minutes of it.

What is asserted is the sound and what is told of it: times depend on how busy this machine is.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audio import RATE
from tests.live_room import LiveRoom, hold_live_room
from tests.room_of_voices import CAST
from tests.room_verdict import Verdict, judge

SECONDS = 21

pytestmark = [pytest.mark.timeout(360), pytest.mark.needs("ffmpeg")]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveRoom:
    directory: Path = tmp_path_factory.mktemp("room")
    return hold_live_room(directory, SECONDS)


@pytest.fixture(scope="module")
def verdict(live: LiveRoom) -> Verdict:
    return judge(live.mix, live.began)


def test_everybody_is_heard_in_the_hls(verdict: Verdict) -> None:
    (once,) = verdict.alone
    assert len(once) == len(CAST)
    for name, found in once.items():
        # What is not there is like anything by 0.1 at most; what is read faster and slower, by less than 1.
        assert found.likeness > 0.2, (name, found)


def test_nothing_is_over(verdict: Verdict) -> None:
    # The mix has -1 dBTP at most; what AAC adds to that is what the decibel is for.
    assert verdict.true_peak_db < 0


def test_the_room_and_the_record_tell_who_was_there(live: LiveRoom) -> None:
    names = frozenset(voice.name for voice in CAST)
    assert names in live.seen
    assert names - {"Eve"} in live.seen
    told = {speaker["name"]: speaker for speaker in live.record["speakers"]}
    assert frozenset(told) == names
    for voice in CAST:
        assert len(told[voice.name]["joined"]) == len(voice.visits_until(SECONDS * RATE))
        assert bool(told[voice.name]["muted"]) == (voice.name == "Dan")
        assert told[voice.name]["spoke"]


def test_the_take_has_all_that_its_record_says(live: LiveRoom) -> None:
    assert live.record["samples"] == live.samples == len(live.mix)
