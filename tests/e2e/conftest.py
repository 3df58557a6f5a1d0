"""One server a test, one browser a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.listener import MAY_PLAY, chromium
from tests.e2e.speaker import Speaker
from tests.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "data") as running:
        yield running


# A module, not a session: while playwright's own event loop is alive, no other test can have one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(MAY_PLAY) as running:
        yield running


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """For tests that mind neither each other's rooms nor a server that has been up for a while."""
    with Server(tmp_path_factory.mktemp("shared") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def live(shared_server: Server) -> Iterator[str]:
    """The player on a room where somebody has been speaking for some seconds, and speaks on."""
    with Speaker(shared_server.url, "open"):
        shared_server.wait_for(lambda: shared_server.media_playlist("open", "64k").count("#EXTINF") > 2)
        yield f"{shared_server.url}/listen/open"
