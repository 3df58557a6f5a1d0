"""Five minutes in Chromium at low latency: every beep once, no stall (LONGWAVE_SOAK_SECONDS: shorter)."""

import os
from pathlib import Path

import pytest

from pipeline.grid import SAMPLE_RATE
from tests.e2e.latency import measure, measure_microphone
from tests.e2e.listener import MAY_PLAY, chromium
from tests.e2e.microphone import beeping, with_microphone
from tests.server import Server
from workers.intake import START_BUFFER

SECONDS = min(300, int(os.environ.get("LONGWAVE_SOAK_SECONDS", "300")))
# The design's numbers, browser to browser over loopback.
MEDIAN_SECONDS = 0.7
P95_SECONDS = 0.9

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(SECONDS + 120),
    pytest.mark.needs("chromium", "hls.js"),
]


def test_chromium_plays_five_minutes_of_a_microphone_without_a_stall(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data") as server,
        chromium(MAY_PLAY) as browser,
        with_microphone(browser, beeping(tmp_path / "beeps.wav")) as microphone,
    ):
        ear = measure_microphone(server, browser, microphone, seconds=SECONDS, parts=10)
    print(f"\nmicrophone to ear, {SECONDS} s with 10 parts: {ear.summary()}")  # noqa: T201 - people read `make soak`
    assert (ear.stalls, ear.lost, ear.doubled) == (0, 0, 0)
    assert len(ear.latencies) >= SECONDS
    assert ear.median <= MEDIAN_SECONDS
    assert ear.p95 <= P95_SECONDS


def test_chromium_plays_five_minutes_of_a_programme_without_a_stall(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server, chromium(MAY_PLAY) as browser:
        ear = measure(server, browser, seconds=SECONDS, parts=10)
    print(f"\nPUT /pcm to ear, {SECONDS} s with 10 parts: {ear.summary()}")  # noqa: T201 - people read `make soak`
    assert (ear.stalls, ear.lost, ear.doubled) == (0, 0, 0)
    assert len(ear.latencies) >= SECONDS
    # A sender that may stutter waits in a buffer that a voice has no need of.
    assert ear.median <= MEDIAN_SECONDS + START_BUFFER / SAMPLE_RATE
    assert ear.p95 <= P95_SECONDS + START_BUFFER / SAMPLE_RATE
