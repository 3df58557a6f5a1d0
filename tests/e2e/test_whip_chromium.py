"""WHIP with a browser's own offers: however a page orders and bundles its tracks, its voice arrives."""

from __future__ import annotations

from collections.abc import Iterator
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


@pytest.fixture
def page(browser: Browser, shared_server: Server) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shared_server.url}/rooms.json")
    yield page
    context.close()


def publish(page: Page, room: str, kinds: list[str], bundle: str = "balanced") -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(PUBLISH, [room, kinds, bundle])
    return answer


def packets(server: Server, room: str) -> int:
    """How many packets of the room's only speaker have arrived."""
    answer = server.get(f"/rooms/{room}")
    speakers = answer.json["live"]["speakers"] if answer.status == 200 and answer.json["live"] else []
    return int(speakers[0]["packets"]) if speakers else 0


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


def test_a_page_without_a_track_stays_and_one_that_closes_leaves(shared_server: Server, page: Page) -> None:
    assert publish(page, "pause", ["audio"]) == {"status": 201}
    shared_server.wait_for(lambda: packets(shared_server, "pause") >= 25)
    left = ended(shared_server, "left")
    page.evaluate("sender.replaceTrack(null)")
    page.wait_for_timeout(SILENT_MS)
    before = packets(shared_server, "pause")
    page.evaluate("sender.replaceTrack(track)")
    # More packets of the same speaker: nothing else publishes again.
    shared_server.wait_for(lambda: packets(shared_server, "pause") >= before + 25)
    page.evaluate("pc.close()")
    shared_server.wait_for(lambda: ended(shared_server, "left") == left + 1)


def test_a_page_that_vanishes_is_noticed(shared_server: Server, page: Page) -> None:
    assert publish(page, "gone", ["audio"]) == {"status": 201}
    shared_server.wait_for(lambda: packets(shared_server, "gone") >= 25)
    vanished = ended(shared_server, "vanished")
    page.close()
    shared_server.wait_for(lambda: ended(shared_server, "vanished") > vanished)
