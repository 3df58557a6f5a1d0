"""The replay page in Chromium: what is heard where, what is shown, who may do what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.replay_stage import SECRET, Made, Stage, staged, tones
from tests.e2e.test_pages_for_people import (
    CONTROL_CONTRAST,
    TEXT_CONTRAST,
    contrast,
    focus_order,
    style,
)

pytestmark = [pytest.mark.needs("chromium", "ffmpeg"), pytest.mark.timeout(120)]

# One tone a chapter, 20 s each: what is heard says where one is.
TONES = (330, 550, 770)
CHAPTERS = [(0.0, "Low"), (20.0, "Middle <b>&"), (40.0, "High")]
SPEAKERS = {"Ann": [(0.0, 12.0)], "Bo": [(12.0, 30.0), (35.0, 58.0)]}

# The strongest tone that the page plays, in hertz; 0 in silence.
HEARD = """() => {
  if (window.spectrum === undefined) {
    const context = new AudioContext();
    window.spectrum = new AnalyserNode(context, { fftSize: 16384, smoothingTimeConstant: 0 });
    context.createMediaElementSource(document.getElementById("audio")).connect(window.spectrum);
    window.spectrum.connect(context.destination);
  }
  const { spectrum } = window;
  const levels = new Float32Array(spectrum.frequencyBinCount);
  spectrum.getFloatFrequencyData(levels);
  let best = 0;
  for (let bin = 1; bin < levels.length; bin += 1) if (levels[bin] > levels[best]) best = bin;
  return levels[best] > -60 ? (best * spectrum.context.sampleRate) / spectrum.fftSize : 0;
}"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as running:
        yield running


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tones(tmp_path_factory.mktemp("sound") / "tones.m4a", 20, *TONES)


@pytest.fixture
def made(sound: Path, stage: Stage) -> Made:
    made = Made(sound, 60.0, chapters=[*CHAPTERS], speakers=dict(SPEAKERS))
    stage.show(made)
    return made


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(timezone_id="Europe/Berlin")
    yield context
    context.close()


@dataclass
class Visit:
    """One visit to the page of a replay."""

    page: Page

    @property
    def knows(self) -> dict[str, Any]:
        values: dict[str, Any] = self.page.evaluate("window.longwave ?? {}")
        return values

    @property
    def position(self) -> float:
        position: float = self.knows["position"]
        return position

    def wait(self, condition: Callable[[dict[str, Any]], bool], what: str) -> None:
        for _ in range(300):
            if condition(knows := self.knows):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not {what}: {knows}")

    def is_at(self, seconds: float, within: float = 0.2) -> None:
        self.wait(lambda knows: abs(knows.get("position", -1) - seconds) <= within, f"at {seconds} s")

    def hears(self, tone: int) -> None:
        heard = 0.0
        for _ in range(300):
            heard = float(self.page.evaluate(HEARD))
            if abs(heard - tone) < 10:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{heard} Hz is heard instead of {tone}: {self.knows}")

    @property
    def slider(self) -> Any:  # noqa: ANN401 - a locator
        return self.page.get_by_role("slider", name="Position")


def visit(context: BrowserContext, url: str) -> Visit:
    """Open the page; returns when it says what it has found, and a replay's sound can be sought in."""
    page = context.new_page()
    page.goto(url)
    found = Visit(page)
    found.wait(lambda knows: knows.get("state", "loading") != "loading", "found")
    if not page.locator("#kept").is_hidden():
        expect(page.locator("#audio")).to_have_js_property("readyState", 4, timeout=15_000)
    return found


# ---- what is heard, and where ------------------------------------------------------------------------------


def test_a_press_on_a_chapter_plays_that_chapter(stage: Stage, made: Made, context: BrowserContext) -> None:
    on = visit(context, stage.page(made))
    for index, (_, title) in reversed([*enumerate(CHAPTERS)]):
        link = on.page.get_by_role("listitem").get_by_role("link", name=title)
        link.click()
        on.hears(TONES[index])
        expect(link).to_have_attribute("aria-current", "true")
        expect(on.page.locator("#chapter")).to_have_text(title)
    assert on.page.locator("[aria-current=true]").count() == 1


