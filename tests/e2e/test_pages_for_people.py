"""Names, order, contrast, width, and the rules that the pages put on themselves."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.listener import Listener
from tests.e2e.speaker import Speaker
from tests.server import Server

pytestmark = pytest.mark.needs("chromium", "hls.js")

# WCAG 2.2: 1.4.3 for text, 1.4.11 for what one must see to use a control.
TEXT_CONTRAST = 4.5
CONTROL_CONTRAST = 3.0


def luminance(color: str) -> float:
    """Relative luminance of a computed `rgb(r, g, b)`, by WCAG's definition."""
    channels = [int(text) / 255 for text in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# The page writes its own state ten times a second, so that of the test is set and looked at in one go.
STYLE = """(element, [name, state]) => {
  if (state !== null) document.body.dataset.state = state;
  return getComputedStyle(element).getPropertyValue(name);
}"""


def style(page: Page, selector: str, name: str, state: str | None = None) -> str:
    value: str = page.eval_on_selector(selector, STYLE, [name, state])
    return value


NAME_OF_FOCUS = """() => {
  const { activeElement: element } = document;
  return element.getAttribute("aria-label") ?? element.textContent.trim();
}"""


def focus_order(page: Page, stops: int) -> list[str]:
    """What Tab comes to, by the name that a screen reader says."""
    names = []
    for _ in range(stops):
        page.keyboard.press("Tab")
        names.append(page.evaluate(NAME_OF_FOCUS))
    return names


def test_contrast_is_computed_as_wcag_does() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast("rgb(119, 119, 119)", "rgb(255, 255, 255)") == pytest.approx(4.48, abs=0.01)


# The first here: nobody is on air yet.
def test_the_lobby_lists_live_rooms_and_leads_to_them_by_keyboard(
    shared_server: Server, browser: Browser
) -> None:
    server = shared_server
    server.request("PUT", "/rooms/evening", b'{"title": "Evening <b>talk</b>"}')
    page = browser.new_page()
    page.goto(server.url)
    expect(page.get_by_role("status")).to_contain_text("Nobody is on air right now")
    with Speaker(server.url, "evening"):
        link = page.get_by_role("link", name="Evening <b>talk</b>")
        expect(link).to_be_visible(timeout=20_000)
        expect(page.get_by_role("status")).to_have_text("1 room is live")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        expect(link).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**/listen/evening")
        expect(page.get_by_role("heading", name="Evening <b>talk</b>")).to_be_visible()
        Listener(page).wait_for_state("live")
        assert page.title() == "Evening <b>talk</b> · Longwave"
    server.request("POST", "/rooms/evening/end")
    page.context.close()


def test_the_player_obeys_its_own_content_security_policy(
    shared_server: Server, live: str, browser: Browser
) -> None:
    page = browser.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    answer = page.goto(live)
    assert answer
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    Listener(page).wait_for_playback()
    assert complaints == []
    foreign = [url for url in requests if not url.startswith((shared_server.url, "blob:"))]
    assert foreign == [], "nothing comes from another host"
    page.context.close()


def test_every_control_of_the_player_has_a_name_and_its_place_in_the_order(
    live: str, browser: Browser
) -> None:
    page = browser.new_page(viewport={"width": 900, "height": 700})
    page.goto(live)
    Listener(page).wait_for_state("live")
    # There is a position to move to once the room is some seconds long.
    expect(page.get_by_role("slider", name="Position in the room")).to_be_enabled(timeout=20_000)
    order = focus_order(page, 8)
    assert order == [
        "Longwave",
        "Speak",
        "All rooms",
        "Position in the room",
        "Mute",
        "Volume",
        "Pause",
        "Share this room",
    ]
    assert float(style(page, "#share", "outline-width").removesuffix("px")) >= 2, "focus is visible"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    Listener(page).wait_for_state("paused")
    page.context.close()


def test_mute_and_volume_say_what_they_are_at(shared_server: Server, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{shared_server.url}/listen/quiet")
    mute, volume = page.get_by_role("button", name="Mute"), page.get_by_role("slider", name="Volume")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "true")
    expect(volume).to_have_attribute("aria-valuetext", "0 %")
    mute.click()
    volume.fill("40")
    expect(volume).to_have_attribute("aria-valuetext", "40 %")
    assert page.eval_on_selector("#audio", "audio => audio.volume") == pytest.approx(0.4)
    page.reload()
    expect(volume).to_have_attribute("aria-valuetext", "40 %")
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_in_light_and_dark(shared_server: Server, browser: Browser, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto(f"{shared_server.url}/listen/contrast?debug")
    Listener(page).wait_for_state("waiting")
    paper = style(page, "body", "background-color")
    for selector in ("h1", "#state", "#hint", "#elapsed", "#behind", "header a.quiet", "header a.brand"):
        assert contrast(style(page, selector, "color"), paper) >= TEXT_CONTRAST, selector
    for selector in ("#mute", "#share", "#play"):
        assert contrast(style(page, selector, "color"), paper) >= CONTROL_CONTRAST, selector
    assert contrast(style(page, "#state", "color", "live"), paper) >= TEXT_CONTRAST
    play = style(page, "#play", "background-color", "live")
    assert contrast(play, paper) >= CONTROL_CONTRAST
    assert contrast(style(page, "#play", "color", "live"), play) >= CONTROL_CONTRAST
    page.goto(shared_server.url)
    for selector in ("h1", "#said"):
        assert contrast(style(page, selector, "color"), paper) >= TEXT_CONTRAST, selector
    context.close()


LONG_NAME = "a-room-with-a-name-that-is-as-long-as-names-of-rooms-may-ever-be"


@pytest.mark.parametrize(
    "path", ["/", f"/listen/{LONG_NAME}", f"/replay/{LONG_NAME}/20260703T170000Z-ab2cd3"]
)
def test_nothing_is_wider_than_a_small_phone(shared_server: Server, browser: Browser, path: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 640})
    page.goto(shared_server.url + path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.context.close()


OVERLAP = """([one, other]) => {
  const [a, b] = [one, other].map((id) => document.getElementById(id).getBoundingClientRect());
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}"""


def test_the_way_to_live_lies_beside_other_buttons(live: str, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(live)
    Listener(page).wait_for_state("live")
    page.click("#play")
    expect(page.get_by_role("button", name="Go to live")).to_be_visible(timeout=15_000)
    for width in (360, 430, 1000):
        page.set_viewport_size({"width": width, "height": 800})
        for other in ("play", "share", "mute"):
            assert not page.evaluate(OVERLAP, ["live", other]), (width, other)
    page.context.close()


def test_motion_is_reduced_for_those_who_ask(live: str, browser: Browser) -> None:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    # Counts how many different pictures the meter shows in a second and a half.
    page.goto(live)
    Listener(page).wait_for_state("live")
    pictures = page.evaluate(
        """async () => {
          const meter = document.getElementById("meter");
          const seen = new Set();
          const end = performance.now() + 1500;
          while (performance.now() < end) {
            seen.add(meter.toDataURL());
            await new Promise((resolve) => setTimeout(resolve, 50));
          }
          return seen.size;
        }"""
    )
    assert 1 < pictures <= 6, "it moves, but a few times a second only"
    context.close()
