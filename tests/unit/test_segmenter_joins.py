"""What a listener hears where one segment's encoder hands over to the next, through another decoder."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.take import Rendition, TakeSettings
from pipeline.aac import CODEC_OPTIONS
from pipeline.boxes import init_segment, write_part
from pipeline.decode import decode_pcm
from pipeline.grid import FRAME, first_sample
from pipeline.pcm import Pcm, silence, to_planar
from pipeline.segmenter import Segmenter
from tests import programs

SETTINGS = {1: TakeSettings(1, 5, (Rendition("64k"),)), 2: TakeSettings(2, 5, (Rendition("96k"),))}
SPEECH = Path(__file__).parents[2] / "samples/demo.flac"
NEAR = 512
Noise = NDArray[np.float64]


@cache
def source(channels: int) -> Pcm:
    pcm = np.concatenate(list(decode_pcm(SPEECH, channels)))
    if channels == 2:
        # Two different sides, so that mid/side coding has something to decide.
        pcm[:, 1] = np.roll(pcm[:, 1], 7_000) // 2
    return pcm


def joined(channels: int) -> bytes:
    segmenter = Segmenter(SETTINGS[channels], 0)
    lead = silence(-segmenter.needs, channels)
    parts = segmenter.push(lead) + segmenter.push(source(channels)) + segmenter.finish()
    return b"".join(part.data for part in parts)


def continuous(channels: int) -> bytes:
    """The same by one encoder that never stops."""
    codec = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = 48_000, ["mono", "stereo"][channels - 1], "fltp"
    codec.bit_rate = SETTINGS[channels].renditions[0].bit_rate
    codec.options = dict(CODEC_OPTIONS)
    planes = to_planar(source(channels))
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=codec.layout.name)
    frame.sample_rate, frame.pts = 48_000, 0
    packets = [*codec.encode(frame), *codec.encode(None)]
    units = [bytes(packet) for packet in packets if packet.pts is not None and packet.pts >= 0]
    return b"".join(write_part(units[k : k + 94], k, k) for k in range(0, len(units), 94))


def noise(channels: int, media: bytes) -> Noise:
    """What ffmpeg decodes, less the source: shape (n, channels)."""
    settings = SETTINGS[channels]
    decoded = subprocess.run(
        [programs.path("ffmpeg"), "-v", "error", "-i", "-", "-f", "s16le", "-"],
        input=init_segment(settings, settings.renditions[0]) + media,
        check=True,
        capture_output=True,
        timeout=50,
    )
    assert decoded.stderr == b""
    pcm = np.frombuffer(decoded.stdout, "<i2").reshape(-1, channels)
    length = len(source(channels))
    assert length <= len(pcm) < length + 20 * FRAME
    return pcm[:length].astype(np.float64) - source(channels)


def boundaries(channels: int) -> list[int]:
    last = len(source(channels)) // 96_000
    return [first_sample(msn) for msn in range(1, last)]


def around(values: Noise, samples: list[int], reach: int = NEAR) -> Noise:
    return np.stack([values[sample - reach : sample + reach] for sample in samples])


def decibel(ratio: float) -> float:
    return float(10 * np.log10(ratio))


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("channels", [1, 2])
def test_joins_are_as_clean_as_one_continuous_encoding(channels: int) -> None:
    ours, theirs = noise(channels, joined(channels)), noise(channels, continuous(channels))
    signal = source(channels).astype(np.float64)
    joins = boundaries(channels)
    assert len(joins) > 25
    energy = np.sum(around(signal, joins) ** 2)
    our_snr = decibel(energy / np.sum(around(ours, joins) ** 2))
    their_snr = decibel(energy / np.sum(around(theirs, joins) ** 2))
    assert our_snr >= their_snr - 1, f"{our_snr:.1f} dB at the joins, {their_snr:.1f} dB continuous"
    # No single join clicks either: two encoders with different histories differ by 2 dB there, a click by 20.
    each_ours = np.sum(around(ours, joins) ** 2, axis=(1, 2))
    each_theirs = np.sum(around(theirs, joins) ** 2, axis=(1, 2))
    floor = np.median(each_theirs)
    worst = float(np.max(each_ours / (each_theirs + floor)))
    assert decibel(worst) < 4


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("channels", [1, 2])
def test_noise_at_the_joins_is_that_of_anywhere_else(channels: int) -> None:
    ours = noise(channels, joined(channels))
    signal = source(channels).astype(np.float64)
    joins = boundaries(channels)
    elsewhere = [sample + shift for sample in joins for shift in range(8 * FRAME, 86 * FRAME, 6 * FRAME)]

    def snr(samples: list[int]) -> float:
        return decibel(np.sum(around(signal, samples) ** 2) / np.sum(around(ours, samples) ** 2))

    assert snr(joins) >= snr(elsewhere) - 1.5


@pytest.mark.needs("ffmpeg")
def test_a_join_without_pre_roll_would_be_heard() -> None:
    """The measure is sensitive: joins made with zeros where the sound before belongs fail it."""
    joins = boundaries(1)
    energy = np.sum(around(source(1).astype(np.float64), joins) ** 2)
    good, bad = (
        decibel(energy / np.sum(around(noise(1, media), joins) ** 2)) for media in (joined(1), abrupt())
    )
    assert bad < good - 6


def abrupt() -> bytes:
    pcm, parts = source(1), []
    for msn in range(len(pcm) // 96_000 + 1):
        segmenter = Segmenter(SETTINGS[1], msn)
        start, stop = first_sample(msn), first_sample(msn + 1) + 2 * FRAME
        parts += segmenter.push(silence(start - segmenter.needs, 1)) + segmenter.push(pcm[start:stop])
        if stop > len(pcm):
            parts += segmenter.finish()
    return b"".join(part.data for part in parts)
