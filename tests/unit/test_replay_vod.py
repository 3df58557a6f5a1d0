from __future__ import annotations

from itertools import pairwise

import pytest

from contracts.position import Position
from contracts.take import Rendition
from pipeline.grid import FRAME, SAMPLE_RATE, Grid, first_frame, first_sample
from pipeline.playlist import Variant, render_fragment_vod, variant_of
from pipeline.replay.fragment_index import FragmentIndex, index_fragment
from pipeline.replay.stretches import Stretch, stretches
from tests.takes import EPOCH_US, part

GRID = Grid(5)
RENDITION = Rendition("64k")


def held(*positions: tuple[int, int], unit: bytes = b"\1" * 8, grid: Grid = GRID) -> list[FragmentIndex]:
    """The indexes of fragments that have these parts."""
    fragments: dict[int, bytes] = {}
    for msn, number in positions:
        first = msn - msn % 15
        fragments[first] = fragments.get(first, b"") + part(grid, msn, number, unit)
    return [index_fragment(data, grid, first) for first, data in fragments.items()]


def whole(*msns: int) -> list[tuple[int, int]]:
    return [(msn, number) for msn in msns for number in range(5)]


def size_of(*positions: tuple[int, int]) -> int:
    return sum(len(part(GRID, *position)) for position in positions)


def test_every_segment_is_a_range_of_its_fragment() -> None:
    indexes = held(*whole(*range(16)))
    sizes = [size_of(*whole(msn)) for msn in range(16)]
    text = render_fragment_vod(indexes, GRID, first_sample(16), EPOCH_US)
    lines = text.splitlines()
    assert lines[:11] == [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        "#EXT-X-TARGETDURATION:2",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-MEDIA-SEQUENCE:0",
        '#EXT-X-MAP:URI="init.mp4"',
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z",
        "#EXTINF:2.00533,",
        f"#EXT-X-BYTERANGE:{sizes[0]}@0",
        "0.mp4",
    ]
    assert lines[-9:] == [
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:28.010Z",
        "#EXTINF:2.00533,",
        f"#EXT-X-BYTERANGE:{sizes[14]}@{sum(sizes[:14])}",
        "0.mp4",
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:30.016Z",
        "#EXTINF:1.98400,",
        f"#EXT-X-BYTERANGE:{sizes[15]}@0",
        "15.mp4",
        "#EXT-X-ENDLIST",
    ]
    assert text.endswith("#EXT-X-ENDLIST\n")


def test_the_last_segment_has_the_parts_that_there_are() -> None:
    indexes = held((0, 0), (0, 1))
    samples = GRID.start_sample(Position(0, 1)) + 7
    body = render_fragment_vod(indexes, GRID, samples, EPOCH_US).splitlines()[8:]
    frames = len(GRID.part_frames(Position(0, 0))) + len(GRID.part_frames(Position(0, 1)))
    assert body == [
        f"#EXTINF:{frames * FRAME / SAMPLE_RATE:.5f},",
        f"#EXT-X-BYTERANGE:{size_of((0, 0), (0, 1))}@0",
        "0.mp4",
        "#EXT-X-ENDLIST",
    ]


def test_what_is_missing_is_a_gap_of_its_own_length() -> None:
    # Segment 0 lacks its third part, 1 is missing, 2 has its last part only, and nothing is there after it.
    indexes = held((0, 0), (0, 1), (0, 3), (0, 4), (2, 4))
    samples = first_sample(4)
    body = render_fragment_vod(indexes, GRID, samples, EPOCH_US).splitlines()[7:-1]
    entries = "\n".join(line for line in body if "DATE-TIME" not in line)
    head, tail, last = size_of((0, 0), (0, 1)), size_of((0, 3), (0, 4)), size_of((2, 4))
    assert entries == (
        f"#EXTINF:0.78933,\n#EXT-X-BYTERANGE:{head}@0\n0.mp4\n"
        "#EXT-X-GAP\n#EXTINF:0.40533,\ngap.mp4\n"
        f"#EXTINF:0.81067,\n#EXT-X-BYTERANGE:{tail}@{head}\n0.mp4\n"
        "#EXT-X-GAP\n#EXTINF:2.00533,\ngap.mp4\n"
        "#EXT-X-GAP\n#EXTINF:1.60000,\ngap.mp4\n"
        f"#EXTINF:0.40533,\n#EXT-X-BYTERANGE:{last}@{head + tail}\n0.mp4\n"
        "#EXT-X-GAP\n#EXTINF:1.98400,\ngap.mp4"
    )
    dates = [line for line in body if "DATE-TIME" in line]
    assert dates[2] == "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:01.194Z"
    assert len(dates) == 7


