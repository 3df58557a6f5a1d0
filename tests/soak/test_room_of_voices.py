"""Five speakers at once for ten minutes: in virtual time, and in a whole server.

LONGWAVE_SOAK_SECONDS makes both shorter; 60 is the least that can be judged.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.audio import RATE
from tests.live_room import hold_live_room
from tests.room_ear import Found
from tests.room_of_voices import CAST, all_speak
from tests.room_verdict import Verdict, assert_told, judge, spread
from tests.virtual_room import hold_room

# A second more: what is said last is to arrive.
SECONDS = int(os.environ.get("LONGWAVE_SOAK_SECONDS", "600")) + 1

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * SECONDS + 600)]


def assert_all_is_well(verdict: Verdict) -> None:
    assert len(verdict.loudness) == len(CAST)
    assert verdict.loudness_difference <= 3
    assert verdict.clicks == ()


def assert_together(windows: Sequence[Mapping[str, Found]]) -> None:
    for window in windows:
        assert spread(window) <= 40
        for name, found in window.items():
            assert found.clearness > 1.5, (name, found)


def test_ten_minutes_in_virtual_time(tmp_path: Path) -> None:
    held = asyncio.run(hold_room(tmp_path, SECONDS))
    verdict = judge(held.mix, held.began)
    print("\n" + verdict.report())  # noqa: T201 - `make soak` is read by people
    assert_all_is_well(verdict)
    assert_together(verdict.together)
    assert verdict.drift_ms < 2
    assert verdict.true_peak_db <= -1
    assert held.samples == held.clock == SECONDS * RATE - held.began
    assert_told(held.record, held.began, slack=RATE // 5)


@pytest.mark.needs("ffmpeg")
def test_ten_minutes_through_a_whole_server(tmp_path: Path) -> None:
    live = hold_live_room(tmp_path, SECONDS)
    verdict = judge(live.mix, live.began)
    print("\n" + verdict.report() + "\n" + live.report())  # noqa: T201 - `make soak` is read by people
    spans = all_speak(SECONDS * RATE)[: len(verdict.together)]
    judged = [found for span, found in zip(spans, verdict.together, strict=True) if live.punctual(span.start)]
    assert judged, "this machine was too busy to send in real time"
    assert_all_is_well(verdict)
    assert_together(judged)
    # The mix has -1 dBTP at most; what AAC adds to that is what the decibel is for.
    assert verdict.true_peak_db < 0
    least, most = live.clock
    assert least - RATE // 10 <= live.samples <= most + RATE // 10
    assert_told(live.record, live.began, slack=RATE // 2)
