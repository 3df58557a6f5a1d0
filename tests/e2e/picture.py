"""The pictures of the player and of a replay, from a real run: ``python -m tests.e2e.picture``."""

import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, expect

from tests.e2e.listener import MAY_PLAY, Listener, chromium
from tests.server import Server

IMAGES = Path(__file__).parents[2] / "docs/images"
# Enough for the level to have filled the strip.
SECONDS = 9.0
# Enough for a replay with something to be seen in it.
TAKE_SECONDS = 100.0
CHAPTERS = [(0, "Welcome"), (24, "What the sea brings"), (55, "Questions"), (84, "Good night")]


def main() -> None:
    """Play the demo room for a while, end it, and take both pictures."""
    with (
        TemporaryDirectory() as directory,
        Server(Path(directory) / "data", "--demo") as server,
        chromium(MAY_PLAY) as browser,
    ):
        begin = time.monotonic()
        page = browser.new_page(viewport={"width": 1000, "height": 600}, color_scheme="dark")
        page.goto(f"{server.url}/listen/demo")
        Listener(page).wait_for_playback(SECONDS)
        page.screenshot(path=IMAGES / "player.png")
        page.wait_for_timeout(max(0.0, TAKE_SECONDS - (time.monotonic() - begin)) * 1000)
        server.request("POST", "/rooms/demo/end")
        page.close()
        take_replay(server, browser)


def take_replay(server: Server, browser: Browser) -> None:
    """What was kept of it, in the middle of the third chapter."""
    chapters = [{"seconds": at, "title": title} for at, title in CHAPTERS]
    change = json.dumps({"title": "An evening by the sea", "chapters": chapters}).encode()

    def named() -> bool:
        (found, *_) = server.get("/rooms/demo/replays").json["replays"] or [None]
        path = f"/rooms/demo/replays/{found['take']}" if found else ""
        return found is not None and server.request("PATCH", path, change).status == 200

    server.wait_for(named)
    take = server.get("/rooms/demo/replays").json["replays"][0]["take"]
    page = browser.new_page(viewport={"width": 1000, "height": 1050}, color_scheme="dark", locale="en-GB")
    page.goto(f"{server.url}/replay/demo/{take}#t=66")
    expect(page.locator("#audio")).to_have_js_property("readyState", 4, timeout=15_000)
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / "replay.png")


if __name__ == "__main__":
    main()
