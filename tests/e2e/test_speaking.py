"""The speaker's page in a real Chromium on a real server: who speaks is heard, whatever happens."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.latency import lost_and_doubled
from tests.e2e.listener import Listener, listening
from tests.e2e.microphone import beeping, speaking, with_microphone
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def microphone(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with with_microphone(browser, beeping(tmp_path_factory.mktemp("sound") / "beeps.wav")) as running:
        yield running


def people(server: Server, room: str) -> dict[str, dict[str, object]]:
    """Who is in the room, by name, as the server says."""
    live = server.get(f"/rooms/{room}").json.get("live")
    return {} if live is None else {speaker["name"]: speaker for speaker in live["speakers"]}


def deleted(server: Server) -> float:
    """How many sessions have been ended by DELETE: nothing else of WHIP is answered with 200."""
    found = re.search(
        r'^longwave_http_requests_total\{kind="whip",status="200"\} (\S+)',
        server.get("/metrics").text,
        re.MULTILINE,
    )
    return float(found[1]) if found else 0.0


def listen_for(listener: Listener, beeps: int) -> list[int]:
    """The tones of so many beeps, or of those that came in the time of twice as many and some more."""
    for _ in range(2 * beeps + 4):
        listener.hear(0.5)
        if len(tones := [beep.tone for beep in listener.beeps()]) >= beeps:
            break
    return tones


def hear_in_order(listener: Listener, at_least: int) -> None:
    """Beeps come, and count up. A machine too busy to play them gets two more chances, not a green test."""
    for _ in range(3):
        listener.forget()
        tones = listen_for(listener, at_least)
        if len(tones) >= at_least and lost_and_doubled(tones) == (0, 0):
            return
    raise AssertionError(f"tones {tones}; {listener.knows}")


def hear_silence(listener: Listener) -> None:
    """The take goes on, and nothing is said in it, once that has come which was under way."""
    for _ in range(8):
        listener.forget()
        before = listener.knows["position"]
        listener.hear(1.2)
        if not listener.beeps():
            assert listener.knows["position"] > before
            return
    raise AssertionError(f"never silent: {listener.knows}")


def test_who_goes_on_air_is_listed_and_heard_while_they_are_neither_muted_nor_away(
    shared_server: Server, browser: Browser, microphone: Browser
) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/heard") as ann:
        knows = ann.go_on_air("Ann Example")
        assert knows["role"] == "admin", "on loopback, without a token, everything is open"
        assert people(shared_server, "heard")["Ann Example"]["kind"] == "whip"
        with listening(browser, f"{shared_server.url}/listen/heard") as listener:
            listener.wait_for_playback()
            hear_in_order(listener, at_least=6)
            ann.wait_until(lambda knows: knows["listeners"] == 1, "told that somebody listens")
            expect(ann.page.get_by_text("1 person is listening")).to_be_visible()
            row = ann.page.get_by_role("listitem").filter(has_text="Ann Example (you)")
            expect(row).to_contain_text("speaking")

            mute = ann.page.get_by_role("button", name="Mute", exact=True)
            mute.click()
            ann.wait_for_state("muted")
            expect(mute).to_have_attribute("aria-pressed", "true")
            hear_silence(listener)
            # The space bar ends it.
            ann.page.get_by_role("heading", level=1).click()
            ann.page.keyboard.press("Space")
            ann.wait_for_state("onair")
            hear_in_order(listener, at_least=4)
        ann.page.get_by_role("button", name="Leave").click()
        shared_server.wait_for(lambda: not people(shared_server, "heard"))
        assert ann.knows["microphone"] == "closed", "off air, the page does not listen"
        assert ann.errors == []


def test_who_is_removed_is_told_and_stays_away(shared_server: Server, microphone: Browser) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/removed") as ann:
        ann.go_on_air("Ann")
        assert shared_server.request("DELETE", "/rooms/removed/speakers/Ann").status == 204
        ann.wait_for_state("removed")
        expect(ann.page.get_by_role("status").first).to_have_text("The host has removed you")
        expect(ann.page.get_by_role("button", name="Go on air")).to_be_hidden()
        ann.page.wait_for_timeout(2000)
        assert people(shared_server, "removed") == {}


def test_a_take_that_the_host_ends_is_not_begun_anew_by_those_who_were_in_it(
    shared_server: Server, microphone: Browser
) -> None:
    with (
        speaking(microphone, f"{shared_server.url}/speak/ended") as ann,
        speaking(microphone, f"{shared_server.url}/speak/ended") as ben,
    ):
        first = ann.go_on_air("Ann")["take"]
        ben.go_on_air("Ben")
        ann.page.get_by_role("button", name="End the room for everybody").click()
        ann.page.get_by_role("dialog").get_by_role("button", name="End the room").click()
        for guest in (ann, ben):
            guest.wait_for_state("ended")
        ann.page.wait_for_timeout(2000)
        assert shared_server.get("/rooms/ended").status == 404, "another take was begun"
        recorded = ann.page.get_by_role("link", name="What was recorded")
        expect(recorded).to_have_attribute("href", f"/replay/ended/{first}")
        ben.page.get_by_role("button", name="Go on air again").click()
        ben.wait_until(
            lambda knows: knows["state"] == "onair" and knows["take"] not in {None, first}, "in a new take"
        )
        assert ann.knows["state"] == "ended"
        expect(recorded).to_be_hidden()


def test_the_later_window_of_one_person_takes_over_and_the_earlier_says_so(
    shared_server: Server, microphone: Browser
) -> None:
    with (
        speaking(microphone, f"{shared_server.url}/speak/twice") as first,
        speaking(microphone, f"{shared_server.url}/speak/twice") as second,
    ):
        first.go_on_air("Ann")
        second.go_on_air("Ann")
        first.wait_for_state("replaced")
        assert second.knows["state"] == "onair"
        first.page.get_by_role("button", name="Speak from here").click()
        first.wait_for_state("onair")
        second.wait_for_state("replaced")


def test_a_host_mutes_removes_and_begins_chapters(shared_server: Server, microphone: Browser) -> None:
    with (
        speaking(microphone, f"{shared_server.url}/speak/host") as host,
        speaking(microphone, f"{shared_server.url}/speak/host") as ben,
    ):
        host.go_on_air("Host / 1")
        ben.go_on_air("Ben")
        host.page.get_by_role("button", name="Mute Ben").click()
        ben.wait_for_state("silenced")
        expect(host.page.get_by_role("listitem").filter(has_text="Ben")).to_contain_text("muted")
        host.page.get_by_role("button", name="Unmute Ben").click()
        ben.wait_for_state("onair")
        host.page.get_by_role("textbox", name="Chapter").fill('One "quoted" <b>chapter</b>')
        host.page.get_by_role("textbox", name="Chapter").press("Enter")
        expect(host.page.locator("#said")).to_have_text('Chapter: One "quoted" <b>chapter</b>')
        expect(host.page.get_by_role("textbox", name="Chapter")).to_have_value("")
        host.page.get_by_role("button", name="Remove Ben").click()
        host.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        assert ben.knows["state"] == "onair"
        host.page.get_by_role("button", name="Remove Ben").click()
        host.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        ben.wait_for_state("removed")
        shared_server.wait_for(lambda: list(people(shared_server, "host")) == ["Host / 1"])
        assert host.errors == ben.errors == []


def test_a_tab_that_is_closed_leaves_at_once(shared_server: Server, microphone: Browser) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/closed") as ann:
        ann.go_on_air("Ann")
        ann.page.on("dialog", lambda dialog: dialog.accept())
        before = deleted(shared_server)
        ann.page.goto("about:blank")
        shared_server.wait_for(lambda: not people(shared_server, "closed"))
        shared_server.wait_for(lambda: deleted(shared_server) == before + 1)


def test_who_finds_no_place_is_told_so_and_comes_in_when_there_is_one(
    shared_server: Server, microphone: Browser
) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/full") as ann:
        answers = iter([503, 503])

        def refuse(route: object) -> None:
            status = next(answers, None)
            if status is None:
                route.continue_()  # type: ignore[attr-defined]
            else:
                body = json.dumps({"error": "this room has its 16 speakers"})
                route.fulfill(status=status, body=body, headers={"Retry-After": "1"})  # type: ignore[attr-defined]

        ann.page.route("**/whip/**", refuse)
        ann.say_name("Ann")
        ann.wait_for_state("ready")
        ann.page.get_by_role("button", name="Go on air").click()
        ann.wait_for_state("full")
        expect(ann.page.locator("#hint")).to_contain_text("this room has its 16 speakers")
        ann.wait_for_state("onair")
