"""A segment is a pure function of its PCM: whoever encodes it, from whatever start, in whatever pieces."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from functools import cache
from pathlib import Path
from weakref import WeakSet

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.position import Position
from contracts.take import Rendition, TakeSettings
from pipeline.aac import CODEC_OPTIONS, SegmentEncoder, fed_frames
from pipeline.boxes import PartBox, access_units, read_part
from pipeline.fingerprint import probe
from pipeline.grid import FRAME, Grid, first_frame, first_sample, frame_count
from pipeline.pcm import Pcm, silence, to_planar
from pipeline.segmenter import EncodedPart, Segmenter

SECONDS = 11
TWO = (Rendition("32k"), Rendition("96k"))
MONO = TakeSettings(1, 5, TWO)
STEREO = TakeSettings(2, 10, TWO)


@cache
def sound(channels: int) -> Pcm:
    """Syllables of a tone, then noise: 11 s, which is 5 segments and a half."""
    return probe(SECONDS * 48_000, channels)


def take(settings: TakeSettings, pcm: Pcm, msn: int = 0, chunk: int = 19_200) -> list[EncodedPart]:
    """All parts from segment `msn` on, to the end of `pcm`, which begins with sample 0."""
    segmenter = Segmenter(settings, msn)
    parts = segmenter.push(silence(max(0, -segmenter.needs), settings.channels))
    for start in range(segmenter.needs, len(pcm), chunk):
        parts += segmenter.push(pcm[start : start + chunk])
    return parts + segmenter.finish()


@cache
def whole(settings: TakeSettings) -> list[EncodedPart]:
    return take(settings, sound(settings.channels))


def digest(parts: list[EncodedPart]) -> str:
    return hashlib.sha256(b"".join(part.data for part in parts)).hexdigest()


@pytest.mark.parametrize("settings", [MONO, STEREO])
def test_a_part_is_what_its_position_on_the_grid_says(settings: TakeSettings) -> None:
    grid = Grid(settings.parts)
    for part in whole(settings):
        frames = grid.part_frames(Position(part.msn, part.part))
        sequence = part.msn * settings.parts + part.part + 1
        assert read_part(part.data) == PartBox(frames.start, len(frames), sequence)


@pytest.mark.parametrize("settings", [MONO, STEREO])
def test_parts_come_in_order_all_renditions_of_one_before_the_next(settings: TakeSettings) -> None:
    grid = Grid(settings.parts)
    last = grid.position_of_sample(SECONDS * 48_000 - 1)
    assert last.part < settings.parts - 1, "this sound ends in the middle of a segment"
    expected = [
        (rendition, msn, part)
        for msn in range(last.msn + 1)
        for part in range(settings.parts)
        if (msn, part) <= last
        for rendition in ("32k", "96k")
    ]
    assert [(part.rendition, part.msn, part.part) for part in whole(settings)] == expected


def test_segments_hold_94_94_94_and_93_frames() -> None:
    frames: dict[int, int] = {}
    for part in whole(MONO):
        if part.rendition == "32k":
            frames[part.msn] = frames.get(part.msn, 0) + read_part(part.data).frames
    assert [frames[msn] for msn in range(5)] == [94, 94, 94, 93, 94]


@pytest.mark.parametrize("parts", range(1, 11))
def test_no_part_is_short_not_even_the_last(parts: int) -> None:
    pcm = sound(1)[: 2 * 96_000 + 5_000]
    lengths = [read_part(part.data).frames for part in take(TakeSettings(1, parts), pcm)]
    assert min(lengths) >= 93 // parts
    assert max(lengths) <= -(-94 // parts)


@pytest.mark.parametrize("settings", [MONO, STEREO])
@pytest.mark.parametrize("msn", [1, 3, 4, 5])
def test_a_start_at_any_segment_gives_the_bytes_of_the_whole_run(settings: TakeSettings, msn: int) -> None:
    pcm = sound(settings.channels)
    assert take(settings, pcm, msn) == [part for part in whole(settings) if part.msn >= msn]


@given(st.lists(st.integers(0, 50_000), min_size=1, max_size=30))
@settings(max_examples=15)
def test_pushes_of_any_size_give_the_same_bytes(sizes: list[int]) -> None:
    pcm = sound(1)
    segmenter = Segmenter(MONO, 2)
    parts: list[EncodedPart] = []
    for size in sizes:
        start = segmenter.needs
        parts += segmenter.push(pcm[start : start + size])
        assert segmenter.needs == min(start + size, len(pcm))
    parts += segmenter.push(pcm[segmenter.needs :]) + segmenter.finish()
    assert parts == [part for part in whole(MONO) if part.msn >= 2]


@pytest.mark.parametrize("chunk", [1, 1023, 1024])
def test_small_pushes_give_the_same_bytes(chunk: int) -> None:
    settings = TakeSettings(1, 10)
    pcm = sound(1)[: first_sample(1) + 3 * FRAME]
    assert take(settings, pcm, chunk=chunk) == take(settings, pcm)


def test_other_processes_make_the_same_bytes() -> None:
    script = (
        "from tests.unit.test_segmenter import *\n"
        "print(digest(take(MONO, sound(1), 3, 960)), digest(take(STEREO, sound(2), 2, 7_777)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
        timeout=50,
    ).stdout.split()
    assert printed == [
        digest([part for part in whole(MONO) if part.msn >= 3]),
        digest([part for part in whole(STEREO) if part.msn >= 2]),
    ]


def test_a_part_leaves_two_frames_after_its_last_sample() -> None:
    grid = Grid(5)
    segmenter = Segmenter(TakeSettings(1), 0)
    stop = grid.stop_sample(Position(0, 0)) + 2 * FRAME
    assert segmenter.push(silence(stop - 1 - segmenter.needs, 1)) == []
    assert [(part.msn, part.part) for part in segmenter.push(silence(1, 1))] == [(0, 0)]


def test_a_segment_knows_nothing_of_what_lies_further_than_its_pre_roll_and_look_ahead() -> None:
    other = sound(1).copy()
    before, after = fed_frames(3).start * FRAME, fed_frames(3).stop * FRAME
    other[:before] = 1234
    other[after:] = -4321
    assert [part for part in take(MONO, other) if part.msn == 3] == [
        part for part in whole(MONO) if part.msn == 3
    ]


@pytest.mark.parametrize(
    "samples", [1, FRAME, 19 * FRAME, 19 * FRAME + 1, first_sample(1), first_sample(1) + 1]
)
def test_the_end_completes_the_part_that_holds_the_last_sample(samples: int) -> None:
    settings, grid = TakeSettings(1), Grid(5)
    parts = take(settings, sound(1)[:samples])
    assert Position(parts[-1].msn, parts[-1].part) == grid.position_of_sample(samples - 1)
    # After the end there are zeros: the same bytes as if silence had followed.
    padded = np.concatenate((sound(1)[:samples], silence(96_000, 1)))
    assert parts == take(settings, padded)[: len(parts)]


def test_a_take_without_a_sample_of_its_own_has_no_part() -> None:
    segmenter = Segmenter(MONO, 7)
    assert segmenter.needs == FRAME * (first_frame(7) - 4)
    segmenter.push(silence(4 * FRAME, 1))
    assert segmenter.needs == first_sample(7)
    assert segmenter.finish() == []


def test_nothing_goes_in_after_the_end() -> None:
    segmenter = Segmenter(MONO, 0)
    segmenter.finish()
    with pytest.raises(ValueError, match="finished"):
        segmenter.push(silence(1, 1))


def test_pcm_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="wanted \\(n, 1\\)"):
        Segmenter(MONO, 0).push(silence(10, 2))


def test_a_pushed_buffer_may_be_reused() -> None:
    segmenter = Segmenter(TakeSettings(1), 2)
    parts = []
    buffer = silence(1500, 1)
    pcm = sound(1)[segmenter.needs :]
    for start in range(0, len(pcm), len(buffer)):
        piece = pcm[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        parts += segmenter.push(buffer[: len(piece)])
        buffer[:] = 999
    assert parts + segmenter.finish() == take(TakeSettings(1), sound(1), 2)


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_is_the_same_in_every_segment(channels: int) -> None:
    pcm = silence(4 * 96_000 + 10_000, channels)
    parts = take(TakeSettings(channels), pcm)
    units = {unit for part in parts for unit in access_units(part.data)}
    assert len(units) == 1
    assert len(units.pop()) < 16


def test_a_segment_far_into_a_take_is_encoded_as_one_at_its_start() -> None:
    # MSN 1000000 lies where a segment begins on the grid as MSN 0 does.
    far, near = Segmenter(MONO, 1_000_000), Segmenter(MONO, 0)
    pcm = sound(1)[:200_000]
    far_units = [access_units(part.data) for part in far.push(pcm)]
    assert far_units == [access_units(part.data) for part in near.push(pcm)]
    assert len(far_units) == 20


@pytest.mark.parametrize("channels", [1, 2])
def test_pyavs_encode_gives_the_bytes_of_the_way_past_its_filter_graph(channels: int) -> None:
    fed = fed_frames(1)
    planes = to_planar(sound(channels)[fed.start * FRAME : fed.stop * FRAME])
    direct, public = (SegmentEncoder(1, channels, 64_000) for _ in range(2))
    codec = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, ["mono", "stereo"][channels - 1], "fltp"
    codec.bit_rate, codec.options, codec.thread_count = 64_000, dict(CODEC_OPTIONS), 1
    public._send = codec.encode
    units = direct.push(planes)
    assert len(units) == frame_count(1)
    assert public.push(planes) == units


def test_at_a_boundary_the_old_encoder_goes_before_the_new_one_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    there: WeakSet[SegmentEncoder] = WeakSet()

    class Counted(SegmentEncoder):
        def __init__(self, msn: int, channels: int, bit_rate: int) -> None:
            there.add(self)
            assert len(there) == 1
            super().__init__(msn, channels, bit_rate)

    monkeypatch.setattr("pipeline.segmenter.SegmentEncoder", Counted)
    segmenter = Segmenter(TakeSettings(), 0)
    parts = [part for _ in range(200 * 1024 // 960) for part in segmenter.push(silence(960, 1))]
    assert parts[-1].msn == 1
