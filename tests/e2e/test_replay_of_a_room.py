"""From a room that is heard live to its replay, and to the right sound in it: the whole chain."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from tests.audio import RATE
from tests.e2e.test_replay_page import Visit, visit
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(180)]

LOW, HIGH = 330, 770
SECONDS = 4


def spoken() -> bytes:
    """A low tone and then a high one, so long each."""
    time = np.arange(SECONDS * RATE) / RATE
    sound = np.concatenate([np.sin(2 * np.pi * hertz * time) for hertz in (LOW, HIGH)])
    return np.round(sound * 8000).astype("<i2").tobytes()


def patch(server: Server, path: str, change: dict[str, object]) -> None:
    answer = server.request("PATCH", path, json.dumps(change).encode())
    assert answer.status == 200, answer.text


def test_who_hears_a_room_to_its_end_is_led_to_its_replay_and_finds_every_chapter(
    server: Server, browser: Browser
) -> None:
    server.request("PUT", "/rooms/tones", b'{"title": "High and low"}')
    speaker = threading.Thread(
        target=server.request, args=("PUT", "/pcm/tones?channels=1&speaker=Ann", spoken())
    )
    speaker.start()
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/listen/tones")
    expect(page.locator("body")).to_have_attribute("data-state", "live", timeout=30_000)
    speaker.join()
    server.request("POST", "/rooms/tones/end")
    link = page.get_by_role("link", name="Listen to the replay")
    expect(link).to_be_visible(timeout=30_000)
    take = str(link.get_attribute("href")).rpartition("/")[2]
    chapters = [{"seconds": 1, "title": "Low"}, {"seconds": SECONDS + 1, "title": "High"}]
    patch(server, f"/rooms/tones/replays/{take}", {"title": "Tones", "chapters": chapters})
    link.click()
    page.wait_for_url(f"**/replay/tones/{take}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tones", timeout=15_000)
    on = Visit(page)
    for title, tone in (("High", HIGH), ("Low", LOW)):
        page.get_by_role("link", name=title, exact=False).click()
        on.hears(tone)
    expect(page.locator("#speakers .who")).to_have_text("Ann")
    assert page.evaluate("document.getElementById('audio').duration") == pytest.approx(
        on.knows["seconds"], abs=0.03
    )
    # Nobody needs a token on a server of one's own: what is not published is its host's there.
    patch(server, f"/rooms/tones/replays/{take}", {"published": False})
    server.wait_for(lambda: server.get(f"/replay/tones/{take}/take.json").status == 404)
    hidden = visit(context, f"{server.url}/replay/tones/{take}#t={SECONDS + 1}")
    expect(hidden.page.locator("#notice")).to_be_visible()
    hidden.page.locator("#play").click()
    hidden.hears(HIGH)
    context.close()
