from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.aac import SegmentEncoder, fed_frames
from pipeline.fingerprint import probe
from pipeline.grid import FRAME, first_frame, frame_count
from pipeline.pcm import silence, to_planar


def test_an_encoder_is_fed_4_frames_before_its_segment_and_2_after_it() -> None:
    assert fed_frames(0) == range(-4, 96)
    assert fed_frames(3) == range(first_frame(3) - 4, first_frame(3) + 93 + 2)


@pytest.mark.parametrize(("channels", "bit_rate"), [(1, 16_000), (1, 256_000), (2, 32_000), (2, 512_000)])
def test_access_unit_k_leaves_with_frame_k_plus_2_and_none_of_the_neighbours(
    channels: int, bit_rate: int
) -> None:
    encoder = SegmentEncoder(3, channels, bit_rate)
    fed = fed_frames(3)
    planes = to_planar(probe(len(fed) * FRAME, channels))
    left = [len(encoder.push(planes[:, start : start + FRAME])) for start in range(0, planes.shape[1], FRAME)]
    assert left == [0] * 6 + [1] * frame_count(3)
    assert encoder.push(to_planar(silence(10 * FRAME, channels))) == []


def test_the_nominal_bit_rate_is_met() -> None:
    for bit_rate in (32_000, 64_000, 128_000):
        encoder = SegmentEncoder(1, 1, bit_rate)
        noise = np.random.default_rng(1).integers(-8_000, 8_000, (len(fed_frames(1)) * FRAME, 1))
        units = encoder.push(to_planar(noise.astype(np.int16)))
        measured = sum(map(len, units)) * 8 * 48_000 / (FRAME * len(units))
        assert 0.8 * bit_rate < measured < 1.25 * bit_rate


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux lists them")
def test_an_encoder_starts_no_thread() -> None:
    tasks = Path("/proc/self/task")
    before = len(list(tasks.iterdir()))
    encoders = [SegmentEncoder(1, 2, 64_000) for _ in range(20)]
    for encoder in encoders:
        encoder.push(to_planar(silence(6 * FRAME, 2)))
    # Other tests' threads may end meanwhile, and a few of ours begin.
    assert len(list(tasks.iterdir())) < before + 10
