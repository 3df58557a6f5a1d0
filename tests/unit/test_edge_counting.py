"""From access lines to reports and metrics; and what an edge's own program says."""

from __future__ import annotations

import json

import pytest
from prometheus_client import CollectorRegistry

from contracts.listeners import MAX_ROOMS, Tier
from longwave.edge.counter import EdgeCounter
from longwave.edge.gathering import Gathering
from longwave.edge.metrics import EdgeMetrics, Threads
from longwave.edge.programs import Counted, parse_parameter, parse_varnishstat

LINE = "20260101T000000Z-abc234/64k"


def counting(tier: Tier = Tier.EDGE) -> tuple[Gathering, EdgeCounter, CollectorRegistry]:
    registry = CollectorRegistry()
    gathering = Gathering()
    return gathering, EdgeCounter(gathering, EdgeMetrics(registry), tier), registry


def told(counter: EdgeCounter) -> dict[str, object]:
    report = counter.report()
    assert report is not None
    return report.to_json()


def waited(room: str, msn: int, outcome: str = "hit") -> bytes:
    path = f"/live/{room}/{LINE}/index.m3u8?_HLS_msn={msn}&_HLS_part=0"
    return f"lw1 200 {outcome} blocking_playlist {path}".encode()


def test_lines_become_a_report_and_metrics() -> None:
    gathering, counter, registry = counting(Tier.CDN)
    for step in range(20):
        if step % 8 == 0:
            gathering.add(
                [waited("room", step), *[waited("room", step, "miss")] * 1, *[waited("b", step)] * 9]
            )
            gathering.add([b"lw2 502, 200", b"nonsense", b"lw1 nonsense"])
        counter.step(step * 0.25)
    assert told(counter) == {"tier": "cdn", "rooms": {"room": 2, "b": 9}}
    value = registry.get_sample_value
    assert value("longwave_edge_listeners") == 11
    asked = "longwave_edge_requests_total"
    assert value(asked, {"kind": "blocking_playlist", "outcome": "hit"}) == 30
    assert value(asked, {"kind": "blocking_playlist", "outcome": "miss"}) == 3
    assert value(asked, {"kind": "multivariant", "outcome": "error"}) == 0
    assert value("longwave_edge_origin_requests_total") == 6
    assert value("longwave_edge_origin_failures_total") == 3
    assert value("longwave_edge_client_requests_total") is None
    assert value("longwave_edge_lines_dropped_total") == 0


def test_no_room_is_ever_a_label() -> None:
    gathering, counter, registry = counting()
    gathering.add([waited("a-room-of-its-own", 1)])
    counter.step(1.0)
    labels = [
        label
        for family in registry.collect()
        for sample in family.samples
        for label in sample.labels.values()
    ]
    assert labels
    assert not [label for label in labels if "room" in label]


def test_a_room_that_nobody_listens_to_any_more_is_told_as_none() -> None:
    gathering, counter, _ = counting()
    assert told(counter)["rooms"] == {}
    for msn in (1, 2):
        gathering.add([waited("room", msn)] * 5)
        counter.step(2.0 * msn)
    assert told(counter)["rooms"] == {"room": 5}
    counter.step(120.0)
    assert told(counter) == {"tier": "edge", "rooms": {}}


def test_a_report_is_never_larger_than_an_origin_takes() -> None:
    gathering, counter, _ = counting()
    for msn in (1, 2):
        gathering.add(waited(f"r{number}", msn) for number in range(MAX_ROOMS + 50))
        counter.step(2.0 * msn)
    report = counter.report()
    assert report is not None
    assert len(report.rooms) == MAX_ROOMS


def test_a_log_that_may_have_stopped_does_not_call_everybody_back() -> None:
    gathering = Gathering()
    counter = EdgeCounter(gathering, EdgeMetrics(CollectorRegistry()), Tier.CDN, spread=5.0, silence=30.0)
    counter.step(1.0)
    assert counter.report() is None
    for msn in (1, 2, 3, 4):
        gathering.add([waited("room", msn)] * 5)
        counter.step(2.0 * msn)
    assert told(counter)["rooms"] == {"room": 5}
    counter.step(37.9)
    assert told(counter)["rooms"] == {}
    counter.step(38.0)
    assert counter.report() is None
    gathering.add([waited("another", 1)])
    counter.step(40.0)
    assert told(counter)["rooms"] == {}


def varnishstat(**values: int) -> bytes:
    counters = {f"MAIN.{name}": {"value": value} for name, value in values.items()}
    return json.dumps({"version": 1, "counters": counters}).encode()


ANSWERED = {"cache_hit": 10, "cache_miss": 3, "s_pass": 2, "s_pipe": 0, "s_synth": 1}
ASKED = {"backend_req": 5, "backend_fail": 1}
THREADS = {"threads": 400, "thread_queue_len": 7, "threads_limited": 3, "pools": 2}
DROPPED = {"sess_dropped": 4, "req_dropped": 6}


@pytest.mark.parametrize(("pool_max", "most"), [(12000, 24000), (None, None)])
def test_varnish_is_understood(pool_max: int | None, most: int | None) -> None:
    said = varnishstat(**ANSWERED, **ASKED, **THREADS, **DROPPED)
    assert parse_varnishstat(said, pool_max) == Counted(16, 5, 1, Threads(400, most, 7, 3, 10))
    for other in (b"", b"{}", b"[]", varnishstat(**ANSWERED, **ASKED, **THREADS)):
        with pytest.raises(ValueError, match=r"varnishstat|Expecting"):
            parse_varnishstat(other)


def test_a_parameter_of_varnish_is_understood() -> None:
    said = [2, ["param.show", "-j", "thread_pool_max"], 1.5, {"name": "thread_pool_max", "value": 12000}]
    assert parse_parameter(json.dumps(said).encode()) == 12000
    for other in (b"", b"[]", b"{}", b'[2, [], 1.5, {"value": "auto"}]'):
        with pytest.raises(ValueError, match=r"parameter|Expecting"):
            parse_parameter(other)


def test_threads_are_shown_where_there_are_some() -> None:
    registry = CollectorRegistry()
    totals = EdgeMetrics(registry).totals
    names = ["threads", "threads_max", "queued", "threads_limited_total", "dropped_total"]

    def values() -> list[float | None]:
        return [registry.get_sample_value(f"longwave_edge_{name}") for name in names]

    assert values() == [None] * 5
    totals.threads = Threads(400, 24000, 0, 3, 10)
    assert values() == [400, 24000, 0, 3, 10]
    totals.threads = Threads(400, None, 0, 3, 10)
    assert values() == [400, None, 0, 3, 10]