def test_stretches_cover_every_frame_once() -> None:
    positions = [position for position in whole(*range(40)) if hash(position) % 3]
    listed = [*stretches(held(*positions), GRID, first_sample(40))]
    assert listed[0].first_frame == 0
    for before, after in pairwise(listed):
        assert before.end == after.first_frame
    assert listed[-1].end == first_frame(40)
    there = {frame for each in listed if each.fragment is not None for frame in range(each[0], each.end)}
    assert there == {frame for position in positions for frame in GRID.part_frames(Position(*position))}


def test_parts_after_the_end_are_left_out() -> None:
    indexes = held(*whole(0, 1, 16))
    samples = GRID.stop_sample(Position(1, 2))
    listed = [*stretches(indexes, GRID, samples)]
    assert [each.frames for each in listed] == [94, 56]
    assert listed[1].size == size_of((1, 0), (1, 1), (1, 2))
    assert [*stretches(indexes, GRID, samples + 1)][1].frames == 75


def test_a_take_of_which_nothing_is_there_is_all_gaps() -> None:
    assert [*stretches([], GRID, 1)] == [Stretch(0, 18, None)]
    assert [*stretches([], GRID, 0)] == []
    assert render_fragment_vod([], GRID, 0, EPOCH_US).endswith('"init.mp4"\n#EXT-X-ENDLIST\n')


def rate(positions: list[tuple[int, int]]) -> float:
    frames = sum(len(GRID.part_frames(Position(*position))) for position in positions)
    return size_of(*positions) * 8 / (frames * FRAME / SAMPLE_RATE)


def test_bit_rates_are_those_of_segments() -> None:
    loud = b"\1" * 200
    parts = [*whole(0), *((1, number) for number in range(5))]
    data = b"".join(part(GRID, *each, loud if each[0] else b"\1" * 100) for each in parts)
    index = index_fragment(data, GRID, 0)
    loud_size = sum(len(part(GRID, *each, loud)) for each in whole(1))
    assert variant_of(RENDITION, [index], GRID) == Variant(
        "64k",
        64_000,
        -(-loud_size * 8 * SAMPLE_RATE // (94 * FRAME)),
        -(-len(data) * 8 * SAMPLE_RATE // (188 * FRAME)),
    )


def test_a_short_segment_counts_with_the_one_before_it_and_not_alone() -> None:
    quiet, loud = b"\1" * 100, b"\1" * 400
    parts = [(*each, quiet) for each in whole(0)] + [(1, 0, loud)]
    data = b"".join(part(GRID, *each) for each in parts)
    both = -(-len(data) * 8 * SAMPLE_RATE // (112 * FRAME))
    variant = variant_of(RENDITION, [index_fragment(data, GRID, 0)], GRID)
    assert (variant.bandwidth, variant.average_bandwidth) == (both, both)


def test_gaps_have_no_bit_rate() -> None:
    indexes = held(*whole(0), *whole(40))
    assert variant_of(RENDITION, indexes, GRID).average_bandwidth == pytest.approx(rate(whole(0)), abs=1)
    assert variant_of(RENDITION, [], GRID) == Variant("64k", 64_000, 64_000, 64_000)


def test_the_peak_is_never_under_the_average() -> None:
    variant = variant_of(RENDITION, held((0, 0)), GRID)
    assert variant.bandwidth == variant.average_bandwidth == pytest.approx(rate([(0, 0)]), abs=1)
