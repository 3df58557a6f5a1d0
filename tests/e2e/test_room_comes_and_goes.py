"""What the player page says, and does, when its room is not live, ends, comes back or cannot be played."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.listener import Listener, launched, listening
from tests.e2e.speaker import Speaker
from tests.server import Server

pytestmark = [
    pytest.mark.needs("chromium", "hls.js"),
    # Who needs it finds it live.
    pytest.mark.usefixtures("open_room"),
]


def test_a_room_that_is_not_live_plays_as_soon_as_it_is(shared_server: Server, browser: Browser) -> None:
    with listening(browser, f"{shared_server.url}/listen/later") as listener:
        listener.wait_for_state("waiting")
        expect(listener.page.get_by_role("status").first).to_have_text(
            "This room is not live right now – waiting"
        )
        with Speaker(shared_server.url, "later"):
            listener.wait_for_playback()
            expect(listener.page.get_by_role("status").first).to_have_text("Live")


def test_a_take_that_ends_is_said_to_have_ended_and_the_next_one_plays(
    shared_server: Server, browser: Browser
) -> None:
    with listening(browser, "about:blank") as listener:
        with Speaker(shared_server.url, "twice"):
            shared_server.wait_for_sound("twice")
            listener.page.goto(f"{shared_server.url}/listen/twice")
            listener.wait_for_playback()
            first = listener.knows["take"]
            assert shared_server.request("POST", "/rooms/twice/end").status < 300
        listener.wait_for_state("ended")
        expect(listener.page.get_by_role("status").first).to_have_text("The room has ended")
        with Speaker(shared_server.url, "twice"):
            listener.wait_until(lambda knows: knows["take"] not in {None, first}, "the next take")
            listener.wait_for_playback()
        assert not listener.errors


def test_a_listener_may_pause_go_on_and_come_back_to_live(live: str, browser: Browser) -> None:
    with listening(browser, live) as listener:
        listener.wait_for_playback()
        listener.page.get_by_role("button", name="Pause").click()
        stopped = listener.wait_for_state("paused")["position"]
        listener.page.wait_for_timeout(3000)
        listener.page.get_by_role("button", name="Play").click()
        resumed = listener.wait_for_state("behind")
        assert resumed["position"] < stopped + 2, "it goes on where it was paused"
        listener.page.get_by_role("button", name="Go to live").click()
        knows = listener.wait_for_state("live")
        assert knows["following"]
        expect(listener.page.get_by_role("button", name="Go to live")).to_be_hidden()


def test_a_listener_may_scrub_back_with_the_keyboard(
    shared_server: Server, open_room: str, live: str, browser: Browser
) -> None:
    # Behind live is who is more than three seconds behind it.
    shared_server.wait_for(lambda: shared_server.media_playlist(open_room, "64k").count("#EXTINF") > 2)
    with listening(browser, live) as listener:
        listener.wait_for_playback()
        line = listener.page.get_by_role("slider", name="Position in the room")
        line.press("Home")
        listener.wait_for_state("behind")
        expect(line).to_have_attribute("aria-valuetext", re.compile("behind live"))
        line.press("End")
        listener.wait_for_state("live")


def test_a_browser_that_wants_a_gesture_gets_a_play_button(live: str, browser: Browser) -> None:
    with launched(browser.browser_type) as strict, listening(strict, live) as listener:
        knows = listener.wait_for_state("ready")
        assert knows["engine"] is None, "nothing is loaded before somebody wants to hear it"
        loaded = listener.page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert [url for url in loaded if "/listen/" in url]
        assert not [url for url in loaded if "/live/" in url], "who asks for playlists counts as a listener"
        listener.page.get_by_role("button", name="Play").click()
        listener.wait_for_playback()


def test_without_hls_js_the_browser_plays_the_room_by_itself(live: str, browser: Browser) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/assets/hls.mjs", lambda route: route.abort())
    page.goto(live)
    Listener(page).wait_for_playback()
    assert Listener(page).knows["engine"] == "native"
    context.close()
