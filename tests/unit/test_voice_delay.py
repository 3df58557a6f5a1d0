"""How long a voice's packets are held: the quickest packet, the usual spread, and single stalls."""

import numpy as np

from pipeline.voice.delay import HIGHEST, DelayEstimator
from tests.voices import MS, SECOND

PACKET = 20 * MS
MARGIN = 10 * MS
START = 7 * SECOND


def listen(
    arrivals: DelayEstimator, seconds: float, late: dict[int, int] | None = None, *, since: float = 0.0
) -> None:
    """Packets of 20 ms, on time but for those that are `late` by so many samples, by their index."""
    first, last = round(since * 50), round((since + seconds) * 50)
    starts = {
        index * PACKET: START + index * PACKET + (late or {}).get(index, 0) for index in range(first, last)
    }
    for start, now in sorted(starts.items(), key=lambda packet: packet[1]):
        arrivals.observe(start, PACKET, now)


def test_a_target_is_a_packet_and_the_margin_from_the_first_packet_on() -> None:
    arrivals = DelayEstimator(MARGIN)
    arrivals.observe(0, PACKET, START)
    assert (arrivals.base, arrivals.target) == (START, 30 * MS)
    assert arrivals.due(500) == START + 500 + 30 * MS


def test_a_quicker_packet_counts_at_once_and_for_ten_seconds() -> None:
    arrivals = DelayEstimator(MARGIN)
    listen(arrivals, 1)
    arrivals.observe(SECOND, PACKET, START + SECOND - 5 * MS)
    assert arrivals.base == START - 5 * MS
    listen(arrivals, 9, since=1.02)
    assert arrivals.base == START - 5 * MS
    listen(arrivals, 2, since=10.02)
    assert arrivals.base == START


def test_what_is_usually_late_is_waited_for() -> None:
    arrivals = DelayEstimator(MARGIN)
    listen(arrivals, 3, dict.fromkeys(range(0, 150, 7), 60 * MS))
    assert arrivals.target == 60 * MS + MARGIN


def test_two_stalls_in_ten_seconds_are_not_waited_for_and_a_third_is() -> None:
    arrivals = DelayEstimator(MARGIN)
    late = {100: 300 * MS, 250: 300 * MS}
    listen(arrivals, 8, late)
    assert arrivals.target == 30 * MS
    listen(arrivals, 2, {425: 300 * MS}, since=8)
    assert arrivals.target == 300 * MS + MARGIN


def test_a_target_falls_by_3_ms_a_second() -> None:
    arrivals = DelayEstimator(MARGIN)
    listen(arrivals, 3, dict.fromkeys(range(0, 150, 7), 60 * MS))
    listen(arrivals, 11, since=3)
    falling = arrivals.target
    assert 30 * MS < falling < 70 * MS
    listen(arrivals, 2, since=14)
    assert falling - arrivals.target == 6 * MS
    listen(arrivals, 20, since=16)
    assert arrivals.target == 30 * MS


def test_no_target_is_above_400_ms() -> None:
    arrivals = DelayEstimator(MARGIN)
    rng = np.random.default_rng(1)
    listen(arrivals, 5, {index: int(late) for index, late in enumerate(rng.integers(0, SECOND, 250))})
    assert arrivals.target == HIGHEST == 400 * MS
