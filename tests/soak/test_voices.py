"""A minute of silence, a network that dies, kill -9 of a browser: one listener at low latency, no stall."""

import os
from pathlib import Path

import pytest

from tests.e2e.latency import SETTLE_SECONDS
from tests.e2e.listener import MAY_PLAY, Listener, chromium, listening
from tests.e2e.microphone import Guest, beeping, with_microphone
from tests.e2e.relay import Network
from tests.e2e.story import hear_beeps, kill_nine, speakers, told
from tests.server import Server

SILENT_SECONDS = min(60, int(os.environ.get("LONGWAVE_SOAK_SECONDS", "60")))
ROOM = "voices"


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.needs("chromium", "hls.js")
def test_whatever_happens_to_a_speaker_the_listener_s_player_never_stalls(tmp_path: Path) -> None:
    sounds = [beeping(tmp_path / f"{number}.wav") for number in range(2)]
    with (
        Server(tmp_path / "data") as server,
        chromium(MAY_PLAY) as browser,
        # Both are there from the beginning: a browser that starts takes a small machine's processors away.
        with_microphone(browser, sounds[0]) as doomed,
        with_microphone(browser, sounds[1]) as other,
    ):
        server.request("PUT", f"/rooms/{ROOM}", b'{"parts": 10}')
        page = f"{server.url}/speak/{ROOM}"
        ann, again = Guest(doomed.new_page()), Guest(other.new_page())
        again.page.goto(page)
        with Network(ann.page) as network:
            ann.page.goto(page)
            take = ann.go_on_air("Ann")["take"]
            with listening(browser, f"{server.url}/listen/{ROOM}") as listener:
                listener.wait_for_playback(SETTLE_SECONDS)
                stalls = listener.knows["stalls"]
                _through_everything(ann, listener, network)
                kill_nine(sounds[0])
                server.wait_for(lambda: speakers(server, ROOM) == [])
                assert again.go_on_air("Ann")["take"] == take
                hear_beeps(listener)
                stalls = listener.knows["stalls"] - stalls
                record = told(server, ROOM, "Ann")
    print(f"\n{SILENT_SECONDS} s muted, a network that died, a kill -9: {record}")  # noqa: T201 - people read `make soak`
    assert stalls == 0
    assert 2 <= len(record.joined) <= 3
    assert all(record.spoke_within())
    assert max(record.pauses) > SILENT_SECONDS - 1


def _through_everything(ann: Guest, listener: Listener, network: Network) -> None:
    """She speaks, is silent, speaks, loses the network, speaks."""
    hear_beeps(listener)
    mute = ann.page.get_by_role("button", name="Mute", exact=True)
    mute.click()
    listener.hear(SILENT_SECONDS)
    mute.click()
    hear_beeps(listener)
    assert ann.knows["reconnects"] == 0
    network.die()
    ann.wait_until(lambda knows: knows["reconnects"] >= 1 and knows["state"] == "onair", "back")
    hear_beeps(listener)
