"""`/metrics` of a running server: everything that dashboard and rules ask for, and no room in it."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.grid import SAMPLE_RATE
from tests.edges import running_edge
from tests.observed import asked, told
from tests.redis_server import free_port
from tests.server import Server

ROOM = "room-that-nobody-else-has"
SPEAKER = "speaker-that-nobody-else-is"
# More than the tests take: the take is ended then.
SECONDS = 60


@dataclass(frozen=True)
class Seen:
    """What a process said of itself."""

    text: str

    def value(self, name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"no {name} with {labels}")

    def names_nobody(self) -> None:
        """A series for each room, take, speaker or listener would be one for ever more."""
        assert ROOM not in self.text
        assert SPEAKER not in self.text
        assert not re.search(r"\d{8}T\d{6}Z", self.text)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with a room that plays."""
    with Server(tmp_path_factory.mktemp("metrics") / "data") as server:
        pcm = b"\x00\x10" * SECONDS * SAMPLE_RATE
        path = f"/pcm/{ROOM}?speaker={SPEAKER}"
        sending = threading.Thread(target=server.request, args=("PUT", path, pcm), daemon=True)
        sending.start()
        server.wait_for(lambda: len(server.media_playlist(ROOM, "64k").split(".m4s")) > 3)
        yield server
        server.request("POST", f"/rooms/{ROOM}/end")
        sending.join(20)


@pytest.fixture(scope="module")
def seen(server: Server) -> Seen:
    """What the server says after it was asked for much, also for what is not there."""
    server.request("POST", f"/rooms/{ROOM}/chapters", b'{"title": "One"}')
    for path in (f"/live/{ROOM}/never/64k/index.m3u8", f"/replay/{ROOM}/never.m4a", f"/feeds/{ROOM}.xml"):
        server.get(path)
    return Seen(server.get("/metrics").text)


def test_a_server_tells_what_dashboard_and_rules_ask_for(seen: Seen) -> None:
    missing = {name for name in asked() if not name.startswith("longwave_edge_")} - told(seen.text)
    assert not missing


def test_nobody_is_named(seen: Seen) -> None:
    seen.names_nobody()


def test_a_room_that_plays_is_in_the_numbers(seen: Seen) -> None:
    encoded = seen.value("longwave_encoded_seconds_total")
    spent = seen.value("longwave_encoding_seconds_total")
    assert 0.4 < encoded < SECONDS
    assert 0 < spent < encoded * 10
    assert 0 < seen.value("longwave_live_edge_age_seconds") < 60
    assert seen.value("longwave_takes", state="live") == 1
    # Whoever asks for the metrics, and the sender.
    assert seen.value("longwave_connections") >= 2
    assert 0 < seen.value("longwave_cores") <= 1024
    assert seen.value("longwave_memory_limit_bytes") > seen.value("process_resident_memory_bytes") > 0
    assert seen.value("longwave_tier_listeners", tier="origin") >= 0


def test_a_server_that_is_alone_tells_how_late_its_parts_are_when_it_is_first_asked(server: Server) -> None:
    (node,) = server.get("/cluster.json").json["nodes"]
    assert node["latency_ms"] > 0


@pytest.mark.needs("varnishd", "vmod_digest")
def test_an_edge_tells_what_is_asked_of_edges_and_names_nobody(server: Server, tmp_path: Path) -> None:
    port = str(free_port())
    with running_edge("varnish", [server.url], tmp_path, count="", metrics_port=port, name="e1") as edge:

        def tell() -> Seen:
            return Seen(fetch(f"http://127.0.0.1:{port}/metrics"))

        # Its own numbers are asked for every 2 s.
        server.wait_for(lambda: not {name for name in asked() if "_edge_" in name} - told(tell().text))
        for _ in range(5):
            fetch(f"{edge.url}/live/{ROOM}/index.m3u8")
        server.wait_for(lambda: tell().value("longwave_edge_client_requests_total") >= 5)
        tell().names_nobody()
        server.wait_for(lambda: Seen(server.get("/metrics").text).value("longwave_edges", tier="edge") == 1)


def fetch(url: str) -> str:
    """What an address answers; nothing while it answers nothing."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
