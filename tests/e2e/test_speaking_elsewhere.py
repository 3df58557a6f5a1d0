"""A real Chromium at one ingest, in a room that another one owns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web
from playwright.sync_api import Browser

from origin.pages import PageHandlers, load_pages
from tests.e2e.listener import chromium
from tests.e2e.microphone import beeping, speaking, with_microphone
from tests.ingests import IngestServer, two_ingests
from tests.server import Server
from workers.whip.settings import WhipSettings

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(120)]

TOKEN = "a secret of the tests"

# What a page of somebody else's does, that knows nothing of us but WHIP and Fetch.
FOLLOW = """async ([url, token]) => {
  const pc = new RTCPeerConnection({ iceServers: [] });
  pc.addTransceiver("audio", { direction: "sendonly" });
  await pc.setLocalDescription();
  const ask = (to) => fetch(to, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${token}` },
    body: pc.localDescription.sdp,
  });
  const first = await ask(url);
  const again = await ask(first.url);
  pc.close();
  return [first.status, first.redirected, first.url, again.status, again.headers.get("Location")];
}"""


class Ingests:
    """Two of them in a thread of their own: playwright has this one."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._loop = asyncio.new_event_loop()
        self._up, self._down = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.here: IngestServer
        self.owner: IngestServer

    async def _run(self) -> None:
        def pages(app: web.Application) -> None:
            PageHandlers(load_pages()).add_routes(app)

        whip = WhipSettings(other_sites=True)
        async with two_ingests(self._data, TOKEN, whip=whip, also=pages) as (self.here, self.owner, owners):
            owners.urls["party"] = self.owner.url
            self._up.set()
            await self._down.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._down.set)
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._loop.close()


@pytest.fixture(scope="module")
def ingests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingests]:
    with Ingests(tmp_path_factory.mktemp("ingests")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def test_the_page_of_one_ingest_speaks_in_a_room_of_another(
    ingests: Ingests, browser: Browser, tmp_path: Path
) -> None:
    here, owner = ingests.here, ingests.owner
    with (
        with_microphone(browser, beeping(tmp_path / "beeps.wav")) as hearing,
        speaking(hearing, f"{here.url}/speak/party#token={TOKEN}") as ann,
    ):
        ann.go_on_air("Ann")
        Server.wait_for(lambda: owner.present("party") == ["Ann"])
        live = owner.ingest.live("party")
        assert live is not None
        Server.wait_for(lambda: bool(owner.bus("party").read(0, owner.bus("party").top).any()))
        assert not here.is_live("party")
        ann.page.get_by_role("button", name="Leave").click()
        Server.wait_for(lambda: not owner.present("party"))
        assert ann.errors == []
    asked = {(request.method, request.path.split("/")[1]) for request in owner.seen}
    assert {("POST", "whip"), ("DELETE", "whip"), ("GET", "rooms")} <= asked
    assert all("Longwave-Relayed" in request.headers for request in owner.seen)


def test_a_page_that_follows_the_redirect_has_to_show_its_token_again(
    ingests: Ingests, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(f"{ingests.here.url}/nothing")
    url = f"{ingests.here.url}/whip/party?speaker=Ben"
    got: list[Any] = page.evaluate(FOLLOW, [url, TOKEN])
    page.close()
    there = f"{ingests.owner.url}/whip/party?speaker=Ben"
    # On the way to another origin Chromium drops Authorization, and keeps method, body and type.
    assert got[:4] == [401, True, there, 201]
    assert got[4].startswith("/whip/party/")
