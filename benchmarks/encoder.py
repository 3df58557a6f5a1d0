"""The segment encoder, unpaced, beside PyAV's continuous encoder: what a fresh encoder a segment costs."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import av
import numpy as np

from benchmarks.report import Result, at_most
from benchmarks.sound import loop
from contracts.take import Rendition, TakeSettings
from pipeline.aac import CODEC_OPTIONS
from pipeline.grid import FRAME, SAMPLE_RATE
from pipeline.pcm import silence, to_planar
from pipeline.segmenter import Segmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.pcm import Pcm

NAME: Final = "encoder"
TITLE: Final = "Segment encoder against one continuous encoder (unpaced, one thread, mono, 64k, coder fast)"
_BIT_RATE: Final = 64_000
_LARGEST_RATIO: Final = 1.08
# What a live room pushes: the blocks of one part.
_CHUNK: Final = 20 * 960
_SECONDS: Final = 20
_PER_FRAME: Final = "PyAV, continuous, frame by frame"
_PER_CHUNK: Final = "PyAV, continuous, chunk by chunk"
_OURS: Final = "Longwave: segments, parts and boxes"


def run(*, quick: bool = False) -> Result:
    """CPU time of the three in turn, again and again; the least of each counts, for noise only adds."""
    pcm = loop()[: _SECONDS * SAMPLE_RATE].reshape(-1, 1)
    contenders: dict[str, Callable[[Pcm], object]] = {
        _PER_FRAME: _encode_frames,
        _PER_CHUNK: _encode_chunks,
        _OURS: _encode_segments,
    }
    costs = dict.fromkeys(contenders, float("inf"))
    for _round in range(4 if quick else 15):
        for name, encode in contenders.items():
            costs[name] = min(costs[name], _cpu_seconds(encode, pcm))
    frames = len(pcm) / FRAME
    ratios = {name: costs[_OURS] / cost for name, cost in costs.items()}
    return Result(
        NAME,
        TITLE,
        ("encoder", "a frame", "× real time", "Longwave / this"),
        tuple(
            (name, f"{cost / frames * 1e6:.1f} µs", f"{_SECONDS / cost:.0f}", f"{ratios[name]:.3f}")
            for name, cost in costs.items()
        ),
        ("Pre-roll and look-ahead alone are 6 frames in 94: 1.064.",),
        (at_most("segment encoder / continuous encoder", _LARGEST_RATIO, ratios[_PER_CHUNK], "{:.3f}"),),
    )


def _cpu_seconds(encode: Callable[[Pcm], object], pcm: Pcm) -> float:
    began = time.process_time()
    encode(pcm)
    return time.process_time() - began


def _codec() -> av.AudioCodecContext:
    codec = av.CodecContext.create("aac", "w")
    codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE, "mono", "fltp"
    codec.bit_rate, codec.options, codec.thread_count = _BIT_RATE, dict(CODEC_OPTIONS), 1
    return codec


def _chunks(pcm: Pcm) -> list[Pcm]:
    return [pcm[start:stop] for start, stop in pairwise([*range(0, len(pcm), _CHUNK), len(pcm)])]


def _encode_chunks(pcm: Pcm) -> list[bytes]:
    codec, units = _codec(), []
    for chunk in _chunks(pcm):
        frame = av.AudioFrame.from_ndarray(to_planar(chunk), "fltp", "mono")
        frame.sample_rate = SAMPLE_RATE
        units += [bytes(packet) for packet in codec.encode(frame)]
    return units


def _encode_frames(pcm: Pcm) -> list[bytes]:
    codec, units = _codec(), []
    planes = to_planar(pcm)
    for start in range(0, planes.shape[1] - FRAME + 1, FRAME):
        samples = np.ascontiguousarray(planes[:, start : start + FRAME])
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
        frame.sample_rate = SAMPLE_RATE
        units += [bytes(packet) for packet in codec.encode(frame)]
    return units


def _encode_segments(pcm: Pcm) -> list[bytes]:
    segmenter = Segmenter(TakeSettings(1, 5, (Rendition(f"{_BIT_RATE // 1000}k"),)), 0)
    segmenter.push(silence(-segmenter.needs, 1))
    return [part.data for chunk in _chunks(pcm) for part in segmenter.push(chunk)]
