"""Programs of other people read what we write."""

from __future__ import annotations

import io
import subprocess
from fractions import Fraction

import av
import pytest

from contracts.take import Rendition, TakeSettings
from pipeline.boxes import access_units, init_segment
from pipeline.fingerprint import probe
from pipeline.grid import FRAME, first_frame
from pipeline.segmenter import EncodedPart, Segmenter
from tests import programs

RENDITION = Rendition("64k")


def encoded(channels: int, msn: int) -> list[EncodedPart]:
    segmenter = Segmenter(TakeSettings(channels, 5, (RENDITION,)), msn)
    return segmenter.push(probe(150_000, channels)) + segmenter.finish()


def file_of(channels: int, parts: list[EncodedPart]) -> bytes:
    header = init_segment(TakeSettings(channels, 5, (RENDITION,)), RENDITION)
    return header + b"".join(part.data for part in parts)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("msn", [0, 3, 1_000_000])
def test_pyav_finds_every_access_unit_at_its_sample(channels: int, msn: int) -> None:
    parts = encoded(channels, msn)
    units = [unit for part in parts for unit in access_units(part.data)]
    with av.open(io.BytesIO(file_of(channels, parts)), "r") as container:
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.profile) == ("aac", "LC")
        assert (stream.channels, stream.sample_rate) == (channels, 48_000)
        assert stream.time_base == Fraction(1, 48_000)
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [bytes(packet) for packet in packets] == units
    frames = range(first_frame(msn), first_frame(msn) + len(units))
    assert [packet.pts for packet in packets] == [FRAME * frame for frame in frames]
    assert all(packet.is_keyframe and packet.duration == FRAME for packet in packets)


@pytest.mark.needs("ffprobe")
@pytest.mark.parametrize("msn", [0, 1_000_000])
def test_ffprobe_reads_it_without_a_complaint(msn: int) -> None:
    parts = encoded(1, msn)
    entries = "stream=codec_name,profile,sample_rate,channels,start_pts:packet=pts"
    probed = subprocess.run(
        [programs.path("ffprobe"), "-v", "warning", "-show_entries", entries, "-of", "csv=nk=1", "-"],
        input=file_of(1, parts),
        check=True,
        capture_output=True,
        timeout=30,
    )
    assert probed.stderr == b""
    start = FRAME * first_frame(msn)
    lines = probed.stdout.decode().split()
    assert lines[-1] == f"stream,aac,LC,48000,1,{start}"
    units = sum(len(access_units(part.data)) for part in parts)
    assert lines[:-1] == [f"packet,{start + FRAME * index}" for index in range(units)]
