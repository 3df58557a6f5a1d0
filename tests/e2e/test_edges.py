"""Chromium with hls.js on a real server through a real edge: what is heard, who is asked, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from origin.cache_policy import Kind
from tests.e2e.listener import listening
from tests.e2e.speaker import Speaker
from tests.e2e.steady import unbroken
from tests.e2e.traffic import IMMUTABLE, Traffic, answered, different
from tests.edges import running_edge, wait_for
from tests.server import Server

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(150)]


class Through(NamedTuple):
    """An edge, and a room that is made for it."""

    program: str
    parts: int

    @property
    def room(self) -> str:
        return f"through-{self.program}"


VARNISH, NGINX = Through("varnish", 5), Through("nginx", 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Both rooms speak from the start: who tunes in to parts of 2 s begins 6 s behind."""
    with Server(tmp_path_factory.mktemp("home") / "data") as running:
        for through in (VARNISH, NGINX):
            made = f'{{"parts": {through.parts}}}'.encode()
            assert running.request("PUT", f"/rooms/{through.room}", made).status == 201
        with Speaker(running.url, VARNISH.room), Speaker(running.url, NGINX.room):
            yield running


@pytest.mark.parametrize(
    "through",
    [
        pytest.param(VARNISH, marks=pytest.mark.needs("varnishd", "vmod_digest"), id="varnish"),
        pytest.param(NGINX, marks=pytest.mark.needs("nginx", "njs"), id="nginx"),
    ],
)
def test_two_pages_hear_a_room_through_an_edge_that_asks_its_origin_once_for_both(
    home: Server, browser: Browser, tmp_path: Path, through: Through
) -> None:
    with running_edge(through.program, [home.url], tmp_path) as edge:
        before = answered(home)
        address = f"{edge.url}/listen/{through.room}"
        with (
            listening(browser, "about:blank", policy=True) as first,
            listening(browser, "about:blank", policy=True) as second,
        ):
            traffic = [Traffic(listener.page) for listener in (first, second)]
            first.page.goto(address)
            first.wait_for_playback(0.5)
            second.page.goto(address)
            second.wait_for_playback(1.0)
            unbroken((first, second), lambda: first.hear(4.0), at_least=7)
            for listener in (first, second):
                assert (listener.knows["engine"], listener.knows["state"]) == ("hls.js", "live")
                assert listener.knows["part"] == pytest.approx(
                    -(-94 // through.parts) * 1024 / 48000, abs=1e-4
                )
                assert not listener.forbidden
                assert not listener.errors
        assert traffic[0].servers() == traffic[1].servers() == {edge.url}

        urls = [*traffic[0].live, *traffic[1].live]
        shared = set(traffic[0].live) & set(traffic[1].live)
        for kind in (Kind.BLOCKING_PLAYLIST, Kind.PART):
            assert len(different(shared, kind)) >= 2 * through.parts, f"both have asked for each {kind}"

        def more() -> dict[Kind, int]:
            return {kind: count - before[kind] for kind, count in answered(home).items()}

        # What was under way when the pages were closed comes to its end at the origin.
        once = {kind: len(different(urls, kind)) for kind in IMMUTABLE}
        wait_for(lambda: all(more()[kind] >= once[kind] for kind in IMMUTABLE), f"{once}: {more()}", 10)
        # One that is sent in the moment of closing is the origin's to see, and not ours.
        beyond = {kind: more()[kind] - once[kind] for kind in IMMUTABLE}
        assert all(0 <= count <= 1 for count in beyond.values()), beyond
        # What is good for a second is asked for once a second, at the most.
        for kind in (Kind.MULTIVARIANT, Kind.PLAYLIST):
            assert 1 <= more()[kind] <= sum(bool(different([url], kind)) for url in urls)