def test_the_keyboard_alone_reaches_chapters_and_every_instant(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    on = visit(context, stage.page(made))
    on.slider.focus()
    for key, at in (("End", 59.99), ("Home", 0), ("ArrowRight", 5), ("ArrowUp", 10), ("ArrowLeft", 5)):
        on.page.keyboard.press(key)
        on.is_at(at)
    on.page.keyboard.press("PageUp")
    on.is_at(59.99)
    expect(on.slider).to_have_attribute("aria-valuetext", "59 s of 1 min, High")
    on.page.keyboard.press("PageDown")
    on.is_at(0)
    on.page.get_by_role("link", name="Middle").focus()
    on.page.keyboard.press("Enter")
    on.hears(TONES[1])
    on.slider.focus()
    on.page.keyboard.press(" ")
    on.wait(lambda knows: not knows["wanted"], "paused by the space bar")


def test_an_address_with_a_moment_opens_there(stage: Stage, made: Made, context: BrowserContext) -> None:
    on = visit(context, stage.page(made, "#t=0:45"))
    on.is_at(45)
    assert not on.knows["wanted"], "nobody has pressed play"
    on.page.get_by_role("button", name="Play", exact=True).click()
    on.hears(TONES[2])
    on.page.evaluate("location.hash = 't=25'")
    on.hears(TONES[1])
    on.page.evaluate("location.hash = 't=9:59:59'")
    on.wait(lambda knows: knows["position"] > 59.9, "at the end")


def test_a_hand_on_the_waveform_goes_where_it_lets_go_and_keys_go_on_from_there(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    on = visit(context, stage.page(made))
    box = on.page.locator("#wave").bounding_box()
    assert box
    left, width, middle = box["x"], box["width"], box["y"] + 30
    on.page.mouse.move(left + 5, middle)
    on.page.mouse.down()
    on.page.mouse.move(left + width / 2, middle, steps=4)
    expect(on.page.locator("#peek")).to_have_text("0:30 Middle <b>&")
    expect(on.page.locator("#elapsed")).to_have_text("0:30")
    assert on.position == 0, "as long as it is held, nothing jumps"
    on.page.mouse.move(left + 2 * width, middle + 60)
    on.page.mouse.up()
    on.is_at(59.99)
    on.page.mouse.click(left + width * 0.75, middle)
    on.is_at(45, within=0.5)
    on.page.keyboard.press("ArrowLeft")
    on.is_at(40, within=0.5)


def test_a_line_of_a_speaker_can_be_pointed_into(stage: Stage, made: Made, context: BrowserContext) -> None:
    on = visit(context, stage.page(made))
    names = on.page.locator("#speakers .who").all_text_contents()
    assert names == ["Bo", "Ann"], "who spoke most stands first"
    lane = on.page.locator("#speakers canvas").first
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    assert box
    on.page.mouse.click(box["x"] + box["width"] / 3, box["y"] + 5)
    on.is_at(20, within=0.5)
    expect(on.page.locator("#voices")).to_have_text("Bo")
    expect(on.page.locator("#speakers [data-speaking=true] .who")).to_have_text("Bo")


def test_skips_are_fifteen_seconds_and_end_at_the_ends(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    on = visit(context, stage.page(made, "#t=50"))
    on.is_at(50)
    on.page.get_by_role("button", name="Back 15 seconds").click()
    on.is_at(35)
    for _ in range(2):
        on.page.get_by_role("button", name="Forward 15 seconds").click()
    on.is_at(59.99)


def test_the_speed_changes_and_is_remembered(stage: Stage, made: Made, context: BrowserContext) -> None:
    on = visit(context, stage.page(made))
    on.page.get_by_role("combobox", name="Speed").select_option("1.5")
    on.page.get_by_role("button", name="Play", exact=True).click()
    on.hears(TONES[0])  # the pitch stays
    assert on.knows["rate"] == 1.5
    again = visit(context, stage.page(made))
    expect(again.page.get_by_role("combobox", name="Speed")).to_have_value("1.5")
    assert again.knows["rate"] == 1.5


def test_a_shared_moment_is_where_it_was_shared(stage: Stage, made: Made, context: BrowserContext) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    on = visit(context, stage.page(made, "#t=25"))
    on.is_at(25)
    on.page.get_by_role("button", name="Share from 0:25").click()
    expect(on.page.locator("#said")).to_have_text("Link to 0:25 copied")
    link = on.page.evaluate("navigator.clipboard.readText()")
    assert link == stage.page(made, "#t=25")
    visit(context, link).is_at(25)
    on.page.get_by_role("button", name="Share this replay").click()
    expect(on.page.locator("#said")).to_have_text("Link copied")
    assert on.page.evaluate("navigator.clipboard.readText()") == stage.page(made)
    # A feed is for apps: its address, and the player stays.
    on.page.get_by_role("link", name="Podcast feed").click()
    expect(on.page.locator("#said")).to_have_text("Copied: paste it into a podcast app")
    feed = on.page.evaluate("navigator.clipboard.readText()")
    assert feed == stage.page(made).partition("/replay/")[0] + "/feeds/evening.xml"
    expect(on.page.get_by_role("link", name="The room")).to_have_attribute("href", "/listen/evening")


def test_sound_that_breaks_goes_on_where_it_was(stage: Stage, made: Made, context: BrowserContext) -> None:
    made.cut = made.sound.stat().st_size // 2
    on = visit(context, stage.page(made))
    on.page.get_by_role("link", name="High").click()
    expect(on.page.locator("#state")).to_have_text("Back in a moment", timeout=20_000)
    expect(on.page.get_by_role("button", name="Pause")).to_be_visible()
    made.cut = None
    on.hears(TONES[2])
    expect(on.page.locator("#state")).to_have_text("Replay")
    assert 40 <= on.position < 60


def test_sound_that_does_not_come_at_first_comes_by_itself(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    context.route("**/*.m4a", lambda route: route.abort())
    page = context.new_page()
    page.goto(stage.page(made, "#t=45"))
    expect(page.locator("#state")).to_have_text("Back in a moment", timeout=20_000)
    context.unroute("**/*.m4a")
    expect(page.locator("#state")).to_have_text("Replay", timeout=20_000)
    page.locator("#play").click()
    Visit(page).hears(TONES[2])


# ---- what there is, and what there is not ------------------------------------------------------------------


def test_the_page_says_what_when_and_how_long(stage: Stage, made: Made, context: BrowserContext) -> None:
    made.gaps = [(10, 14), (30, 31)]
    on = visit(context, stage.page(made))
    expect(on.page.get_by_role("heading", level=1)).to_have_text("Evening talk, 3 July 2026")
    expect(on.page.locator("#when")).to_have_text("3 July 2026 at 19:00 · 1 min")
    assert on.page.title() == "Evening talk, 3 July 2026 · Longwave"
    expect(on.page.get_by_text("a gap in 2 places, 5 s in all")).to_be_visible()
    expect(on.page.get_by_role("link", name="Podcast feed")).to_have_attribute("href", "/feeds/evening.xml")
    assert on.page.evaluate("navigator.mediaSession.metadata.title") == "Evening talk, 3 July 2026"
    with on.page.expect_download() as download:
        on.page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == made.sound.read_bytes()


def test_what_was_played_is_drawn_in_another_colour(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    made.gaps = [(40, 60)]
    on = visit(context, stage.page(made, "#t=20"))
    on.is_at(20)
    # How much is drawn in each third, and in how many colours.
    thirds = on.page.evaluate(
        """() => {
          const canvas = document.getElementById("waveform");
          const pen = canvas.getContext("2d");
          return [0, 1, 2].map((third) => {
            const at = Math.round((third * canvas.width) / 3) + 4;
            const { data } = pen.getImageData(at, 0, Math.round(canvas.width / 3) - 8, canvas.height - 14);
            const seen = new Map();
            for (let i = 0; i < data.length; i += 4) {
              if (data[i + 3] !== 255) continue;
              const colour = data.slice(i, i + 3).join();
              seen.set(colour, (seen.get(colour) ?? 0) + 1);
            }
            const [most] = [...seen].sort((one, other) => other[1] - one[1]);
            return most;
          });
        }"""
    )
    (played, much), (ahead, as_much), (dotted, little) = thirds
    assert played != ahead
    assert dotted == ahead
    assert min(much, as_much) > 10 * little > 0, "a gap is neither sound nor nothing"


def test_a_crowd_is_shown_when_asked_for(stage: Stage, made: Made, context: BrowserContext) -> None:
    made.speakers = {f"Voice {n}": [(n, n + 1.0)] for n in range(9)}
    on = visit(context, stage.page(made))
    assert on.page.locator("#speakers li:visible").count() == 6
    on.page.get_by_role("button", name="Show 3 more").click()
    assert on.page.locator("#speakers li:visible").count() == 9
    expect(on.page.locator("#speakers li").nth(6)).to_be_focused()


def test_a_replay_without_anything_beside_its_sound_is_a_page_all_the_same(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    made.chapters, made.speakers = [], {}
    on = visit(context, stage.page(made))
    for heading in ("Chapters", "Who speaks", "For the host"):
        expect(on.page.get_by_role("heading", name=heading)).to_be_hidden()
    on.page.get_by_role("button", name="Play", exact=True).click()
    on.hears(TONES[0])


def test_what_cannot_be_reached_or_is_being_finished_appears_by_itself(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    made.trouble = (503, {"Retry-After": "1"})
    on = visit(context, stage.page(made))
    expect(on.page.locator("#state")).to_have_text("Back in a moment")
    made.trouble = (409, {"Retry-After": "1"})
    expect(on.page.locator("#state")).to_have_text("Almost there", timeout=15_000)
    expect(on.page.locator("#play")).to_be_hidden()
    made.trouble = None
    expect(on.page.locator("#play")).to_be_visible(timeout=15_000)
    expect(on.page.locator("#state")).to_have_text("Replay")


def test_a_take_that_is_live_leads_to_its_room(stage: Stage, made: Made, context: BrowserContext) -> None:
    made.trouble = (409, {"Retry-After": "10"})
    stage.live = {made.room: made.take}
    on = visit(context, stage.page(made))
    expect(on.page.get_by_role("link", name="Listen live")).to_have_attribute("href", "/listen/evening")


def test_what_is_not_there_is_said_once_and_for_all(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    stage.replays.clear()
    on = visit(context, stage.page(made))
    expect(on.page.locator("#state")).to_have_text("No replay here")
    expect(on.page.locator("#lead")).to_have_attribute("href", "/")


def test_a_replay_that_is_taken_away_while_it_is_heard_is_said_to_be(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    made.cut = made.sound.stat().st_size // 2
    on = visit(context, stage.page(made))
    stage.replays.clear()
    on.page.get_by_role("link", name="High").click()
    expect(on.page.locator("#state")).to_have_text("No replay here", timeout=20_000)
    expect(on.page.get_by_role("button", name="Play", exact=True)).to_be_hidden()


# ---- the host's hand ---------------------------------------------------------------------------------------


def test_what_is_not_published_only_its_host_hears(stage: Stage, made: Made, context: BrowserContext) -> None:
    made.published = False
    nobody = visit(context, stage.page(made))
    expect(nobody.page.locator("#state")).to_have_text("No replay here")
    assert nobody.page.get_by_text(made.shown_title).count() == 0
    host = visit(context, stage.page(made, f"#token={SECRET}&t=45"))
    assert host.page.url == stage.page(made, "#t=45"), "the token is out of the address"
    expect(host.page.get_by_text("Not published: only hosts of this room see this page")).to_be_visible()
    host.page.get_by_role("button", name="Play", exact=True).click()
    host.hears(TONES[2])
    host.page.get_by_role("button", name="Publish", exact=True).click()
    expect(host.page.locator("#host-said")).to_have_text("It is published.")
    expect(host.page.get_by_role("button", name="Unpublish")).to_be_visible()
    expect(host.page.locator("#notice")).to_be_hidden()
    assert stage.edits == [{"published": True}]
    host.hears(TONES[2])
    assert all(
        who == f"Bearer {SECRET}" for _, path, who in stage.asked if path.startswith("/rooms/") and who
    )


def test_a_host_edits_title_and_chapters(stage: Stage, made: Made, context: BrowserContext) -> None:
    on = visit(context, stage.page(made, f"#token={SECRET}&t=30"))
    on.is_at(30)
    on.page.get_by_text("Title and chapters").click()
    on.page.get_by_role("textbox", name="Title", exact=True).fill("Tides & <b>tunes</b>")
    on.page.get_by_role("button", name="Remove “Low”").click()
    on.page.get_by_role("textbox", name="Begins at").nth(1).fill("0:41")
    on.page.get_by_role("button", name="Add a chapter at 0:30").click()
    on.page.keyboard.type("Half of it")
    on.page.keyboard.press("Enter")
    expect(on.page.locator("#host-said")).to_have_text("Saved.")
    assert stage.edits == [
        {
            "title": "Tides & <b>tunes</b>",
            "chapters": [
                {"sample": 960_000, "title": "Middle <b>&"},
                {"seconds": 41, "title": "High"},
                {"seconds": 30, "title": "Half of it"},
            ],
        }
    ]
    expect(on.page.get_by_role("heading", level=1)).to_have_text("Tides & <b>tunes</b>")
    assert on.page.locator("#chapters .name").all_text_contents() == ["Middle <b>&", "Half of it", "High"]
    on.is_at(30)
    on.page.get_by_role("button", name="Save").click()
    expect(on.page.locator("#host-said")).to_have_text("Nothing was changed.")
    on.page.get_by_role("textbox", name="Begins at").first.fill("soon")
    on.page.get_by_role("button", name="Save").click()
    expect(on.page.get_by_role("textbox", name="Begins at").first).to_be_focused()
    assert len(stage.edits) == 1


def test_a_host_deletes_after_a_second_thought(stage: Stage, made: Made, context: BrowserContext) -> None:
    on = visit(context, stage.page(made, f"#token={SECRET}"))
    on.page.get_by_role("button", name="Delete this replay").click()
    expect(on.page.get_by_role("button", name="Cancel")).to_be_focused()
    on.page.keyboard.press("Escape")
    assert stage.replays
    on.page.get_by_role("button", name="Delete this replay").click()
    on.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(on.page.locator("#state")).to_have_text("Deleted")
    expect(on.page.get_by_role("button", name="Play", exact=True)).to_be_hidden()
    assert not stage.replays


# ---- the ways to it ----------------------------------------------------------------------------------------


def test_the_lobby_lists_replays_newest_first(stage: Stage, made: Made, context: BrowserContext) -> None:
    hidden = Made(made.sound, 60, room="secret", published=False)
    named = Made(made.sound, 3720, room="talk", room_title="Talk", title="Tides <b>")
    stage.show(made, hidden, named)
    page = context.new_page()
    page.goto(stage.url)
    cards = page.locator("#replays li")
    expect(cards).to_have_count(2)
    expect(cards.filter(has_text="Tides <b>")).to_contain_text("Talk · 3 July 2026 · 1 h 2 min")
    expect(page.get_by_role("status")).to_contain_text("Nobody is on air right now")
    cards.filter(has_text="Evening").get_by_role("link").click()
    page.wait_for_url(stage.page(made))


def test_replays_of_one_day_are_told_apart_by_their_time(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    twin = Made(made.sound, 60, take="20260703T180000Z-twin22")
    stage.show(made, twin, Made(made.sound, 60, room="single", room_title="Single"))
    page = context.new_page()
    page.goto(stage.url)
    cards = page.locator("#replays li")
    expect(cards.filter(has_text="Evening").filter(has_text="3 July 2026 at 19:00 · 1 min")).to_have_count(2)
    expect(cards.filter(has_text="Single")).not_to_contain_text("19:00")


def test_a_room_that_is_silent_leads_to_its_last_replay(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(f"{stage.url}/listen/evening")
    page.get_by_role("link", name="Listen to the last replay").click()
    page.wait_for_url(stage.page(made))


# ---- for people --------------------------------------------------------------------------------------------


def test_the_page_obeys_its_own_content_security_policy(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    made.published = False  # so that the sound is a blob
    complaints: list[str] = []
    requests: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    context.on("request", lambda request: requests.append(request.url))
    visit(context, stage.page(made, f"#token={SECRET}"))
    assert complaints == []
    assert [url for url in requests if not url.startswith((stage.url, f"blob:{stage.url}"))] == []


def test_every_control_has_a_name_and_its_place_in_the_order(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    on = visit(context, stage.page(made, f"#token={SECRET}"))
    assert focus_order(on.page, 4)[:3] == ["Longwave", "The room", "All rooms"]
    on.page.get_by_role("slider", name="Position").focus()
    order = focus_order(on.page, 14)
    assert [name.replace("\n", " ") for name in order[1:]] == [
        "Back 15 seconds",
        "Play",
        "Forward 15 seconds",
        "Mute",
        "Volume",
        "Share this replay",
        "Share from 0:00",
        "Download",
        "Podcast feed",
        "0:00 Low",
        "0:20 Middle <b>&",
        "0:40 High",
        "Unpublish",
    ]
    on.slider.focus()
    on.page.keyboard.press("Tab")
    on.page.keyboard.press("Shift+Tab")
    assert float(style(on.page, "#wave", "outline-width").removesuffix("px")) >= 2, "focus is visible"


def test_a_screen_reader_is_told_of_chapters_and_voices_but_not_of_every_second(
    stage: Stage, made: Made, context: BrowserContext
) -> None:
    on = visit(context, stage.page(made, "#t=18"))
    on.slider.focus()
    on.page.evaluate(
        """() => {
          window.said = [];
          const note = (records) => window.said.push(...records.map(({ target }) => target.textContent));
          const news = document.getElementById("news");
          new MutationObserver(note).observe(news, { childList: true, characterData: true, subtree: true });
          window.values = [];
          const slider = document.getElementById("position");
          new MutationObserver(() => window.values.push(slider.value)).observe(slider, { attributes: true });
        }"""
    )
    on.page.keyboard.press(" ")
    on.wait(lambda knows: knows["position"] > 22.5, "four seconds further on")
    assert on.page.evaluate("window.said") == ["Chapter: Low. Bo speaks", "Chapter: Middle <b>&"]
    assert on.page.evaluate("window.values") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(stage: Stage, made: Made, browser: Browser, scheme: str) -> None:
    made.gaps = [(1, 2)]
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    on = visit(context, stage.page(made, f"#token={SECRET}"))
    paper = style(on.page, "body", "background-color")
    words = (
        "h1",
        "#state",
        "#when",
        "#chapter",
        "#elapsed",
        "#length",
        "#gaps",
        ".lanes .doing",
        "#visibility",
    )
    for selector in words:
        assert contrast(style(on.page, selector, "color"), paper) >= TEXT_CONTRAST, selector
    for selector in ("#back", "#share", "#play"):
        assert contrast(style(on.page, selector, "color"), paper) >= CONTROL_CONTRAST or selector == "#play"
    play = style(on.page, "#play", "background-color")
    assert contrast(style(on.page, "#play", "color"), play) >= CONTROL_CONTRAST
    # What the canvases are drawn with.
    for name in ("--accent", "--edge", "--ink"):
        drawn = on.page.evaluate(
            """(name) => {
              const probe = document.body.appendChild(document.createElement("i"));
              probe.style.color = `var(${name})`;
              return getComputedStyle(probe).color;
            }""",
            name,
        )
        assert contrast(drawn, paper) >= CONTROL_CONTRAST, name
    context.close()


def test_nothing_is_wider_than_a_small_phone(stage: Stage, made: Made, browser: Browser) -> None:
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 3
    made.title, made.room_title = long, long
    made.chapters = [(0, long), (59, "short")]
    made.speakers = {long[:64]: [(0, 30)]}
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True)
    on = visit(context, stage.page(made, f"#token={SECRET}"))
    on.page.get_by_text("Title and chapters").click()
    assert on.page.evaluate("document.documentElement.scrollWidth") <= 360
    box = on.page.get_by_role("button", name="Play", exact=True).bounding_box()
    speed = on.page.get_by_role("combobox", name="Speed").bounding_box()
    back = on.page.get_by_role("button", name="Back 15 seconds").bounding_box()
    assert box
    assert speed
    assert back
    assert abs(box["x"] + box["width"] / 2 - 180) < 3, "the thumb finds it in the middle"
    assert speed["x"] + speed["width"] <= back["x"]
    assert min(back["width"], back["height"], speed["height"]) >= 44
    on.page.goto(stage.url)
    expect(on.page.locator("#replays li")).to_have_count(1)
    assert on.page.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
