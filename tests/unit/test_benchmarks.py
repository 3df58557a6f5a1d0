"""The arithmetic and the text of the benchmarks, without measuring anything."""

from pathlib import Path

import pytest

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
