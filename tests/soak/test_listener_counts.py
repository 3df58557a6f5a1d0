"""How right `listeners` is: what a server says of crowds whose size is known, directly and through an edge.

A crowd comes within some seconds, stays, and leaves all at once. Once it has settled, what is said at
`/listen/{room}.json` is read every half second; the figures are printed.
"""

from __future__ import annotations

import contextlib
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from samples import DEMO
from tests.edges import running_edge
from tests.server import Server
from tests.soak.running import Program

ROOM = "counted"
# The slowest way to be counted: reloads within 8 s, which edges tell every 2 s.
SETTLE_SECONDS = 16
MEASURE_SECONDS = 20
ARRIVE_SECONDS = 5

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Counted:
    """What was said of `listeners` while all were there; `gone_after` seconds nobody was counted any more."""

    listeners: int
    said: tuple[int, ...]
    gone_after: float

    @property
    def error(self) -> float:
        """The worst of what was said, in parts of what is right."""
        return max(abs(count - self.listeners) for count in self.said) / self.listeners

    def summary(self) -> str:
        return (
            f"{self.listeners} listeners: said {min(self.said)} to {max(self.said)}, "
            f"{statistics.mean(self.said):.1f} on average, off by {self.error:.1%} at worst; "
            f"nobody {self.gone_after:.0f} s after they left"
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a room that plays."""
    path = tmp_path_factory.mktemp("counted")
    with Server(path / "data") as running:
        options = ("publish", str(DEMO), "--room", ROOM, "--url", running.url, "--loop")
        with Program([sys.executable, "-m", "longwave", *options], path / "publish.log"):
            running.wait_for(lambda: bool(running.media_playlist(ROOM, "64k")), 60)
            yield running


@pytest.fixture(scope="module")
def edge_url(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Varnish before it, whose listeners are counted."""
    path = tmp_path_factory.mktemp("edge")
    with running_edge("varnish", [server.url], path, count="", name="measured") as edge:
        yield edge.url.rstrip("/")


def told(server: Server) -> dict[str, Any]:
    said = server.get(f"/listen/{ROOM}.json").json
    assert isinstance(said, dict)
    return said


@contextlib.contextmanager
def crowd(url: str, listeners: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "longwave", "load", f"{url}/live/{ROOM}/index.m3u8"]
    command += [
        "--listeners",
        str(listeners),
        "--arrive",
        str(listeners / ARRIVE_SECONDS),
        "--for",
        "120",
        *more,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def counted(server: Server, url: str, listeners: int, *more: str) -> Counted:
    server.wait_for(lambda: told(server)["listeners"] == 0, 60)
    with crowd(url, listeners, *more) as process:
        server.wait_for(lambda: told(server)["listeners"] >= listeners // 2, 60)
        time.sleep(ARRIVE_SECONDS + SETTLE_SECONDS)
        said: list[int] = []
        until = time.monotonic() + MEASURE_SECONDS
        while time.monotonic() < until:
            said.append(told(server)["listeners"])
            time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        left = time.monotonic()
        server.wait_for(lambda: told(server)["listeners"] == 0, 90)
    return Counted(listeners, tuple(said), time.monotonic() - left)


@pytest.mark.parametrize("listeners", [7, 150])
@pytest.mark.parametrize(("way", "bound"), [("--low-latency", 0.0), ("", 0.2)])
def test_listeners_at_the_origin(server: Server, listeners: int, way: str, bound: float) -> None:
    found = counted(server, server.url, listeners, *filter(None, (way,)))
    print(f"\nat the origin, {way or 'plain'}: {found.summary()}")  # noqa: T201 - `make soak` is read by people
    assert found.error <= max(bound, 1 / listeners)


@pytest.mark.needs("varnishd")
@pytest.mark.parametrize("listeners", [7, 150])
@pytest.mark.parametrize(("way", "bound"), [("--low-latency", 0.0), ("", 0.2)])
def test_listeners_through_an_edge(
    server: Server, edge_url: str, listeners: int, way: str, bound: float
) -> None:
    found = counted(server, edge_url, listeners, *filter(None, (way,)))
    print(f"\nthrough Varnish, {way or 'plain'}: {found.summary()}")  # noqa: T201 - `make soak` is read by people
    assert found.error <= max(bound, 1 / listeners)
