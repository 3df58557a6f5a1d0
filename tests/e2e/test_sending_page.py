"""The lines that docs/sending.md gives to whoever builds a page: they speak, from another site, and stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Error, Page

from tests.documented import files
from tests.e2e.listener import chromium
from tests.server import Server

pytestmark = pytest.mark.needs("chromium")

SECRET: Final = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("guarded") / "data", env={"LONGWAVE_TOKEN": SECRET}) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream") as running:
        yield running


@pytest.fixture
def page(browser: Browser, guarded_server: Server) -> Iterator[Page]:
    """Of a site that has nothing to do with the guarded server, with the script in it."""
    context = browser.new_context()
    page = context.new_page()
    # By another name the same server is another site.
    page.goto(f"http://localhost:{guarded_server.port}/rooms.json")
    page.add_script_tag(content=files("sending.md")["speak.js"])
    yield page
    context.close()


def speakers(server: Server) -> list[dict[str, Any]]:
    answer = server.get("/rooms/friday", {"Authorization": f"Bearer {SECRET}"})
    found: list[dict[str, Any]] = answer.json["live"]["speakers"] if answer.status == 200 else []
    return found


def test_a_page_of_ones_own_speaks_and_stops(guarded_server: Server, page: Page) -> None:
    arguments = [guarded_server.url, "friday", "Ada Lovelace", SECRET]
    page.evaluate("async (them) => { window.stop = await speak(...them); }", arguments)
    guarded_server.wait_for(lambda: any(one["packets"] >= 50 for one in speakers(guarded_server)))
    assert [one["name"] for one in speakers(guarded_server)] == ["Ada Lovelace"]
    page.evaluate("window.stop()")
    guarded_server.wait_for(lambda: not speakers(guarded_server))


def test_a_page_of_ones_own_hears_why_it_may_not(guarded_server: Server, page: Page) -> None:
    with pytest.raises(Error, match="token"):
        page.evaluate("(them) => speak(...them)", [guarded_server.url, "friday", "Ada", "wrong"])
