"""The arithmetic and the text of the benchmarks, without measuring anything."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import chart, listeners
from benchmarks.crowd import Arrival, ask_in_turn
from benchmarks.edge_crowds import Crowd, Level
from benchmarks.journeys import arrived
from benchmarks.latency import bucket_counts, bucket_percentile
from benchmarks.load import RANGE, Resource, own_lines
from benchmarks.offline_take import ROUND, published, unfinish
from benchmarks.report import Result, at_least, at_most, markdown, not_measured, percentile
from contracts.errors import NotFound
from storage.disk_objects import DiskObjects
from storage.names import take_object
from tests.audio import RATE, Beep
from tests.soak.running import total
from workers.archive.verify import verify

INFINITY = float("inf")


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 50) == 51.0
    assert percentile(values, 99) == 100.0
    assert percentile([7.0], 99) == 7.0


def test_a_histogram_s_percentile_lies_inside_its_bucket() -> None:
    buckets = [(0.045, 10.0), (0.05, 60.0), (0.055, 100.0), (INFINITY, 100.0)]
    assert bucket_percentile(buckets, 10) == pytest.approx(0.045)
    assert bucket_percentile(buckets, 35) == pytest.approx(0.0475)
    assert bucket_percentile(buckets, 100) == pytest.approx(0.055)


def test_what_lies_above_all_buckets_is_at_least_the_last_bound() -> None:
    assert bucket_percentile([(0.05, 0.0), (2.5, 90.0), (INFINITY, 100.0)], 99) == 2.5


def test_only_what_was_counted_between_two_scrapes_counts() -> None:
    name = "longwave_part_latency_seconds_bucket"
    before = {f'{name}{{le="0.05"}}': 3.0, f'{name}{{le="+Inf"}}': 5.0}
    after = {f'{name}{{le="+Inf"}}': 9.0, f'{name}{{le="0.05"}}': 4.0, "longwave_gaps_total": 1.0}
    assert bucket_counts(before, after) == [(0.05, 1.0), (INFINITY, 4.0)]


def test_a_histogram_is_told_from_one_whose_name_begins_alike() -> None:
    after = {'delay_bucket{le="+Inf"}': 3.0, 'delay_bucket_of_others{le="+Inf"}': 5.0}
    assert bucket_counts({}, after, "delay_bucket") == [(INFINITY, 3.0)]


def test_a_beep_s_journey_ends_with_the_block_that_its_first_sample_is_in() -> None:
    # Opus looks ahead by 312 samples; a block of 240 is on the bus when it is over.
    beeps = [Beep(480 + 312, 3), Beep(24_000 + 312 + 239, 4), Beep(48_000 + 312 + 240, 5)]
    sent = [(3, 99.96), (4, 100.47), (5, 100.97)]
    found = [*arrived(beeps, sent, epoch=100.0)]
    assert [journey.sent for journey in found] == [99.96, 100.47, 100.97]
    assert [journey.seconds for journey in found] == pytest.approx([0.055, 0.035, 0.04])


def test_a_beep_is_the_last_one_of_its_tone_that_was_sent() -> None:
    sent = [(0, 95.0), (0, 99.0), (0, 103.0), (1, 90.0)]
    found = [*arrived([Beep(48_312, 0), Beep(60_312, 1), Beep(72_312, 2)], sent, epoch=100.0)]
    assert [journey.sent for journey in found] == [99.0]


def test_a_total_takes_the_series_that_hold_all_labels() -> None:
    metrics = {
        'requests_total{kind="part",status="200"}': 5.0,
        'requests_total{kind="part",status="503"}': 2.0,
        'requests_total{kind="playlist",status="503"}': 1.0,
        "requests_total_of_others": 100.0,
    }
    assert total(metrics, "requests_total") == 8.0
    assert total(metrics, "requests_total", 'status="503"') == 3.0
    assert total(metrics, "requests_total", 'status="503"', 'kind="part"') == 2.0


def test_a_run_is_written_as_markdown_with_its_targets_first() -> None:
    requests = Result(
        "requests",
        "Requests a second",
        ("", "longwave", "nginx"),
        (("segment", "30,000", "40,000"),),
        notes=("in turns",),
        targets=(at_least("× nginx", 0.6, 0.75), at_most("bytes each", 15.0, 20.0, "{:.1f}")),
    )
    missing = not_measured("ear", "Source to ear", "chromium is not here")
    assert markdown([("CPU", "two cores")], [requests, missing]) == (
        "| machine | |\n"
        "|---|---|\n"
        "| CPU | two cores |\n"
        "\n"
        "| what | target | measured |  |\n"
        "|---|---:|---:|---:|\n"
        "| × nginx | ≥ 0.60 | 0.75 | met |\n"
        "| bytes each | ≤ 15.0 | 20.0 | missed |\n"
        "\n"
        "### Requests a second\n"
        "\n"
        "|  | longwave | nginx |\n"
        "|---|---:|---:|\n"
        "| segment | 30,000 | 40,000 |\n"
        "\n"
        "- in turns\n"
        "\n"
        "### Source to ear\n"
        "\n"
        "- not measured: chromium is not here\n"
    )


def test_a_take_that_is_said_again_is_whole_wherever_it_is_read(tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    take = published(objects, 2 * ROUND, encoded=ROUND)
    checked = verify(objects, take.key)
    assert checked.whole
    assert (checked.samples, checked.lost) == (2 * ROUND * RATE, 0)
    unfinish(objects, take)
    with pytest.raises(NotFound):
        verify(objects, take.key)
    assert len([*objects.list(take_object(take.key, "64k/"))]) == 1 + checked.fragments


def test_each_range_that_is_asked_for_lies_in_the_file() -> None:
    resource = Resource("a file", "/", "", ranges=RANGE + 3)
    asked = {own_lines(resource, count) for count in range(200)}
    assert asked == {f"Range: bytes={start}-{start + RANGE - 1}\r\n" for start in range(3 + 1)}


# ---- listeners through an edge -----------------------------------------------------------------------------


def level(crowd: Crowd, *, lag: float = 0.01, stalled: int = 0, origin: float = 1.5) -> Level:
    """What came of a crowd that asks once a second each."""
    times = {"p50": 0.001, "p95": 0.002, "p99": 0.003}
    met: dict[str, Any] = {
        "honest": lag <= 0.05,
        "schedule_lag": {"requests": {"p99": None}, "loop": {"p99": lag}},
        "rebuffering": {"listeners": stalled},
        "distance": {"p50": 7.0, "p95": 8.0, "p99": 8.125},
        "latency": {"playlist": times},
        "release": {"after_sound": {"blocking_playlist": {**times, "p50": 0.0625}}},
    }
    return Level(crowd, met, float(crowd.listeners), origin, 0.25, 0.07, 0.5)


def test_the_largest_crowd_is_the_first_that_is_on_time_itself() -> None:
    asked = []

    def measure(crowd: Crowd) -> Level:
        asked.append(crowd.listeners)
        return level(crowd, lag=0.02 if crowd.listeners <= 1000 else 0.3)

    found = [*listeners.until_honest(measure, [Crowd(3000), Crowd(1000), Crowd(300)])]
    assert asked == [3000, 1000]
    assert [each.honest for each in found] == [False, True]


def test_figures_of_a_crowd_that_was_late_itself_are_left_out() -> None:
    rows = [
        listeners.Row("Varnish", level(Crowd(100))),
        listeners.Row("Varnish", level(Crowd(10_000), lag=0.3, stalled=5)),
        listeners.Row("Varnish", level(Crowd(5000))),
        listeners.Row("Varnish", level(Crowd(50, low_latency=True), origin=5.0)),
        listeners.Row("nginx", level(Crowd(1000), stalled=7, origin=9.0)),
    ]
    found = listeners.result(rows)
    assert [(row[0], row[1]) for row in found.rows] == [
        ("100", "Varnish"),
        ("5,000", "Varnish"),
        ("50, low latency", "Varnish"),
        ("1,000", "nginx"),
    ]
    assert found.rows[1][2:] == (
        *("5,000", "1.5", "0", "7.00 s", "8.00 s", "8.12 s", "1.0 ms", "2.0 ms", "3.0 ms"),
        *("25 %", "7 %", "50 %", "10.0 ms"),
    )
    assert found.rows[2][8] == "62.5 ms", "a held playlist's time begins with its part's last sample"
    assert "left out: 10,000, through Varnish: its lag was 300.0 ms" in found.notes
    assert listeners.points(rows, low_latency=False) == [
        chart.Point(100, 100.0, 1.5),
        chart.Point(5000, 5000.0, 1.5),
    ]
    assert [target.met for target in found.targets] == [True] * 4


def test_an_origin_that_is_asked_more_often_for_more_listeners_misses_its_target() -> None:
    rows = [
        listeners.Row("Varnish", level(Crowd(10), origin=0.5)),
        listeners.Row("Varnish", level(Crowd(100))),
        listeners.Row("Varnish", level(Crowd(1000), origin=1.8, stalled=1)),
    ]
    more, stalled = listeners.result(rows).targets
    assert (more.measured, more.met) == ("1.20", False), "ten are too few to ask in each second"
    assert (stalled.measured, stalled.met) == ("1", False)


def test_low_latency_is_carried_for_a_thousand_and_measured_for_more() -> None:
    crowds = (Crowd(50, low_latency=True), Crowd(1000, low_latency=True), Crowd(2000, low_latency=True))
    rows = [listeners.Row("Varnish", level(crowd, stalled=crowd.listeners // 2000)) for crowd in crowds]
    more, stalled = listeners.result(rows).targets
    assert (more.what, more.met) == ("origin requests, 2,000, low latency, × with 50", True)
    assert (stalled.what, stalled.met) == ("listeners who stall, 1,000, low latency", True)


def test_a_chart_of_the_same_figures_is_the_same_file(tmp_path: Path) -> None:
    plain = [chart.Point(10, 10.0, 1.2), chart.Point(10_000, 10_000.0, 1.5)]
    low_latency = [chart.Point(5, 25.0, 4.9), chart.Point(500, 2500.0, 4.9)]
    for name in ("one.svg", "other.svg"):
        chart.draw(plain, low_latency, tmp_path / name)
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "other.svg").read_text()
    words = {
        "".join(each.itertext()) for each in ET.fromstring(text).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"10,000", "listeners", "at the edge, 2-second HLS", "at the origin, low latency"} <= words


class _Answering:
    """A crowd of two, of whom the second is answered half as often."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self._open: list[int] = []
        self._turns = 0

    def __len__(self) -> int:
        return 2

    def ask(self, listener: int, path: str) -> None:
        self.asked.append((listener, path))
        self._open.append(listener)

    def arrivals(self, _: float) -> list[Arrival]:
        self._turns += 1
        let = [listener for listener in self._open if listener == 0 or self._turns % 2 == 0]
        self._open = [listener for listener in self._open if listener not in let]
        return [Arrival(listener, float(self._turns), 200, 1) for listener in let]


def test_each_listener_asks_for_the_next_as_soon_as_it_has_the_one_before() -> None:
    crowd = _Answering()
    arrivals = ask_in_turn(crowd, ["/a", "/b", "/c"])
    assert [path for listener, path in crowd.asked if listener == 1] == ["/a", "/b", "/c"]
    assert [arrival.at for arrival in arrivals if arrival.listener == 0] == [1, 2, 3]
    assert [arrival.at for arrival in arrivals if arrival.listener == 1] == [2, 4, 6]
