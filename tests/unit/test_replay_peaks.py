from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.pcm import Pcm
from pipeline.replay.peaks import NO_PEAKS, PIXEL, PeakMeter, Peaks, Pixels, measure, peaks_json


def sound(samples: int, channels: int = 1, seed: int = 1) -> Pcm:
    noise = np.random.default_rng(seed).integers(-32_768, 32_768, (samples, channels))
    # Every tenth of a second another loudness, so that no two pixels are alike.
    loudness = np.arange(1, samples // PIXEL + 2).repeat(PIXEL)[:samples, None] / 100
    return (noise * np.minimum(loudness, 1.0)).astype(np.int16)


def as_it_is(pcm: Pcm) -> list[list[int]]:
    """Lowest and highest of each tenth of a second, the slow way."""
    return [
        [int(pcm[at : at + PIXEL].min()) >> 8, int(pcm[at : at + PIXEL].max()) >> 8]
        for at in range(0, len(pcm), PIXEL)
    ]


def listed(measured: Pixels) -> list[list[int]]:
    return [[low, high] for low, high in measured.values.tolist()]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_pixel_is_the_lowest_and_highest_sample_of_all_channels(channels: int) -> None:
    pcm = sound(10 * PIXEL, channels)
    assert listed(PeakMeter().push(0, pcm)) == as_it_is(pcm)


@given(st.lists(st.integers(1, 3 * PIXEL), max_size=12))
def test_it_does_not_matter_how_sound_is_cut(lengths: list[int]) -> None:
    pcm = sound(12 * PIXEL + 77)
    meter = PeakMeter()
    pixels: list[list[int]] = []
    for start, stop in itertools.pairwise([*itertools.accumulate(lengths, initial=0), len(pcm)]):
        if start < len(pcm):
            measured = meter.push(start, pcm[start:stop])
            assert measured.first == len(pixels)
            pixels += listed(measured)
    assert pixels == as_it_is(pcm)[:12]
    last = meter.finish()
    assert (last.first, listed(last)) == (12, as_it_is(pcm)[12:])


def test_a_pixel_that_is_not_measured_whole_is_absent() -> None:
    pcm = sound(6 * PIXEL)
    meter = PeakMeter()
    assert meter.push(100, pcm[100 : 2 * PIXEL + 1]).first == 1
    # A jump within pixel 2: what was heard of it before does not count.
    after = meter.push(2 * PIXEL + 500, pcm[2 * PIXEL + 500 : 4 * PIXEL])
    assert (after.first, listed(after)) == (3, as_it_is(pcm)[3:4])
    assert listed(meter.finish()) == []
    short = meter.push(5 * PIXEL + 1, pcm[5 * PIXEL + 1 : 5 * PIXEL + 10])
    assert listed(short) == []
    assert listed(meter.finish()) == []


def test_no_samples_are_no_pixels() -> None:
    meter = PeakMeter()
    assert listed(meter.push(0, sound(0))) == []
    assert listed(meter.push(0, sound(PIXEL))) == as_it_is(sound(PIXEL))
    assert listed(meter.finish()) == []


def test_a_record_is_present_lowest_highest() -> None:
    pcm = np.array([[-32_768], [511]], np.int16).repeat(PIXEL // 2, axis=0)
    record = PeakMeter().push(0, pcm).pack()
    assert record == b"\x01\x80\x01"
    assert Peaks.unpack(record).pack() == record


def test_holes_in_the_file_are_absent_pixels() -> None:
    records = bytearray(3 * 8)
    for pixel in (1, 2, 6):
        records[3 * pixel : 3 * pixel + 3] = b"\x01\xf0\x10"
    peaks = Peaks.unpack(bytes(records) + b"\x01\x00")  # the last one is cut off
    assert peaks.absent(8 * PIXEL) == [range(1), range(3, 6), range(7, 8)]
    assert peaks.absent(7 * PIXEL) == [range(1), range(3, 6)]
    assert peaks.absent(9 * PIXEL + 1) == [range(1), range(3, 6), range(7, 10)]
    assert peaks.absent(0) == []
    assert NO_PEAKS.absent(2 * PIXEL - 1) == [range(2)]


def test_what_was_absent_is_measured_later_and_the_rest_stays() -> None:
    pcm = sound(9 * PIXEL + 50)
    live = NO_PEAKS.filled([PeakMeter().push(2 * PIXEL, pcm[2 * PIXEL : 4 * PIXEL])])
    again = -(pcm // 2)
    again[: 2 * PIXEL], again[4 * PIXEL :] = pcm[: 2 * PIXEL], pcm[4 * PIXEL :]
    chunks = (again[at : at + 7_000] for at in range(0, len(again), 7_000))
    peaks = live.filled(measure(0, chunks))
    assert peaks.absent(len(pcm)) == []
    assert peaks_json(peaks, len(pcm))["data"] == [*itertools.chain(*as_it_is(pcm))]
    assert len(peaks.pack()) == 3 * 10
    assert live.absent(4 * PIXEL) == [range(2)]


def test_json_is_what_audiowaveform_writes() -> None:
    assert peaks_json(Peaks.unpack(b"\x01\x80\x7f\x00\x05\x05\x01\xff\x00"), 3 * PIXEL + 1) == {
        "version": 2,
        "channels": 1,
        "sample_rate": 48_000,
        "samples_per_pixel": 4_800,
        "bits": 8,
        "length": 4,
        "data": [-128, 127, 0, 0, -1, 0, 0, 0],
    }
    assert peaks_json(NO_PEAKS, 0)["length"] == 0


def test_pixels_after_the_end_are_left_out() -> None:
    assert peaks_json(Peaks.unpack(b"\x01\xff\x01" * 3), 2 * PIXEL)["data"] == [-1, 1, -1, 1]


@pytest.mark.parametrize(
    ("pixels", "per_pixel", "length"),
    [(36_000, 4_800, 36_000), (36_001, 9_600, 18_001), (900_001, 4_800 << 5, 28_126)],
)
def test_long_takes_have_longer_pixels(pixels: int, per_pixel: int, length: int) -> None:
    values = np.random.default_rng(3).integers(-128, 128, (pixels, 2)).astype(np.int8)
    values.sort(axis=1)
    document = peaks_json(NO_PEAKS.filled([Pixels(0, values)]), pixels * PIXEL)
    assert (document["samples_per_pixel"], document["length"]) == (per_pixel, length)
    data = np.array(document["data"]).reshape(-1, 2)
    fold = per_pixel // PIXEL
    for at in (0, length // 2, length - 1):
        stretch = values[at * fold : (at + 1) * fold]
        assert data[at].tolist() == [stretch[:, 0].min(), stretch[:, 1].max()]
