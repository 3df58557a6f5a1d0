"""A private room in Chromium through a real Varnish: who hears it, until when, who learns the token."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, expect

from contracts.tokens import Keys, derived_secret
from tests.e2e.listener import Listener, listening
from tests.e2e.secure import TOKEN, invitation
from tests.e2e.speaker import Speaker
from tests.e2e.steady import unbroken
from tests.e2e.traffic import Traffic, servers_of
from tests.edges import Edge, running_edge, wait_for
from tests.redis_server import free_port
from tests.server import Server

pytestmark = [
    pytest.mark.needs("chromium", "hls.js", "varnishd", "vmod_digest"),
    pytest.mark.timeout(150),
]

BEARER = {"Authorization": f"Bearer {TOKEN}"}
SIGNING = {"LONGWAVE_TOKEN": TOKEN}
ROOM = "doors"
SHORTLY = 6
"""Seconds: renewed after two thirds of them."""

# What the server gives is good for ten minutes. The page gets another one, as good, but over soon.
SHORT_LIVED = """
const fetched = window.fetch;
window.fetch = async (url, options) => {
  const response = await fetched(url, options);
  if (!response.ok || !String(url).endsWith("/listen-token")) return response;
  const {status, headers} = response;
  return Response.json({...await response.json(), ...await window.shortLived()}, {status, headers});
};
"""


@dataclass
class Stage:
    """A server that sends the listeners of its room to an edge, and all that must not be told."""

    home: Server
    edge: Edge
    secrets: set[str] = field(default_factory=set)

    @contextmanager
    def coming(
        self, browser: Browser, door: str, fragment: str, *, script: str = ""
    ) -> Iterator[tuple[Listener, Traffic]]:
        """A listener who opens the room's page with the page's own policy in force."""
        if fragment:
            self.secrets.add(fragment.rpartition("=")[2])
        with listening(browser, "about:blank", script=script, policy=True) as listener:
            listener.page.expose_function("shortLived", self._short_lived)
            traffic = Traffic(listener.page)
            listener.page.goto(f"{door}/listen/{ROOM}#{fragment}")
            yield listener, traffic

    def get(self, path: str) -> tuple[int, bytes]:
        """As curl asks the edge."""
        try:
            with urllib.request.urlopen(self.edge.url + path, timeout=20) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def untold(self, listener: Listener, traffic: Traffic) -> None:
        """No token stands where others read: logs, `Referer`, what Varnish notes, the page's diagnostics."""
        tokens = {found[1] for url in traffic.urls if (found := re.search("/p/([^/]+)/", url))}
        hidden = {token.rpartition(".")[2] for token in tokens | self.secrets}
        assert hidden
        where = ("-n", str(self.edge.working_directory), "-d")
        told = [
            _said("varnishlog", *where, "-g", "raw"),
            _said("varnishncsa", *where),
            self.edge.log,
            self.home.log_path.read_text(),
            repr(listener.knows),
            *traffic.referrers,
        ]
        assert any(one.endswith(f"/listen/{ROOM}") for one in traffic.referrers), "what pages load names them"
        assert "VCL_Log" in told[0]
        assert [(secret, text[:500]) for text in told for secret in hidden if secret in text] == []

    @staticmethod
    def _short_lived() -> dict[str, object]:
        expires = int(time.time()) + SHORTLY
        return {"path": f"/p/{signed(expires)}", "expires": expires}


def signed(expires: int, room: str = ROOM) -> str:
    """A listen token, as the server signs it."""
    return Keys({"token": derived_secret(TOKEN)}).listen.sign(room, expires)


def longwave_token(*options: str) -> str:
    """What `longwave token` prints."""
    return _said(sys.executable, "-m", "longwave", "token", *options, env=SIGNING).strip()


def _said(*command: str, env: dict[str, str] | None = None) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("doors")
    keys = [(kid, key) for kid, key in map(str.split, longwave_token("--edge-keys").splitlines())]
    port = free_port()
    with running_edge("varnish", [f"127.0.0.1:{port}"], directory, keys=keys) as edge:
        env = {
            **SIGNING,
            "LONGWAVE_LOG_LEVEL": "debug",
            "LONGWAVE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "LONGWAVE_EDGE_URL": edge.url,
            "LONGWAVE_EDGE_FROM": "1",
        }
        with Server(directory / "data", port=port, env=env) as home:
            made = b'{"visibility": "private", "title": "Behind doors"}'
            assert home.request("PUT", f"/rooms/{ROOM}", made, BEARER).status == 201
            stage = Stage(home, edge)
            with Speaker(home.url, ROOM, token=TOKEN):
                # Somebody listens there already: from then on everybody is sent there.
                told = b'{"tier": "edge", "rooms": {"doors": 1}}'
                home.wait_for(lambda: _sent_to(home) == ["origin"])
                assert home.request("PUT", "/edges/e1/listeners", told, BEARER).status == 204
                home.wait_for(lambda: _sent_to(home) == ["edge"])
                yield stage


def _sent_to(home: Server) -> Sequence[str]:
    said = home.get(f"/p/{signed(int(time.time()) + 60)}/listen/{ROOM}.json")
    return [said.json["tier"]] if said.status == 200 and said.json["live"] else []


