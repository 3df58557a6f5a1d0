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
def open_room(shared_server: Server) -> Iterator[str]:
    """A room where somebody begins to speak, and speaks on."""
    with Speaker(shared_server.url, "open"):
        yield "open"


@pytest.fixture(scope="module")
def live(shared_server: Server, open_room: str) -> str:
    """The player on that room, once there is something to play."""
    shared_server.wait_for(lambda: "#EXTINF" in shared_server.media_playlist(open_room, "64k"))
    return f"{shared_server.url}/listen/{open_room}"
