"""The player page in a real Chromium, on a real server: what comes to the ear."""

import hashlib
import itertools
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.audio import RATE
from tests.e2e.latency import latencies, lost_and_doubled, measure
from tests.e2e.listener import Listener, listening
from tests.e2e.speaker import PERIOD, ROUND_SECONDS, Speaker
from tests.server import Server

pytestmark = pytest.mark.needs("chromium", "hls.js")

# At 8 % off the speed of life, and with a window of 60 ms that a shortened beep is found in anywhere.
MOST_UNEVEN_SECONDS = 0.08 * PERIOD / RATE + 0.06


def hear_without_a_stall(listener: Listener, seconds: float) -> None:
    """Record `seconds` of playing on. A machine too busy to play gets two more chances, not a green test."""
    for _ in range(3):
        listener.forget()
        stalls = listener.knows["stalls"]
        listener.hear(seconds)
        tones = [beep.tone for beep in listener.beeps()]
        # A jump that makes up for a pause says a few milliseconds twice, or not at all.
        if listener.knows["stalls"] == stalls and lost_and_doubled(tones) == (0, 0):
            return
    raise AssertionError(f"it stalls again and again: {listener.knows}")


def assert_every_beep_once(listener: Listener, at_least: int) -> None:
    heard = listener.beeps()
    assert len(heard) >= at_least, f"{len(heard)} beeps: {heard}"
    assert lost_and_doubled([beep.tone for beep in heard]) == (0, 0), heard
    apart = [after.at - before.at for before, after in itertools.pairwise(heard)]
    assert all(abs(gap - PERIOD / RATE) < MOST_UNEVEN_SECONDS for gap in apart), apart


@pytest.mark.parametrize("parts", [5, 10])
def test_the_page_plays_every_beep_once_and_in_order(server: Server, browser: Browser, parts: int) -> None:
    server.request("PUT", "/rooms/beeps", f'{{"parts": {parts}}}'.encode())
    with (
        Speaker(server.url, "beeps") as speaker,
        listening(browser, f"{server.url}/listen/beeps") as listener,
    ):
        listener.wait_for_playback()
        hear_without_a_stall(listener, 6.0)
        assert_every_beep_once(listener, at_least=10)
        knows = listener.knows
        assert knows["engine"] == "hls.js"
        assert knows["part"] == pytest.approx(-(-94 // parts) * 1024 / RATE, abs=1e-4)
        assert not listener.errors
        assert not speaker.refusals


def test_source_to_ear_is_measured_beep_by_beep(server: Server, browser: Browser) -> None:
    # How long it takes is for the benchmarks to say; here it is that each beep is recognised as itself.
    result = measure(server, browser, seconds=4.0, settle=1.0)
    assert len(result.latencies) >= 6
    assert all(0.1 < latency < ROUND_SECONDS for latency in result.latencies), result.summary()


def test_the_page_plays_on_when_the_server_is_killed_and_started_again(
    server: Server, browser: Browser
) -> None:
    with (
        Speaker(server.url, "beeps") as speaker,
        listening(browser, f"{server.url}/listen/beeps") as listener,
    ):
        listener.page.evaluate("window.sameDocument = true")
        listener.wait_for_playback()
        listener.hear(3.0)
        take, stalls = listener.knows["take"], listener.knows["stalls"]
        before = len(listener.beeps())
        server.kill()
        listener.hear(1.0)
        server.start()
        listener.wait_until(
            lambda knows: knows["state"] == "live" and knows["stalls"] > stalls, "playing again", 20
        )
        listener.wait_for_playback(2.0)
        listener.hear(2.0)
        assert listener.page.evaluate("window.sameDocument"), "the page was loaded again"
        assert listener.knows["take"] == take
        assert not listener.errors
        heard = listener.beeps()
        assert len(heard) > before + 3, heard
        late = latencies(heard[-3:], speaker.epoch)
        assert max(late) < ROUND_SECONDS, late
        assert_no_url_has_two_bodies(server, listener.bodies)


def assert_no_url_has_two_bodies(server: Server, loaded: list[tuple[str, str]]) -> None:
    """Neither in what the page has loaded, nor in what the server says now under those URLs."""
    first: dict[str, str] = {}
    for url, digest in loaded:
        assert first.setdefault(urlsplit(url).path, digest) == digest, f"{url} has two bodies"
    assert len(first) > 10
    for path, digest in first.items():
        answer = server.get(path)
        assert answer.status in {200, 404}, f"{path}: {answer.status}"
        if answer.status == 200:
            assert hashlib.sha256(answer.body).hexdigest() == digest, f"{path} has another body now"
