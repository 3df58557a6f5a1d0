"""A speaker vanishes, falls silent, comes by another network: players play on, and the take tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.listener import Listener, listening
from tests.e2e.microphone import beeping, speaking, with_microphone
from tests.e2e.relay import Network
from tests.e2e.story import hear_beeps, kill_nine, on_air, speakers, told
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(180), pytest.mark.faults]

# After this long a voice that nothing comes from is let go.
VOICE_TIMEOUT = 5.0


@pytest.fixture(scope="module")
def microphone(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with with_microphone(browser, beeping(tmp_path_factory.mktemp("sound") / "beeps.wav")) as running:
        yield running


def without_a_stall(
    server: Server, browser: Browser, name: str, story: Callable[[str, Listener], int]
) -> None:
    """Play `story` in a room, while somebody listens to it whose player does not run dry any more.

    A story tells how often it had run dry when what matters began. A machine too busy to play gets two more
    chances, not a green test.
    """
    stalls = []
    for number in range(3):
        # Each round begins with a take of its own. Players hold less than two seconds of sound then: they run
        # dry when the take stands still for as long as any voice is away here, and not when the machine does.
        room = f"{name}-{number}"
        server.request("PUT", f"/rooms/{room}", b'{"parts": 2}')
        with listening(browser, "about:blank") as listener:
            before = story(room, listener)
            stalls.append(listener.knows["stalls"] - before)
        server.request("POST", f"/rooms/{room}/end")
        if stalls[-1] == 0:
            return
    raise AssertionError(f"it stalls every time: {stalls}")


def tune_in(listener: Listener, server: Server, room: str) -> int:
    """Come into a room that is live by now, and hear it. Who waits for one asks every five seconds."""
    listener.page.goto(f"{server.url}/listen/{room}")
    return hear_beeps(listener)


def test_a_browser_that_is_killed_is_missed_within_seconds_and_another_one_takes_its_place(
    shared_server: Server, browser: Browser, microphone: Browser, tmp_path: Path
) -> None:
    server = shared_server

    def story(room: str, listener: Listener) -> int:
        sound = beeping(tmp_path / f"{room}.wav")
        with with_microphone(browser, sound) as doomed:
            on_air(doomed, f"{server.url}/speak/{room}")
            stalls = tune_in(listener, server, room)
            kill_nine(sound)
            server.wait_for(lambda: speakers(server, room) == [])
        with speaking(microphone, f"{server.url}/speak/{room}") as ann:
            ann.go_on_air("Ann")
            hear_beeps(listener)
            record = told(server, room, "Ann")
        assert len(record.joined) == 2
        assert all(record.spoke_within())
        return stalls

    without_a_stall(server, browser, "killed", story)


def test_a_hole_of_two_seconds_in_the_network_and_silence_for_longer_than_any_timeout_end_nothing(
    shared_server: Server, browser: Browser, microphone: Browser
) -> None:
    server = shared_server

    def story(room: str, listener: Listener) -> int:
        with speaking(microphone, f"{server.url}/speak/{room}") as ann, Network(ann.page) as network:
            ann.go_on_air("Ann")
            stalls = tune_in(listener, server, room)
            (relay,) = network.relays
            relay.cut = True
            listener.hear(2.0)
            relay.cut = False
            hear_beeps(listener)
            mute = ann.page.get_by_role("button", name="Mute", exact=True)
            mute.click()
            ann.wait_for_state("muted")
            listener.hear(VOICE_TIMEOUT + 1.0)
            assert speakers(server, room) == ["Ann"]
            mute.click()
            assert server.request("POST", f"/rooms/{room}/speakers/Ann/mute").status < 300
            ann.wait_for_state("silenced")
            listener.hear(1.0)
            assert server.request("POST", f"/rooms/{room}/speakers/Ann/unmute").status < 300
            hear_beeps(listener)
            assert ann.knows["reconnects"] == 0
            record = told(server, room, "Ann")
        assert len(record.joined) == 1
        # The hole, then being muted by oneself. Who is muted by a host is told to be.
        hole, muteness, *_ = (pause for pause in record.pauses if pause > 1.0)
        assert hole < VOICE_TIMEOUT < muteness
        ((muted, unmuted),) = record.muted
        assert not any(start < unmuted - 0.2 and muted + 0.2 < stop for start, stop in record.spoke), record
        return stalls

    without_a_stall(server, browser, "quiet", story)


def test_a_network_that_dies_without_a_word_is_left_for_another(
    shared_server: Server, browser: Browser, microphone: Browser
) -> None:
    server = shared_server

    def story(room: str, listener: Listener) -> int:
        with speaking(microphone, f"{server.url}/speak/{room}") as ann, Network(ann.page) as network:
            take = ann.go_on_air("Ann")["take"]
            stalls = tune_in(listener, server, room)
            network.die()
            ann.wait_until(lambda knows: knows["reconnects"] >= 1 and knows["state"] == "onair", "back", 60)
            assert ann.knows["take"] == take
            assert len(network.relays) >= 2
            hear_beeps(listener)
            record = told(server, room, "Ann")
        # Whoever is back before being missed was there all the time.
        assert 1 <= len(record.joined) <= 2
        assert all(record.spoke_within())
        return stalls

    without_a_stall(server, browser, "dead", story)
