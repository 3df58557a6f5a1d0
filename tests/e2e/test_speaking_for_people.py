"""The speaker's page as people use it: names, order, contrast, width, targets, and its own rules."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.microphone import Guest, beeping, speaking, with_microphone
from tests.e2e.test_pages_for_people import (
    CONTROL_CONTRAST,
    TEXT_CONTRAST,
    contrast,
    focus_order,
    style,
)
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(120)]

# WCAG 2.2, 2.5.5, in CSS pixels; Apple's and Google's guides say about the same.
TARGET = 44
LONG_NAME = "Bartholomew-the-Extraordinarily-Long-named of the Valley of W"

SMALL = """(least) => [...document.querySelectorAll("main button, main input, main select")]
  .map((element) => element.type === "checkbox" ? element.closest(".field") : element)
  .filter((element) => element.checkVisibility())
  .map((element) => [element.id || element.title, element.getBoundingClientRect()])
  .filter(([, box]) => box.height < least || box.width < least)
  .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""


@pytest.fixture(scope="module")
def microphone(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with with_microphone(browser, beeping(tmp_path_factory.mktemp("sound") / "beeps.wav")) as running:
        yield running


def test_the_page_obeys_its_own_policies_and_asks_nobody_else(
    shared_server: Server, microphone: Browser
) -> None:
    shared_server.request("PUT", "/rooms/strict", b"{}")
    context = microphone.new_context()
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{message.text} {message.location}") if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    guest = Guest(page)
    answer = page.goto(f"{shared_server.url}/speak/strict")
    assert answer
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    guest.go_on_air("Ann")
    page.get_by_role("button", name="Leave").click()
    guest.wait_for_state("left")
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(shared_server.url)] == []


def test_every_control_has_a_name_and_its_place_in_the_order(
    shared_server: Server, microphone: Browser
) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/names") as guest:
        guest.wait_for_state("ready")
        # Fields say their label, not their content.
        fields = ["Your name", "Microphone", "Original sound"]
        assert focus_order(guest.page, 3) == ["Longwave", "Listen in a new tab", "Go on air"]
        for name in fields:
            guest.page.keyboard.press("Tab")
            expect(guest.page.get_by_label(name, exact=True)).to_be_focused()
        guest.go_on_air("Ann", original=False)
        expect(guest.page.get_by_role("button", name="Mute", exact=True)).to_be_focused()
        assert focus_order(guest.page, 1) == ["Leave"]
        guest.page.keyboard.press("Shift+Tab")
        guest.page.keyboard.press("Enter")
        guest.wait_for_state("muted")
        assert guest.knows["wanted"], "the key that went on air does not leave again"
        guest.page.get_by_role("button", name="Leave").click()
        expect(guest.page.get_by_role("button", name="Go on air again")).to_be_focused()


def test_a_dialog_keeps_the_focus_and_gives_it_back(shared_server: Server, microphone: Browser) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/dialog") as guest:
        guest.go_on_air("Ann")
        end = guest.page.get_by_role("button", name="End the room for everybody")
        end.click()
        expect(guest.page.get_by_role("button", name="Cancel")).to_be_focused()
        guest.page.keyboard.press("Space")
        expect(guest.page.get_by_role("dialog")).to_be_hidden()
        assert guest.knows["muted"] is False, "a key for the dialog mutes nobody"
        expect(end).to_be_focused()
        end.click()
        guest.page.keyboard.press("Escape")
        expect(guest.page.get_by_role("dialog")).to_be_hidden()
        assert guest.knows["state"] == "onair"


def in_light_and_dark(page: Page) -> Iterator[str]:
    """The colour behind everything, in each of the two."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        yield style(page, "body", "background-color")


def test_contrast_is_enough_in_light_and_dark(shared_server: Server, microphone: Browser) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/contrast") as guest:
        page = guest.page
        guest.wait_for_state("ready")
        papers = []
        for paper in in_light_and_dark(page):
            papers.append(paper)
            go = style(page, "#go", "background-color")
            assert contrast(go, paper) >= CONTROL_CONTRAST
            assert contrast(style(page, "#go", "color"), go) >= TEXT_CONTRAST
        assert len(set(papers)) == 2
        guest.go_on_air("Ann")
        for paper in in_light_and_dark(page):
            onair_is_seen(page, paper)
        page.get_by_role("button", name="Mute", exact=True).click()
        guest.wait_for_state("muted")
        for paper in in_light_and_dark(page):
            assert contrast(style(page, "#mute", "color"), paper) >= CONTROL_CONTRAST


def onair_is_seen(page: Page, paper: str) -> None:
    """All that a speaker reads or uses stands out from what is behind it."""
    for selector in ("h1", "#state", "#hint", "#advice", "#elapsed", "h2", "#listeners", ".who", ".doing"):
        assert contrast(style(page, selector, "color"), paper) >= TEXT_CONTRAST, selector
    for selector in ("#name", "#microphone", "#leave", "#end", "#chapter-title"):
        ground = style(page, selector, "background-color")
        assert contrast(style(page, selector, "color"), ground) >= TEXT_CONTRAST, selector
        assert contrast(style(page, selector, "border-color"), paper) >= CONTROL_CONTRAST, selector
    for selector in ("#original", ".hand button"):
        assert contrast(style(page, selector, "color"), paper) >= CONTROL_CONTRAST, selector
    mute = style(page, "#mute", "background-color")
    assert contrast(mute, paper) >= CONTROL_CONTRAST
    assert contrast(style(page, "#mute", "color"), mute) >= CONTROL_CONTRAST


def test_a_small_phone_shows_all_of_it_and_a_thumb_hits_everything(
    shared_server: Server, microphone: Browser
) -> None:
    room = "a-room-with-a-name-that-is-as-long-as-names-of-rooms-may-ever-be"
    with speaking(
        microphone, f"{shared_server.url}/speak/{room}", viewport={"width": 360, "height": 640}
    ) as guest:
        for stage in ("ready", "onair"):
            if stage == "onair":
                guest.go_on_air(LONG_NAME)
            else:
                guest.wait_for_state(stage)
            assert guest.page.evaluate("document.documentElement.scrollWidth") <= 360
            assert guest.page.evaluate(SMALL, TARGET) == []


def test_what_changes_is_said_once(shared_server: Server, microphone: Browser) -> None:
    with speaking(microphone, f"{shared_server.url}/speak/said") as guest:
        guest.wait_for_state("ready")
        guest.page.evaluate(
            """() => {
              window.said = [];
              for (const region of document.querySelectorAll("[role=status]")) {
                new MutationObserver(() => window.said.push(region.textContent)).observe(
                  region, { childList: true, characterData: true, subtree: true });
              }
            }"""
        )
        guest.go_on_air("Ann")
        guest.page.wait_for_timeout(3000)
        said = [text for text in guest.page.evaluate("window.said") if text]
        states = [text for text in said if text in {"Going on air", "On air"}]
        assert states[-1] == "On air"
        assert len(said) == len(set(said)), said
