"""HLS replays, read by programs that know nothing of us: hls-parser (strict) and m3u8."""

from __future__ import annotations

import m3u8
import pytest

from pipeline.grid import FRAME, SAMPLE_RATE, Grid, first_frame, first_sample
from pipeline.playlist import render_fragment_vod
from pipeline.replay.fragment_index import index_fragment
from pipeline.replay.stretches import stretches
from tests.compliance.test_playlist_oracles import read_strictly, tolerated
from tests.takes import EPOCH_US, part

GRID = Grid(5)
WHOLE = [(msn, number) for msn in range(32) for number in range(5)]
HOLES = [position for position in WHOLE if position[0] not in {0, 17, 31} and position != (4, 2)]
both = pytest.mark.parametrize("positions", [WHOLE, HOLES], ids=["whole", "holes"])


def text_of(positions: list[tuple[int, int]]) -> str:
    fragments: dict[int, bytes] = {}
    for msn, number in positions:
        first = msn - msn % 15
        fragments[first] = fragments.get(first, b"") + part(GRID, msn, number)
    indexes = [index_fragment(data, GRID, first) for first, data in fragments.items()]
    listed = [*stretches(indexes, GRID, first_sample(32))]
    assert sum(each.fragment is None for each in listed) == (4 if positions is HOLES else 0)
    return render_fragment_vod(indexes, GRID, first_sample(32), EPOCH_US)


@pytest.mark.needs("node", "hls-parser")
@both
def test_hls_parser_reads_a_replay_strictly(positions: list[tuple[int, int]]) -> None:
    text = text_of(positions)
    (playlist,) = read_strictly(text)
    assert playlist["playlistType"] == "VOD"
    assert playlist["endlist"]
    ranges = [segment["byterange"] for segment in playlist["segments"] if segment["uri"] != "gap.mp4"]
    assert [f"{each['length']}@{each['offset']}" for each in ranges] == [
        line.partition(":")[2] for line in text.splitlines() if "BYTERANGE" in line
    ]
    assert all(segment["map"]["uri"] == "init.mp4" for segment in playlist["segments"])


@both
def test_m3u8_reads_a_replay(positions: list[tuple[int, int]]) -> None:
    playlist = m3u8.loads(tolerated(text_of(positions)))
    assert playlist.is_endlist
    assert playlist.playlist_type == "vod"
    gaps = [segment.uri for segment in playlist.segments if segment.gap_tag is not None]
    assert gaps == (["gap.mp4"] * 4 if positions is HOLES else [])
    total = first_frame(32) * FRAME / SAMPLE_RATE
    assert sum(segment.duration for segment in playlist.segments) == pytest.approx(total, abs=0.001)
    assert max(round(segment.duration) for segment in playlist.segments) <= playlist.target_duration
    times = [segment.program_date_time for segment in playlist.segments]
    for segment, after in zip(playlist.segments, times[1:], strict=False):
        distance = (after - segment.program_date_time).total_seconds()
        assert abs(distance - segment.duration) <= 0.001
