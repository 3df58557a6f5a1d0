"""Private rooms in Chromium: who comes in by which link, what others are told, and where no token is seen."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from contracts.access import Role
from contracts.tokens import Keys, derived_secret
from tests.e2e.listener import Listener, listening
from tests.e2e.secure import TOKEN, invitation
from tests.e2e.speaker import Speaker
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(150)]

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROOM = "behind-doors"

# Each token that the page is given is another one, and has three seconds to live for all that it knows.
SHORT_LIVED = """
const fetched = window.fetch;
let longer = 600;
window.fetch = async (url, options) => {
  if (!String(url).endsWith("/listen-token")) return fetched(url, options);
  const body = JSON.stringify({for: longer += 60});
  const response = await fetched(url, {...options, body});
  const expires = Date.parse(response.headers.get("date")) / 1000 + 3;
  const {status, headers} = response;
  return Response.json({...await response.json(), expires}, {status, headers});
};
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A private room where somebody speaks all the time."""
    with Server(tmp_path_factory.mktemp("private") / "data", env={"LONGWAVE_TOKEN": TOKEN}) as running:
        made = b'{"visibility": "private", "title": "Board meeting"}'
        assert running.request("PUT", f"/rooms/{ROOM}", made, BEARER).status in {200, 201}
        with Speaker(running.url, ROOM, token=TOKEN):
            yield running


class Seen:
    """All that a page lets others see: what it asks for, whom it names, what it writes."""

    def __init__(self, page: Page) -> None:
        self.urls: list[str] = []
        self.referrers: list[str] = []
        self.written: list[str] = []
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("request", lambda request: self.referrers.append(request.headers.get("referer", "")))
        page.on("console", lambda message: self.written.append(message.text))

    @property
    def live(self) -> list[str]:
        return [url for url in self.urls if "/live/" in url]


@contextmanager
def coming(
    browser: Browser, server: Server, fragment: str, *, room: str = ROOM, script: str = ""
) -> Iterator[tuple[Listener, Seen]]:
    """A listener who opens `/listen/ROOM#FRAGMENT`."""
    with listening(browser, "about:blank", script=script) as listener:
        seen = Seen(listener.page)
        listener.page.goto(f"{server.url}/listen/{room}#{fragment}")
        yield listener, seen


def bare(room: str = ROOM, *, seconds: int = 600) -> str:
    """A listen token as `longwave token --listen` makes it."""
    return Keys({"token": derived_secret(TOKEN)}).listen.sign(room, int(time.time()) + seconds)


@pytest.mark.parametrize("role", ["listener", "host"])
def test_an_invitation_opens_the_room_and_its_token_is_nowhere_to_be_seen(
    server: Server, browser: Browser, role: Role
) -> None:
    invited = invitation(role, ROOM)
    with coming(browser, server, f"token={invited}") as (listener, seen):
        listener.wait_for_playback()
        expect(listener.page.get_by_role("heading", name="Board meeting")).to_be_visible()
        assert listener.page.url == f"{server.url}/listen/{ROOM}"
        (prefix,) = {re.sub("/live/.*", "", url) for url in seen.live}
        path = prefix.removeprefix(server.url)
        assert re.fullmatch(r"/p/token\.[0-9]+\.[0-9a-f]{64}", path)
        token = path.removeprefix("/p/")
        said = [json.dumps(listener.knows), *seen.written, *seen.referrers, listener.page.content()]
        assert [text for text in said if token in text or invited in text] == []
        assert not listener.errors


def test_a_bare_token_is_kept_in_its_tab_and_not_shared(server: Server, browser: Browser) -> None:
    with coming(browser, server, f"listen={bare()}") as (listener, _):
        listener.wait_for_playback(0.1)
        assert listener.page.url == f"{server.url}/listen/{ROOM}"
        listener.page.reload()
        listener.wait_for_playback(0.1)
        listener.page.get_by_role("button", name="Share this room").click()
        expect(listener.page.locator("#said")).to_contain_text("Others need an invitation of their own.")
        # Where the clipboard is closed to tests, the link is shown.
        link = listener.page.locator("#link")
        assert link.is_hidden() or link.input_value() == f"{server.url}/listen/{ROOM}"


@pytest.mark.parametrize(
    ("fragment", "state", "words"),
    [
        (lambda: "", "waiting", "opens only by invitation"),
        (lambda: f"listen={bare('another')}", "private", "This room is private"),
        (lambda: f"listen={bare(seconds=-5)}", "expired", "Your invitation has expired"),
        (lambda: f"token={invitation('listener', ROOM, seconds=-60)}", "expired", "invitation has expired"),
    ],
    ids=["nothing", "for-another-room", "expired", "expired-invitation"],
)
def test_who_may_not_hear_is_told_so(
    server: Server, browser: Browser, fragment: Callable[[], str], state: str, words: str
) -> None:
    with coming(browser, server, fragment()) as (listener, seen):
        listener.wait_for_state(state)
        expect(listener.page.locator("main")).to_contain_text(words)
        assert "Board meeting" not in listener.page.content()
        assert not listener.errors
        assert not [url for url in seen.live if ".m4s" in url]


def test_a_token_is_renewed_before_it_is_over_and_nobody_hears_it(server: Server, browser: Browser) -> None:
    invited = invitation("host", ROOM)
    with coming(browser, server, f"token={invited}", script=SHORT_LIVED) as (listener, seen):
        listener.wait_for_playback()

        def prefixes() -> list[str]:
            return list(dict.fromkeys(re.sub("/live/.*", "", url) for url in seen.live))

        for _ in range(3):  # a machine that is too busy to play gets two more chances
            before, known = listener.knows, len(prefixes())
            listener.wait_until(lambda _, known=known: len(prefixes()) > known, "renewed")  # type: ignore[misc]
            listener.hear(1.0)
            assert listener.knows["restarts"] == before["restarts"]
            if listener.knows["stalls"] == before["stalls"]:
                break
        else:
            raise AssertionError(f"it stalls with each new token: {listener.knows}")
        assert seen.live[-1].startswith(prefixes()[-1]), "the old one is still in use"


def publish(server: Server, room: str, take: str) -> int:
    answer = server.request("PATCH", f"/rooms/{room}/replays/{take}", b'{"published": true}', BEARER)
    return answer.status


def test_a_private_replay_is_found_from_its_room_and_heard(server: Server, browser: Browser) -> None:
    server.request("PUT", "/rooms/short", b'{"visibility": "private", "title": "Shortly"}', BEARER)
    invited = invitation("listener", "short")
    with ExitStack() as speaking:
        speaking.enter_context(Speaker(server.url, "short", token=TOKEN))
        # A page that came before it would ask again after five seconds only.
        server.wait_for(lambda: bool(server.get("/rooms/short", BEARER).json["live"]))
        with coming(browser, server, f"token={invited}", room="short") as (listener, seen):
            listener.wait_for_playback()
            assert server.request("POST", "/rooms/short/end", b"", BEARER).status < 300
            speaking.close()
            take, page = listener.knows["take"], listener.page
            server.wait_for(lambda: publish(server, "short", take) == 200)
            page.get_by_role("link", name="Listen to the replay").click(timeout=20_000)
            page.wait_for_function("window.longwave?.state === 'ready' && longwave.seconds > 0")
            assert page.url == f"{server.url}/replay/short/{take}"
            page.get_by_role("button", name="Play", exact=True).click()
            page.wait_for_function("longwave.position > 0.3")
            sounds = [url for url in seen.urls if url.endswith(".m4a")]
            assert sounds
            assert all("/p/" in url for url in sounds)
            assert page.locator("#download").get_attribute("href") == sounds[0].removeprefix(server.url)
            assert page.locator("#feed").is_hidden()
            assert not listener.errors
    with listening(browser, f"{server.url}/replay/short/{take}") as stranger:
        stranger.wait_for_state("gone")
        expect(stranger.page.locator("main")).to_contain_text("opens only by invitation")
