"""Five speakers at once for ten minutes: in virtual time, and in a whole server.

LONGWAVE_SOAK_SECONDS makes both shorter; 60 is the least that can be judged.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.audio import RATE
from tests.live_room import hold_live_room
from tests.room_of_voices import CAST
from tests.room_verdict import Verdict, assert_told, judge
from tests.virtual_room import hold_room

# A second more: what is said last is to arrive.
SECONDS = int(os.environ.get("LONGWAVE_SOAK_SECONDS", "600")) + 1

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * SECONDS + 600)]


def assert_all_is_well(verdict: Verdict) -> None:
    for window in verdict.together:
        for name, found in window.items():
            assert found.clearness > 2, (name, found)
    assert verdict.spread_ms <= 40
    assert len(verdict.loudness) == len(CAST)
    assert verdict.loudness_difference <= 3
    assert verdict.clicks == ()


def test_ten_minutes_in_virtual_time(tmp_path: Path) -> None:
    held = asyncio.run(hold_room(tmp_path, SECONDS))
    verdict = judge(held.mix, held.began)
    print("\n" + verdict.report())  # noqa: T201 - `make soak` is read by people
    assert_all_is_well(verdict)
    assert verdict.drift_ms < 2
    assert verdict.true_peak_db <= -1
    assert held.samples == held.clock == SECONDS * RATE - held.began
    assert_told(held.record, held.began, slack=RATE // 5)


@pytest.mark.needs("ffmpeg")
def test_ten_minutes_through_a_whole_server(tmp_path: Path) -> None:
    live = hold_live_room(tmp_path, SECONDS)
    verdict = judge(live.mix, live.began)
    print("\n" + verdict.report() + "\n" + live.report())  # noqa: T201 - `make soak` is read by people
    assert live.late_ms[1] < 20, "this machine was too busy to send in real time"
    assert_all_is_well(verdict)
    # The mix has -1 dBTP at most; what AAC adds to that is what the decibel is for.
    assert verdict.true_peak_db < 0
    least, most = live.clock
    assert least - RATE // 10 <= live.samples <= most + RATE // 10
    assert_told(live.record, live.began, slack=RATE // 2)
