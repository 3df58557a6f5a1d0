"""Names and chapters on the player page: those of what is heard, when it is heard."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.listener import Listener, listening
from tests.e2e.speaker import Speaker
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(180)]

TITLE = 'Räume "A" & B, 100 % <i>🎙</i>'
# Remembers, every 20 ms, what the page says of which instant of the room.
WATCH = """() => {
  window.said = [];
  setInterval(() => {
    const { date, chapter, speakers } = window.longwave;
    if (date !== null) window.said.push([date, chapter, speakers.join()]);
  }, 20);
}"""

# As a hand on the line does, which takes whole seconds.
BACK_BEFORE = """(date) => {
  const { date: heard, behind } = window.longwave;
  const line = document.getElementById("timeline");
  line.value = String(-Math.ceil((heard - date) / 1000 + behind + 1.5));
  line.dispatchEvent(new Event("change"));
}"""


def set_chapter(server: Server, title: str) -> int:
    """A chapter at this instant; its sample."""
    answer = server.request("POST", "/rooms/beeps/chapters", json.dumps({"title": title}).encode())
    assert answer.status == 201, answer.text
    sample: int = answer.json["sample"]
    return sample


def date_of_chapter(server: Server, sample: int) -> float:
    """Its instant as the playlist says it, in milliseconds since 1970."""
    playlist = server.media_playlist("beeps", "64k")
    found = re.search(rf'ID="chapter-{sample}-.*?START-DATE="([^"]+)"', playlist)
    assert found is not None, playlist
    return datetime.fromisoformat(found[1]).timestamp() * 1000


def said(listener: Listener) -> list[tuple[float, str | None, str]]:
    values: list[Any] = listener.page.evaluate("window.said")
    return [(date, chapter, names) for date, chapter, names in values]


def before_and_after(listener: Listener, date: float) -> bool:
    dates = [said_of for said_of, _, _ in said(listener)]
    return bool(dates) and min(dates) < date <= dates[-1]


def test_the_page_tells_chapter_and_speaker_of_what_is_heard(shared_server: Server, browser: Browser) -> None:
    server = shared_server
    with Speaker(server.url, "beeps"), listening(browser, f"{server.url}/listen/beeps") as listener:
        listener.wait_for_playback()
        page = listener.page
        page.evaluate(WATCH)
        listener.wait_until(lambda knows: knows["speakers"] == ["beeps"], "a name")
        expect(page.get_by_text("Speaking beeps")).to_be_visible()
        assert listener.knows["chapter"] is None
        sample = set_chapter(server, TITLE)
        listener.wait_until(lambda knows: knows["chapter"] == TITLE, "in the chapter")
        expect(page.get_by_text(TITLE, exact=True)).to_be_visible()
        # Told to a screen reader too, once each.
        expect(page.locator("#news")).to_have_text(f"Chapter: {TITLE}")

        begins = date_of_chapter(server, sample)
        assert {(date >= begins, chapter) for date, chapter, _ in said(listener)} == {
            (False, None),
            (True, TITLE),
        }

        # Who goes back is told what was then, whatever has happened since.
        listener.wait_until(lambda knows: knows["date"] > begins + 2_000, "well into the chapter")
        page.evaluate("window.said.length = 0")
        page.evaluate(BACK_BEFORE, begins)
        listener.wait_until(lambda _: before_and_after(listener, begins), "there again")
        again = {(date >= begins, chapter) for date, chapter, _ in said(listener)}
        assert again == {(False, None), (True, TITLE)}
        assert not listener.errors


def test_nothing_is_said_of_a_room_where_nobody_has_a_name(shared_server: Server, browser: Browser) -> None:
    with (
        Speaker(shared_server.url, "nameless", name=None),
        listening(browser, f"{shared_server.url}/listen/nameless") as listener,
    ):
        listener.wait_for_playback(2.0)
        assert (listener.knows["speakers"], listener.knows["chapter"]) == ([], None)
        expect(listener.page.get_by_text("Speaking")).to_be_hidden()
        expect(listener.page.locator("#news")).to_be_empty()
