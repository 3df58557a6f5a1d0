from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.take import Rendition, TakeSettings
from pipeline.aac import SegmentEncoder, fed_frames
from pipeline.boxes import init_segment
from pipeline.decode import decode_pcm
from pipeline.fingerprint import probe
from pipeline.grid import FRAME, SAMPLE_RATE, first_frame, frame_count
from pipeline.pcm import silence, to_planar
from pipeline.segmenter import Segmenter
from tests.room_ear import clicks
from tests.room_of_voices import CAST, Span


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


@pytest.mark.parametrize("bit_rate", ["64k", "128k"])
def test_what_is_encoded_has_no_clicks_that_its_source_has_not(bit_rate: str, tmp_path: Path) -> None:
    (eve,) = [voice for voice in CAST if voice.name == "Eve"]
    words = eve.says(Span(0, 8 * SAMPLE_RATE)) * np.float32(1.8)
    assert clicks(words) == []
    settings = TakeSettings(renditions=(Rendition(bit_rate),))
    segmenter = Segmenter(settings, 0)
    pcm = np.rint(words * 32_767).clip(-32_768, 32_767).astype(np.int16)[:, np.newaxis]
    parts = segmenter.push(np.concatenate((silence(-segmenter.needs, 1), pcm))) + segmenter.finish()
    media = init_segment(settings, settings.renditions[0]) + b"".join(part.data for part in parts)
    (file := tmp_path / "take.mp4").write_bytes(media)
    heard = np.concatenate(list(decode_pcm(file, 1)))[:, 0].astype(np.float32) / np.float32(32_768)
    assert clicks(heard) == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux lists them")
def test_an_encoder_starts_no_thread() -> None:
    tasks = Path("/proc/self/task")
    before = len(list(tasks.iterdir()))
    encoders = [SegmentEncoder(1, 2, 64_000) for _ in range(20)]
    for encoder in encoders:
        encoder.push(to_planar(silence(6 * FRAME, 2)))
    # Other tests' threads may end meanwhile, and a few of ours begin.
    assert len(list(tasks.iterdir())) < before + 10
