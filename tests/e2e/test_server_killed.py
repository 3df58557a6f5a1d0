"""A server that is killed while pages are open on it: when it is back, they go on where they were."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.e2e.latency import latencies
from tests.e2e.listener import Listener, listening
from tests.e2e.microphone import beeping, speaking, with_microphone
from tests.e2e.speaker import ROUND_SECONDS, Speaker
from tests.e2e.story import hear_beeps, speakers
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def microphone(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with with_microphone(browser, beeping(tmp_path_factory.mktemp("sound") / "beeps.wav")) as running:
        yield running


def test_pages_get_the_speaker_and_the_sound_back_in_the_same_take(
    server: Server, browser: Browser, microphone: Browser
) -> None:
    """Ann speaks on her page, and is listened to; in another room is one who beeps on a known clock."""
    with (
        Speaker(server.url, "beeps") as clock,
        listening(browser, "about:blank") as listener,
        speaking(microphone, f"{server.url}/speak/ann") as ann,
        listening(browser, "about:blank") as other,
    ):
        spoken = ann.go_on_air("Ann")["take"]
        for guest, room in ((listener, "beeps"), (other, "ann")):
            server.wait_for_sound(room)
            guest.page.goto(f"{server.url}/listen/{room}")
        for guest in (listener, ann, other):
            guest.page.evaluate("window.sameDocument = true")
        other.wait_for_playback()
        listener.wait_for_playback()
        listener.hear(2.0)
        heard, stalls = listener.knows["take"], listener.knows["stalls"]
        before = len(listener.beeps())

        server.kill()
        listener.hear(1.0)
        server.start()

        listener.wait_until(
            lambda knows: knows["state"] == "live" and knows["stalls"] > stalls, "playing again", 20
        )
        ann.wait_until(lambda knows: knows["state"] == "onair" and knows["reconnects"] == 1, "back", 60)
        server.wait_for(lambda: speakers(server, "ann") == ["Ann"])
        listener.wait_for_playback(2.0)
        listener.hear(2.0)
        late = latencies(listener.beeps()[before:][-3:], clock.epoch)
        assert len(late) == 3
        assert max(late) < ROUND_SECONDS, late
        hear_beeps(other)
        assert (listener.knows["take"], ann.knows["take"], other.knows["take"]) == (heard, spoken, spoken)
        for guest in (listener, ann, other):
            assert guest.page.evaluate("window.sameDocument"), "the page was loaded again"
            assert guest.errors == []
        for one in (listener, other):
            assert_no_url_has_two_bodies(server, one)


def assert_no_url_has_two_bodies(server: Server, listener: Listener) -> None:
    """Neither in what the page has loaded, nor in what the server says now under those URLs."""
    first: dict[str, str] = {}
    for url, digest in listener.bodies:
        assert first.setdefault(urlsplit(url).path, digest) == digest, f"{url} has two bodies"
    assert len(first) > 10
    for path, digest in first.items():
        answer = server.get(path)
        assert answer.status in {200, 404}, f"{path}: {answer.status}"
        if answer.status == 200:
            assert hashlib.sha256(answer.body).hexdigest() == digest, f"{path} has another body now"