def test_an_invitation_is_heard_through_the_edge_and_its_tokens_are_told_to_nobody(
    stage: Stage, browser: Browser
) -> None:
    """Whichever door it is opened at."""
    first = longwave_token("--role", "listener", "--room", ROOM, "--for", "3h")
    second = invitation("listener", ROOM)
    with (
        stage.coming(browser, stage.home.url, f"token={first}") as at_home,
        stage.coming(browser, stage.edge.url, f"token={second}") as at_the_edge,
    ):
        both = [at_home[0], at_the_edge[0]]
        for listener in both:
            listener.wait_for_playback(1.0)
        unbroken(both, lambda: both[0].hear(2.0), at_least=3)
        for listener, traffic in (at_home, at_the_edge):
            expect(listener.page.get_by_role("heading", name="Behind doors")).to_be_visible()
            assert listener.knows["tier"] == "edge"
            assert servers_of(traffic.live) == {stage.edge.url}
            assert all(re.match(f"{stage.edge.url}/p/[^/]+/live/{ROOM}/", url) for url in traffic.live)
            # An edge knows nothing of invitations.
            exchanges = [url for url in traffic.urls if "listen-token" in url]
            assert set(exchanges) == {f"{stage.home.url}/rooms/{ROOM}/listen-token"}
            assert not listener.forbidden
            assert not listener.errors
            stage.untold(listener, traffic)


def test_a_listen_token_alone_opens_the_room_at_the_edge_itself(stage: Stage, browser: Browser) -> None:
    path = longwave_token("--listen", "--room", ROOM, "--for", "10m")
    with stage.coming(browser, stage.edge.url, f"listen={path.removeprefix('/p/')}") as (listener, traffic):
        listener.wait_for_playback(1.0)
        assert traffic.servers() == {stage.edge.url}
        assert not listener.forbidden
        stage.untold(listener, traffic)


@pytest.mark.parametrize(
    ("fragment", "state"),
    [
        (lambda: "", "waiting"),
        (lambda: f"listen={signed(int(time.time()) + 600, 'another')}", "private"),
        (lambda: f"listen={signed(int(time.time()) - 5)}", "expired"),
    ],
    ids=["nothing", "for-another-room", "expired"],
)
def test_who_may_not_hear_is_told_so_by_the_edge(
    stage: Stage, browser: Browser, fragment: Callable[[], str], state: str
) -> None:
    with stage.coming(browser, stage.edge.url, fragment()) as (listener, traffic):
        listener.wait_for_state(state)
        assert traffic.servers() == {stage.edge.url}
        assert "Behind doors" not in listener.page.content()
        assert not [url for url in traffic.live if ".m4s" in url]


def test_who_renews_hears_on_and_who_cannot_is_told_that_it_is_over(stage: Stage, browser: Browser) -> None:
    invited = invitation("listener", ROOM)
    with stage.coming(browser, stage.home.url, f"token={invited}", script=SHORT_LIVED) as (renewing, traffic):
        renewing.wait_for_playback(0.5)
        once = f"listen={signed(int(time.time()) + SHORTLY)}"
        with stage.coming(browser, stage.edge.url, once) as (bare, asked):
            bare.wait_for_playback(0.1)

            def prefixes() -> list[str]:
                return list(dict.fromkeys(re.sub("/live/.*", "", url) for url in traffic.live))

            def over(prefix: str) -> bool:
                return stage.get(f"{prefix.removeprefix(stage.edge.url)}/live/{ROOM}/index.m3u8")[0] == 403

            def renewed() -> None:
                known = prefixes()
                renewing.wait_until(lambda _: len(prefixes()) > len(known), "renewed")
                renewing.wait_until(lambda _: over(known[-1]), "beyond the one before")
                renewing.hear(1.0)

            unbroken([renewing], renewed)
            assert servers_of(traffic.live) == {stage.edge.url}

            bare.wait_for_state("expired")
            expect(bare.page.locator("main")).to_contain_text("Your invitation has expired")
            asked.urls.clear()
            renewing.hear(1.0)
            assert asked.live == []
            assert not renewing.forbidden
            stage.untold(renewing, traffic)


def test_every_address_of_the_room_is_there_for_its_own_token_alone(stage: Stage) -> None:
    good = int(time.time()) + 600
    token = signed(good)

    def text(path: str) -> str:
        status, body = stage.get(f"/p/{token}{path}")
        assert status == 200, path
        return body.decode()

    multivariant = f"/live/{ROOM}/index.m3u8"
    playlist = f"/live/{ROOM}/{text(multivariant).splitlines()[-1]}"
    wait_for(lambda: "#EXT-X-MAP" in text(playlist) and ".m4s" in text(playlist), "it has media")
    listed = re.findall(r'(?:URI=")?([\w.]+\.(?:m4s|mp4))', text(playlist))
    init, segment, part = (
        next(name for name in listed if re.fullmatch(shape, name))
        for shape in (r"init\.mp4", r"\d+\.m4s", r"\d+\.\d+\.m4s")
    )
    media = [playlist.replace("index.m3u8", name) for name in (init, segment, part)]
    for path in (multivariant, playlist, *media, _replay(stage, "short")):
        room = path.split("/")[2]
        assert stage.get(f"/p/{signed(good, room)}{path}")[0] == 200, path
        assert stage.get(path)[0] == 404
        assert stage.get(f"/p/{signed(int(time.time()) - 1, room)}{path}")[0] == 403
        assert stage.get(f"/p/{signed(good, 'another')}{path}")[0] == 403


def _replay(stage: Stage, room: str) -> str:
    """The path of a private replay, which is there by then."""
    home = stage.home
    home.request("PUT", f"/rooms/{room}", b'{"visibility": "private"}', BEARER)
    home.request("PUT", f"/pcm/{room}", bytes(48_000 * 2), BEARER)
    take = home.request("POST", f"/rooms/{room}/end", b"", BEARER).json["take"]
    path = f"/replay/{room}/{take}.m4a"
    token = signed(int(time.time()) + 600, room)
    home.wait_for(lambda: home.get(f"/p/{token}{path}").status == 200)
    return path
