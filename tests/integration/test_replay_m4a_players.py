"""Programs of other people play what a replay is made of, and we listen."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from mutagen.mp4 import MP4
from numpy.typing import NDArray

from contracts.position import Position
from pipeline.boxes import access_units
from pipeline.decode import decode_pcm
from pipeline.grid import FRAME, SAMPLE_RATE, first_sample
from pipeline.playlist import render_fragment_vod
from pipeline.replay.chapters import Mark
from tests import programs
from tests.archived import Archived
from tests.audio import best_lag, seeded_noise, speechlike
from tests.takes import EPOCH_US

Mono = NDArray[np.int16]

SAMPLES = 37 * SAMPLE_RATE + 77
MARKS = (Mark(0, "Begrüßung 🎙"), Mark(12 * SAMPLE_RATE + 5, "日本"), Mark(SAMPLES - 1, "The last word"))
# What the encoder replaced by noise is other noise from each decoder (14496-3, 4.6.13), under the sound.
ALIKE_DB = 20.0


@cache
def source(channels: int = 1) -> Mono:
    """Speech over a little noise, so that every place is unlike every other."""
    voice = speechlike(SAMPLES, 3).astype(np.int32) + seeded_noise(SAMPLES, 4, amplitude=0.01)
    return np.stack([voice // (1 + channel) for channel in range(channels)], axis=1).astype(np.int16)


@cache
def archived(channels: int = 1) -> Archived:
    return Archived.of(source(channels))


@pytest.fixture(scope="module")
def m4a(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "replay.m4a"
    path.write_bytes(archived().m4a(MARKS))
    return path


def run(*command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, check=True, timeout=50)


def ffmpeg(path: Path, *before: str, channels: int = 1) -> Mono:
    """What ffmpeg decodes, shape (n, channels); not a word of complaint."""
    done = run(programs.path("ffmpeg"), "-v", "warning", *before, "-i", str(path), "-f", "s16le", "-")
    assert done.stderr.decode() == ""
    return np.frombuffer(done.stdout, np.int16).reshape(-1, channels)


def mpv(path: Path, out: Path, *options: str) -> Mono:
    """What mpv plays."""
    quiet = ("--no-config", "--no-video", "--really-quiet", "--audio-format=s16", "--audio-channels=mono")
    target = ("--ao=pcm", "--ao-pcm-waveheader=no", f"--ao-pcm-file={out}")
    run(programs.path("mpv"), *quiet, *target, *options, str(path))
    return np.fromfile(out, np.int16).reshape(-1, 1)


def live(take: Archived, tmp_path: Path) -> Mono:
    """What listeners of the take heard: the header and all parts, decoded."""
    path = tmp_path / "live.mp4"
    path.write_bytes(take.init + b"".join(take.parts.values()))
    return ffmpeg(path, channels=take.settings.channels)


def check_same(heard: Mono, wanted: Mono, start: int = 0) -> None:
    """`heard` is `wanted` from sample `start` on, in place, but for the noise that decoders make."""
    assert len(heard) <= len(wanted) - start
    length = min(len(heard), len(wanted) - start)
    difference = heard[:length].astype(np.int32) - wanted[start : start + length]
    for at in range(0, length - SAMPLE_RATE, SAMPLE_RATE):
        signal = wanted[start + at : start + at + SAMPLE_RATE].astype(np.float64)
        # The first frame after a seek lacks the one before it.
        noise = difference[at + 2 * FRAME * (at == 0) : at + SAMPLE_RATE].astype(np.float64)
        assert np.mean(noise**2) * 10 ** (ALIKE_DB / 10) <= np.mean(signal**2), f"second {at // SAMPLE_RATE}"


def probed(path: Path) -> dict[str, Any]:
    shown = ("-show_format", "-show_streams", "-show_chapters", "-of", "json")
    done = run(programs.path("ffprobe"), "-v", "error", *shown, str(path))
    assert done.stderr == b""
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def pyav_from(path: Path, second: int) -> tuple[int, Mono]:
    """What PyAV decodes after a seek, and the sample that it begins with."""
    with av.open(str(path)) as container:
        container.seek(second * 1_000_000)
        frames = [*container.decode(audio=0)]
    assert frames[0].pts is not None
    pcm = np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T
    return frames[0].pts, np.rint(pcm * 32_768).clip(-32_768, 32_767).astype(np.int16)


@pytest.mark.needs("ffprobe")
def test_ffprobe_reads_length_chapters_and_tags(m4a: Path) -> None:
    answer = probed(m4a)
    sound = answer["streams"][0]
    assert (sound["codec_name"], sound["profile"], sound["sample_rate"]) == ("aac", "LC", "48000")
    assert (sound["start_pts"], sound["duration_ts"]) == (0, SAMPLES)
    assert [(each["start"], each["tags"]["title"]) for each in answer["chapters"]] == [*MARKS]
    assert {each["time_base"] for each in answer["chapters"]} == {"1/48000"}
    assert answer["chapters"][-1]["end"] == SAMPLES
    tags = answer["format"]["tags"]
    assert (tags["title"], tags["artist"], tags["album_artist"]) == ("A title", "Ann, Bob", "Ann, Bob")
    assert (tags["album"], tags["date"], tags["genre"]) == ("The room", "2026-01-02", "Podcast")


@pytest.mark.needs("ffprobe")
def test_ffprobe_reads_chapters_that_begin_late_and_a_thousand_of_them(tmp_path: Path) -> None:
    for marks in ([Mark(96_000, "late")], [Mark(1_700 * n + 5, f"n° {n}") for n in range(1_000)]):
        path = tmp_path / "replay.m4a"
        path.write_bytes(archived().m4a(marks))
        chapters = probed(path)["chapters"]
        assert [(each["start"], each["tags"]["title"]) for each in chapters] == marks
        assert [each["end"] for each in chapters] == [*(mark.sample for mark in marks[1:]), SAMPLES]


@pytest.mark.needs("ffprobe")
@pytest.mark.parametrize("samples", [0, 1, FRAME, 1500])
def test_ffprobe_reads_the_shortest_of_files(samples: int, tmp_path: Path) -> None:
    take = Archived.of(source()[:samples])
    path = tmp_path / "replay.m4a"
    path.write_bytes(take.m4a([Mark(0, "")] if samples else []))
    sound = probed(path)["streams"][0]
    assert sound["duration_ts"] == samples if samples else sound["nb_frames"] == "1"


def test_mutagen_reads_length_chapters_and_tags(m4a: Path) -> None:
    file: Any = MP4(m4a)  # type: ignore[no-untyped-call]  # mutagen says little of its types
    assert file.info.length == pytest.approx(SAMPLES / SAMPLE_RATE, abs=2 * FRAME / SAMPLE_RATE)
    assert (file.info.channels, file.info.sample_rate, file.info.codec) == (1, SAMPLE_RATE, "mp4a.40.2")
    assert [chapter.title for chapter in file.chapters] == [mark.title for mark in MARKS]
    for chapter, mark in zip(file.chapters, MARKS, strict=True):
        assert chapter.start == pytest.approx(mark.sample / SAMPLE_RATE, abs=1e-6)
    sizes = sum(len(unit) for data in archived().parts.values() for unit in access_units(data))
    assert file.info.bitrate == pytest.approx(sizes * 8 * SAMPLE_RATE / SAMPLES, rel=0.005)
    tags = file.tags
    assert (tags["\xa9nam"], tags["\xa9ART"], tags["pcst"]) == (["A title"], ["Ann, Bob"], True)
    assert (tags["stik"], tags["\xa9too"]) == ([21], ["Longwave"])


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("channels", [1, 2])
def test_it_sounds_as_it_did_live_sample_for_sample(channels: int, tmp_path: Path) -> None:
    take = archived(channels)
    path = tmp_path / "replay.m4a"
    path.write_bytes(take.m4a(MARKS))
    wanted = live(take, tmp_path)
    by_ffmpeg = ffmpeg(path, channels=channels)
    by_pyav = np.concatenate([*decode_pcm(path, channels)])
    for heard in (by_ffmpeg, by_pyav):
        assert 0 <= len(heard) - SAMPLES < FRAME
        check_same(heard, wanted)
        match = best_lag(source(channels)[SAMPLE_RATE : 30 * SAMPLE_RATE, 0], heard[:, 0])
        assert match.lag == SAMPLE_RATE
    # From the same decoder, all of it: the noise that it makes is the same. Only in the first frame it knows
    # here what came before, and did not when it began there.
    assert np.array_equal(by_ffmpeg[FRAME:], wanted[FRAME : len(by_ffmpeg)])


@pytest.mark.needs("ffmpeg")
def test_ffmpeg_seeks_to_the_sample(m4a: Path) -> None:
    wanted = ffmpeg(m4a)
    for second in ("0.5", "7", "12.345", "31.99"):
        start = round(float(second) * SAMPLE_RATE)
        heard = ffmpeg(m4a, "-ss", second, "-t", "4")
        check_same(heard, wanted, start)
        assert best_lag(source()[start : start + 2 * SAMPLE_RATE, 0], heard[:, 0]).lag == 0


@pytest.mark.needs("mpv")
@pytest.mark.parametrize("second", [0, 31.25])
def test_mpv_plays_and_seeks_to_the_sample(second: float, m4a: Path, tmp_path: Path) -> None:
    heard = mpv(m4a, tmp_path / "heard.pcm", f"--start={second}")
    start = round(second * SAMPLE_RATE)
    assert 0 <= len(heard) - (SAMPLES - start) <= FRAME
    match = best_lag(source()[start + SAMPLE_RATE : start + 4 * SAMPLE_RATE, 0], heard[: 5 * SAMPLE_RATE, 0])
    # mpv counts in seconds, and may be a sample off where these are not whole.
    assert abs(match.lag - SAMPLE_RATE) <= 1


def lost(position: Position) -> bool:
    """Two parts of one segment, and all of two others at the border of two fragments."""
    return position in {(3, 1), (3, 2)} or position.msn in {14, 15}


@pytest.mark.needs("ffmpeg")
def test_gaps_are_silent_and_everything_else_is_in_its_place(tmp_path: Path) -> None:
    whole = archived()
    path = tmp_path / "replay.m4a"
    path.write_bytes(whole.without(lost).m4a(MARKS))
    heard, wanted = ffmpeg(path), live(whole, tmp_path)
    grid = whole.grid
    gaps = [
        (grid.start_sample(Position(3, 1)), grid.stop_sample(Position(3, 2))),
        (first_sample(14), first_sample(16)),
    ]
    assert 0 <= len(heard) - SAMPLES < FRAME
    for start, stop in gaps:
        # An access unit is heard in its own frame and the next.
        assert not heard[start + FRAME : stop].any()
        assert heard[start - FRAME : start].any()
        assert heard[stop : stop + 2 * FRAME].any()
    for start, stop in ((0, gaps[0][0]), (gaps[0][1] + FRAME, gaps[1][0]), (gaps[1][1] + FRAME, SAMPLES)):
        check_same(heard[start:stop], wanted[:stop], start)


@pytest.mark.needs("ffmpeg")
def test_the_hls_replay_is_the_same_sound(tmp_path: Path) -> None:
    take = archived()
    (tmp_path / "init.mp4").write_bytes(take.init)
    for msn, data in take.fragments.items():
        (tmp_path / f"{msn}.mp4").write_bytes(data)
    playlist = tmp_path / "replay.m3u8"
    playlist.write_text(render_fragment_vod(take.indexes, take.grid, SAMPLES, EPOCH_US))
    wanted = live(take, tmp_path)
    assert np.array_equal(ffmpeg(playlist), wanted)
    # FFmpeg 5.1 cannot seek in any HLS of fMP4, its own included; the one in PyAV can.
    start, heard = pyav_from(playlist, 21)
    assert 0 <= start - 21 * SAMPLE_RATE < FRAME
    check_same(heard, wanted, start)


@pytest.mark.needs("ffmpeg")
def test_the_hls_replay_goes_on_after_what_is_missing(tmp_path: Path) -> None:
    take = archived().without(lost)
    (tmp_path / "init.mp4").write_bytes(take.init)
    for msn, data in take.fragments.items():
        (tmp_path / f"{msn}.mp4").write_bytes(data)
    playlist = tmp_path / "replay.m3u8"
    playlist.write_text(render_fragment_vod(take.indexes, take.grid, SAMPLES, EPOCH_US))
    with av.open(str(playlist)) as container:
        times = [packet.pts for packet in container.demux(audio=0) if packet.size]
    frames = {frame for at in take.parts for frame in take.grid.part_frames(at)}
    assert times == [FRAME * frame for frame in sorted(frames)]
