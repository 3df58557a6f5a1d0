"""`/metrics` of a running server: everything that dashboard and rules ask for, and no room in it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.grid import SAMPLE_RATE
from tests.observed import asked, told
from tests.server import Server

ROOM = "room-that-nobody-else-has"
SPEAKER = "speaker-that-nobody-else-is"
SECONDS = 6


@dataclass(frozen=True)
class Seen:
    """What a server said of itself while a room played, and after it was asked for what is not there."""

    text: str

    def value(self, name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"no {name} with {labels}")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    with Server(tmp_path_factory.mktemp("metrics") / "data") as server:
        pcm = b"\x00\x10" * SECONDS * SAMPLE_RATE
        sending = threading.Thread(
            target=server.request, args=("PUT", f"/pcm/{ROOM}?speaker={SPEAKER}", pcm), daemon=True
        )
        sending.start()
        server.wait_for(lambda: ".m4s" in server.media_playlist(ROOM, "64k"))
        server.request("POST", f"/rooms/{ROOM}/chapters", b'{"title": "One"}')
        for path in (f"/live/{ROOM}/never/64k/index.m3u8", f"/replay/{ROOM}/never.m4a", f"/feeds/{ROOM}.xml"):
            server.get(path)
        server.wait_for(lambda: len(server.media_playlist(ROOM, "64k").split(".m4s")) > 5)
        yield Seen(server.get("/metrics").text)
        server.request("POST", f"/rooms/{ROOM}/end")
        sending.join(20)


def test_a_server_tells_what_dashboard_and_rules_ask_for(seen: Seen) -> None:
    missing = {name for name in asked() if not name.startswith("longwave_edge_")} - told(seen.text)
    assert not missing


def test_nobody_is_named(seen: Seen) -> None:
    """A series for each room, take, speaker or listener would be one for ever more."""
    assert ROOM not in seen.text
    assert SPEAKER not in seen.text
    values = {
        value
        for family in text_string_to_metric_families(seen.text)
        for sample in family.samples
        for value in sample.labels.values()
    }
    assert not [value for value in values if value.startswith("20") and "Z-" in value]


def test_a_room_that_plays_is_in_the_numbers(seen: Seen) -> None:
    encoded = seen.value("longwave_encoded_seconds_total")
    spent = seen.value("longwave_encoding_seconds_total")
    assert 0.4 < encoded < SECONDS + 1
    assert 0 < spent < encoded * 10
    assert 0 < seen.value("longwave_live_edge_age_seconds") < 60
    assert seen.value("longwave_takes", state="live") == 1
    # Whoever asks for the metrics, and the sender.
    assert seen.value("longwave_connections") >= 2
    assert 0 < seen.value("longwave_cores") <= 1024
    assert seen.value("longwave_memory_limit_bytes") > seen.value("process_resident_memory_bytes") > 0
    assert seen.value("longwave_tier_listeners", tier="origin") >= 0
