"""A listener is sent from one base to another, or a base dies: what comes to the ear, and who is asked."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.e2e.listener import Listener, listening
from tests.e2e.speaker import Speaker
from tests.e2e.steady import unbroken
from tests.server import Server
from tests.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.needs("chromium", "hls.js"), pytest.mark.timeout(150)]

# What the server says of where to listen is changed on its way in; all else, and that it answers, is real.
ASK_OFTEN = """
window.told = {ask_again: 1};
const fetched = window.fetch;
window.fetch = async (url, options) => {
  const response = await fetched(url, options);
  if (!/[/]listen[/][^/]+[.]json$/.test(url) || !response.ok) return response;
  return Response.json({...await response.json(), ...window.told});
};
"""
STAY = ASK_OFTEN + "Object.assign(window.told, {tier: 'origin', bases: ['']});"


class Asked:
    """The requests for live media that a page makes, by the server that they go to."""

    def __init__(self, listener: Listener) -> None:
        self.urls: list[str] = []
        listener.page.on("request", lambda request: self.urls.append(request.url))

    def servers(self) -> set[str]:
        live = [urlsplit(url) for url in self.urls if "/live/" in url]
        return {f"{url.scheme}://{url.netloc}" for url in live}


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


@pytest.fixture(scope="module")
def known(port: int) -> Iterator[TcpProxy]:
    """The edge that the server itself knows of."""
    with TcpProxy(port) as link:
        yield link


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, port: int, known: TcpProxy) -> Iterator[Server]:
    """A server that sends its first listener to an edge; somebody speaks in its room all the time."""
    env = {
        "LONGWAVE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "LONGWAVE_EDGE_URL": url_of(known),
        "LONGWAVE_EDGE_FROM": "1",
    }
    with Server(tmp_path_factory.mktemp("home") / "data", port=port, env=env) as running:
        running.request("PUT", "/rooms/moving", b'{"parts": 10}')
        with Speaker(running.url, "moving"):
            yield running


@pytest.fixture
def edge(home: Server) -> Iterator[TcpProxy]:
    with TcpProxy(home.port) as link:
        yield link


@pytest.fixture
def cdn(home: Server) -> Iterator[TcpProxy]:
    with TcpProxy(home.port) as link:
        yield link


def url_of(link: TcpProxy) -> str:
    return f"http://127.0.0.1:{link.port}"


def tell(listener: Listener, tier: str, *bases: str) -> None:
    """From now on the server says this."""
    told = {"tier": tier, "bases": bases, "ask_again": 1}
    listener.page.evaluate(f"window.told = {json.dumps(told)}")


def go(listener: Listener, tier: str, base: str) -> None:
    """Send the listener to a base, and wait until it is there."""
    tell(listener, tier, base)
    listener.wait_until(lambda knows: (knows["base"], knows["tier"]) == (base, tier), f"at {tier}")
    # What is under way ends where it began.
    listener.hear(0.7)


def test_a_listener_moves_up_and_down_and_hears_nothing_of_it(
    home: Server, edge: TcpProxy, cdn: TcpProxy, browser: Browser
) -> None:
    with listening(browser, f"{home.url}/listen/moving", script=STAY) as listener:
        listener.wait_for_playback()
        before, asked = len(listener.bodies), Asked(listener)

        def through_all_tiers() -> None:
            for tier, base in (("edge", url_of(edge)), ("cdn", url_of(cdn)), ("origin", "")):
                go(listener, tier, base)
                asked.urls.clear()
                listener.hear(0.7)
                assert asked.servers() == {base or home.url}

        unbroken([listener], through_all_tiers)
        assert listener.knows["moves"] % 3 == 0
        assert not listener.errors
        # Nothing that was loaded at one base was loaded again at another.
        loaded = [urlsplit(url).path for url, _ in listener.bodies[before:]]
        assert len(loaded) == len(set(loaded)) > 20


def test_a_base_that_does_not_answer_is_not_moved_to(home: Server, edge: TcpProxy, browser: Browser) -> None:
    edge.cut()
    with listening(browser, f"{home.url}/listen/moving", script=STAY) as listener:
        listener.wait_for_playback()

        def offered() -> None:
            tried = edge.connections
            tell(listener, "edge", url_of(edge))
            listener.wait_until(lambda _: edge.connections > tried, "trying the edge")
            listener.hear(1.0)

        offered()
        assert (listener.knows["base"], listener.knows["moves"]) == ("", 0)
        tried = edge.connections
        unbroken([listener], lambda: listener.hear(2.0))
        assert edge.connections == tried, "left alone for a while"


def test_who_listens_at_a_base_that_dies_goes_home_and_hears_on(
    home: Server, edge: TcpProxy, browser: Browser
) -> None:
    with listening(browser, f"{home.url}/listen/moving", script=STAY) as listener:
        listener.wait_for_playback()
        go(listener, "edge", url_of(edge))
        restarts = listener.knows["restarts"]
        edge.cut()
        listener.wait_until(lambda knows: knows["base"] == "", "at home")
        listener.wait_for_playback(2.0)
        assert listener.knows["base"] == "", "it went back to what had failed"
        assert listener.knows["restarts"] == restarts
        assert not listener.errors


def test_the_server_sends_a_listener_to_its_edge_and_the_pages_own_policy_allows_it(
    home: Server, known: TcpProxy, browser: Browser
) -> None:
    context = browser.new_context()  # with the policy in force
    context.add_init_script(ASK_OFTEN)
    listener = Listener(context.new_page())
    refused: list[str] = []
    listener.page.on("console", lambda message: refused.append(message.text))
    listener.page.goto(f"{home.url}/listen/moving")
    listener.wait_until(lambda knows: knows.get("base") == url_of(known), "at the edge")
    asked = Asked(listener)
    listener.wait_for_playback()
    listener.wait_until(lambda _: asked.servers() == {url_of(known)}, "asking the edge")
    assert refused == []
    assert listener.knows["moves"] == 1
    context.close()
