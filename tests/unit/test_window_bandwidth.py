from fractions import Fraction

from contracts.take import Rendition
from pipeline.grid import Grid, frame_count
from pipeline.playlist import Segment
from pipeline.window.bandwidth import Bandwidth

GRID = Grid(5)


def bandwidth(grid: Grid = GRID) -> Bandwidth:
    return Bandwidth(Rendition("64k"), grid)


def bit_rate(size: int, frames: int) -> Fraction:
    return Fraction(8 * size * 48_000, 1024 * frames)


def test_it_begins_at_five_quarters_of_nominal_and_the_boxes() -> None:
    # 5 parts in 2.00533 s, each with 104 bytes of boxes and 4 for each of its frames.
    boxes = -(-bit_rate(5 * 104 + 4 * 94, 94) // 1)
    assert bandwidth().peak == 80_000 + boxes
    assert bandwidth().average == 64_000 + boxes
    assert bandwidth(Grid(10)).peak > bandwidth().peak > bandwidth(Grid(1)).peak


def test_it_is_the_measured_peak_and_never_lowered() -> None:
    measured = bandwidth()
    measured.add(Segment(0, 5), 30_000)
    assert measured.peak == -(-bit_rate(30_000, 94) // 1)
    measured.add(Segment(1, 5), 10_000)
    measured.remove(Segment(0, 5), 30_000)
    assert measured.peak == -(-bit_rate(30_000, 94) // 1)


def test_the_average_is_that_of_the_listed_segments() -> None:
    measured = bandwidth()
    for msn in range(4):
        measured.add(Segment(msn, 5), 16_000 + msn)
    assert measured.average == -(-bit_rate(64_006, 375) // 1)
    measured.remove(Segment(0, 5), 16_000)
    assert measured.average == -(-bit_rate(48_006, 281) // 1)


def test_a_gap_has_no_bit_rate() -> None:
    measured = bandwidth()
    measured.add(Segment(0, 5), 16_000)
    before = measured.peak, measured.average
    measured.add(Segment(1, 0), 0)
    assert (measured.peak, measured.average) == before
    measured.remove(Segment(1, 0), 0)
    assert (measured.peak, measured.average) == before


def test_a_short_last_segment_counts_with_the_one_before_it() -> None:
    # 0.384 s alone are less than half the target duration, and so no set of their own.
    measured = bandwidth()
    measured.add(Segment(0, 5), 20_100)
    measured.add(Segment(1, 1), 9_000)
    assert measured.peak == -(-bit_rate(29_100, 94 + 18) // 1)


def test_a_short_last_segment_of_half_the_target_duration_counts_alone() -> None:
    measured = bandwidth()
    measured.add(Segment(0, 5), 16_000)
    measured.add(Segment(1, 3), 20_000)
    assert measured.peak == -(-bit_rate(20_000, 56) // 1)


def test_the_average_never_exceeds_the_peak() -> None:
    measured = bandwidth()
    measured.add(Segment(0, 1), 20_000)
    assert measured.average <= measured.peak
    assert frame_count(0) == 94
