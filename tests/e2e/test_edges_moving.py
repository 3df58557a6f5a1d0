"""A page that a server sends from itself to an edge, to a CDN before that, and back: nobody hears of it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.e2e.listener import listening
from tests.e2e.speaker import Speaker
from tests.e2e.steady import unbroken
from tests.e2e.traffic import Traffic, servers_of
from tests.edges import running_edge
from tests.redis_server import free_port
from tests.server import Server

pytestmark = [
    pytest.mark.needs("chromium", "hls.js", "varnishd", "vmod_digest"),
    pytest.mark.timeout(150),
]

ROOM = "wandering"
# More than the one who listens here.
EDGE_FROM, CDN_FROM = 3, 6
IN_A_HURRY = (sys.executable, str(Path(__file__).with_name("in_a_hurry.py")))


class Tiers(NamedTuple):
    """A server, and what listeners' addresses begin with on each tier."""

    home: Server
    bases: Mapping[str, str]


class Counts:
    """What edges say of their listeners, told again every second as `longwave edge` does."""

    def __init__(self, home: Server) -> None:
        self._home = home
        self._told = dict.fromkeys(("edge", "cdn"), 0)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def are(self, *, edge: int, cdn: int) -> None:
        """From now on."""
        self._told = {"edge": edge, "cdn": cdn}

    def _tell(self) -> None:
        while not self._over.wait(0.5):
            for tier, listeners in self._told.items():
                told = json.dumps({"tier": tier, "rooms": {ROOM: listeners}}).encode()
                self._home.request("PUT", f"/edges/{tier}-1/listeners", told)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=30)


@pytest.fixture(scope="module")
def tiers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiers]:
    directory = tmp_path_factory.mktemp("tiers")
    port = free_port()
    with (
        running_edge("varnish", [f"127.0.0.1:{port}"], directory, name="edge") as edge,
        running_edge("varnish", [edge.url], directory, name="cdn") as cdn,
    ):
        home = Server(
            directory / "data",
            port=port,
            inside=IN_A_HURRY,
            env={
                "LONGWAVE_PUBLIC_URL": f"http://127.0.0.1:{port}",
                "LONGWAVE_EDGE_URL": edge.url,
                "LONGWAVE_CDN_URL": cdn.url,
                "LONGWAVE_EDGE_FROM": str(EDGE_FROM),
                "LONGWAVE_CDN_FROM": str(CDN_FROM),
            },
        )
        with home, Speaker(home.url, ROOM):
            yield Tiers(home, {"origin": home.url, "edge": edge.url, "cdn": cdn.url})


def test_a_page_goes_up_and_down_as_its_room_does_and_every_beep_is_heard_once(
    tiers: Tiers, browser: Browser
) -> None:
    home = tiers.home
    with Counts(home) as counts, listening(browser, f"{home.url}/listen/{ROOM}", policy=True) as listener:
        listener.wait_for_playback(1.0)
        traffic = Traffic(listener.page)

        def there(tier: str) -> None:
            """Wait until the listener is on that tier; from then on everything is asked for there."""
            base = "" if tier == "origin" else tiers.bases[tier]
            listener.wait_until(lambda knows: (knows["tier"], knows["base"]) == (tier, base), f"on {tier}")
            asked = len(traffic.live)
            listener.wait_until(lambda _: len(traffic.live) >= asked + 5, "asking there")
            assert servers_of(traffic.live[asked:]) == {tiers.bases[tier]}

        def growing_and_shrinking() -> None:
            counts.are(edge=EDGE_FROM, cdn=0)
            there("edge")
            counts.are(edge=0, cdn=CDN_FROM)
            there("cdn")
            counts.are(edge=0, cdn=0)
            there("origin")

        there("origin")
        before = len(listener.bodies)
        unbroken([listener], growing_and_shrinking, at_least=12)
        assert listener.knows["moves"] % 3 == 0
        assert not listener.forbidden
        assert not listener.errors
        # Nothing that was loaded on one tier was loaded again on another.
        loaded = [urlsplit(url).path for url, _ in listener.bodies[before:]]
        assert len(loaded) == len(set(loaded)) > 20
