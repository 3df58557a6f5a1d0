"""The player page in a real Chromium, on a real server: what comes to the ear."""

import itertools

import pytest
from playwright.sync_api import Browser

from tests.audio import RATE
from tests.e2e.latency import lost_and_doubled, measure
from tests.e2e.listener import Listener, listening
from tests.e2e.speaker import PERIOD, ROUND_SECONDS, Speaker
from tests.e2e.steady import unbroken
from tests.server import Server

pytestmark = pytest.mark.needs("chromium", "hls.js")

# At 8 % off the speed of life, and with a window of 60 ms that a shortened beep is found in anywhere.
MOST_UNEVEN_SECONDS = 0.08 * PERIOD / RATE + 0.06


def assert_every_beep_once(listener: Listener, at_least: int) -> None:
    heard = listener.beeps()
    assert len(heard) >= at_least, f"{len(heard)} beeps: {heard}"
    assert lost_and_doubled([beep.tone for beep in heard]) == (0, 0), heard
    assert is_even(listener), heard


def is_even(listener: Listener) -> bool:
    apart = [after.at - before.at for before, after in itertools.pairwise(listener.beeps())]
    return all(abs(gap - PERIOD / RATE) < MOST_UNEVEN_SECONDS for gap in apart)


def test_the_page_plays_every_beep_once_and_in_order(shared_server: Server, browser: Browser) -> None:
    url = shared_server.url
    for parts in (5, 10):
        shared_server.request("PUT", f"/rooms/beeps-{parts}", f'{{"parts": {parts}}}'.encode())
    with Speaker(url, "beeps-5") as in_five, Speaker(url, "beeps-10") as in_ten:
        for parts in (5, 10):
            shared_server.wait_for_sound(f"beeps-{parts}")
        with (
            listening(browser, f"{url}/listen/beeps-5") as five,
            listening(browser, f"{url}/listen/beeps-10") as ten,
        ):
            for listener in (five, ten):
                listener.wait_for_playback()
            # Two segments and more of them, and every tone.
            unbroken([five, ten], lambda: five.hear(4.5), at_least=8, well=is_even)
            for listener, parts in ((five, 5), (ten, 10)):
                assert_every_beep_once(listener, at_least=8)
                knows = listener.knows
                assert knows["engine"] == "hls.js"
                assert knows["part"] == pytest.approx(-(-94 // parts) * 1024 / RATE, abs=1e-4)
                assert not listener.errors
        assert not in_five.refusals + in_ten.refusals


def test_source_to_ear_is_measured_beep_by_beep(shared_server: Server, browser: Browser) -> None:
    # How long it takes is for the benchmarks to say; here it is that each beep is recognised as itself.
    for _ in range(3):  # a machine that is too busy to play gets two more chances
        result = measure(shared_server, browser, seconds=4.0, settle=1.0)
        if len(result.latencies) >= 6:
            break
    assert len(result.latencies) >= 6
    assert all(0.1 < latency < ROUND_SECONDS for latency in result.latencies), result.summary()
