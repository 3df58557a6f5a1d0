"""WHIP with a browser's own offers: however a page orders and bundles its tracks, its voice arrives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.listener import chromium
from tests.server import Server

pytestmark = pytest.mark.needs("chromium")

# Longer than the media timeout: a page that sends nothing is not one that is gone.
SILENT_MS = 6500

PUBLISH = """async ([room, kinds, bundlePolicy]) => {
  const pc = new RTCPeerConnection({ iceServers: [], bundlePolicy });
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const [track] = microphone.getAudioTracks();
  for (const kind of kinds) {
    const transceiver = pc.addTransceiver(kind === "audio" ? track : kind, { direction: "sendonly" });
    if (kind === "audio") Object.assign(window, { pc, track, sender: transceiver.sender });
  }
  await pc.setLocalDescription();
  const headers = { "Content-Type": "application/sdp" };
  const response = await fetch(`/whip/${room}`, { method: "POST", headers, body: pc.localDescription.sdp });
  const sdp = await response.text();
  if (response.status !== 201) return { status: response.status, sdp };
  await pc.setRemoteDescription({ type: "answer", sdp });
  return { status: 201 };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as running:
        yield running


@contextmanager
def another_page(browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{server.url}/rooms.json")
    yield page
    context.close()


@pytest.fixture
def page(browser: Browser, shared_server: Server) -> Iterator[Page]:
    with another_page(browser, shared_server) as page:
        yield page


def publish(page: Page, room: str, kinds: list[str], bundle: str = "balanced") -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(PUBLISH, [room, kinds, bundle])
    return answer


def speakers(server: Server, room: str) -> list[dict[str, Any]]:
    answer = server.get(f"/rooms/{room}")
    found: list[dict[str, Any]] = (
        answer.json["live"]["speakers"] if answer.status == 200 and answer.json["live"] else []
    )
    return found


def packets(server: Server, room: str) -> int:
    """How many packets of the room's only speaker have arrived."""
    found = speakers(server, room)
    return int(found[0]["packets"]) if found else 0


def ended(server: Server, outcome: str) -> int:
    for line in server.get("/metrics").text.splitlines():
        if line.startswith(f'longwave_whip_sessions_total{{outcome="{outcome}"}}'):
            return int(float(line.split()[-1]))
    return 0


@pytest.mark.parametrize(
    ("kinds", "bundle"),
    [
        (["audio"], "balanced"),
        (["audio", "video"], "balanced"),
        (["video", "audio"], "balanced"),
        (["audio", "video"], "max-bundle"),
        (["video", "audio"], "max-bundle"),
        (["audio"], "max-compat"),
    ],
)
def test_a_pages_voice_arrives(shared_server: Server, page: Page, kinds: list[str], bundle: str) -> None:
    room = "-".join([*kinds, bundle])
    assert publish(page, room, kinds, bundle) == {"status": 201}
    shared_server.wait_for(lambda: packets(shared_server, room) >= 25)


def test_a_page_without_a_track_stays_one_that_vanishes_is_noticed_and_one_that_closes_leaves(
    shared_server: Server, browser: Browser, page: Page
) -> None:
    server = shared_server
    with another_page(browser, server) as vanishing:
        for one, room in ((page, "pause"), (vanishing, "gone")):
            assert publish(one, room, ["audio"]) == {"status": 201}
            server.wait_for(lambda room=room: packets(server, room) >= 25)  # type: ignore[misc]
        left, vanished = ended(server, "left"), ended(server, "vanished")
        page.evaluate("sender.replaceTrack(null)")
        vanishing.close()
        page.wait_for_timeout(SILENT_MS)
        server.wait_for(lambda: not speakers(server, "gone") and ended(server, "vanished") > vanished)
    before = packets(server, "pause")
    page.evaluate("sender.replaceTrack(track)")
    # More packets of the same speaker: nothing else publishes again.
    server.wait_for(lambda: packets(server, "pause") >= before + 25)
    page.evaluate("pc.close()")
    server.wait_for(lambda: ended(server, "left") == left + 1)
