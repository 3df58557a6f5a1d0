"""`longwave package`: a file into an HLS VOD, the same bytes whatever part of it is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import m3u8
import numpy as np
import pytest

from contracts.errors import DiskUnavailable, UndecodableFile, UsageError
from contracts.take import Rendition, TakeSettings
from longwave.package import Summary, package, package_settings, parse_segments
from pipeline.boxes import InitBox, read_init, read_part, split_parts
from pipeline.grid import FRAME, SEGMENT, first_frame, first_sample
from pipeline.pcm import Pcm
from tests import programs
from tests.audio import best_lag, speechlike
from tests.commands import Commands

ROOT = Path(__file__).parents[2]
TWO = TakeSettings(1, 5, (Rendition("32k"), Rendition("64k")))
SECONDS = 41.3  # 20 segments and a bit: two pieces and a half
SAMPLES = round(SECONDS * 48_000)


def write_wav(path: Path, pcm: Pcm, rate: int = 48_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((pcm.shape[1], 2, rate, 0, "NONE", ""))
        file.writeframes(pcm.tobytes())
    return path


@pytest.fixture(scope="module")
def pcm() -> Pcm:
    return speechlike(SAMPLES, seed=11).reshape(-1, 1)


@pytest.fixture(scope="module")
def source(pcm: Pcm, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("source") / "x.wav", pcm)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outdir = tmp_path_factory.mktemp("whole") / "out"
    package(source, outdir, TWO)
    return outdir


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def process(
    *args: str | Path, program: Sequence[str] = ("-m", "longwave")
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *program, "package", *map(str, args)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=50, env=environment)


def test_it_writes_headers_segments_and_playlists_and_nothing_else(whole: Path) -> None:
    media = {f"{name}/{msn}.m4s" for name in ("32k", "64k") for msn in range(21)}
    others = {f"{name}/{file}" for name in ("32k", "64k") for file in ("init.mp4", "index.m3u8")}
    assert set(files(whole)) == media | others | {"index.m3u8"}
    assert read_init((whole / "32k/init.mp4").read_bytes()) == InitBox(1, 32_000)


def test_segments_follow_one_another_on_the_grid_to_the_last_sample(whole: Path) -> None:
    frame = 0
    for msn in range(21):
        parts = split_parts((whole / f"64k/{msn}.m4s").read_bytes())
        assert read_part(parts[0]).first_frame == frame == first_frame(msn)
        assert msn == 20 or len(parts) == 5
        frame += sum(read_part(part).frames for part in parts)
    # The last part is the one that holds the last sample.
    assert SAMPLES <= frame * FRAME < SAMPLES + 19 * FRAME


def test_playlists_say_what_the_media_holds(whole: Path) -> None:
    master = m3u8.loads((whole / "index.m3u8").read_text())
    assert [variant.uri.removeprefix("./") for variant in master.playlists] == [
        "64k/index.m3u8",
        "32k/index.m3u8",
    ]
    for variant in master.playlists:
        directory = whole / Path(variant.uri).parent
        playlist = m3u8.loads((directory / "index.m3u8").read_text())
        assert (playlist.playlist_type, playlist.media_sequence, playlist.is_endlist) == ("vod", 0, True)
        assert playlist.segment_map[0].uri == "init.mp4"
        sizes = []
        for msn, segment in enumerate(playlist.segments):
            data = (directory / segment.uri).read_bytes()
            frames = sum(read_part(part).frames for part in split_parts(data))
            assert segment.uri == f"{msn}.m4s"
            assert abs(segment.duration - frames * FRAME / 48_000) < 1e-5
            sizes.append(len(data) * 8 / segment.duration)
        assert max(sizes[:-1]) <= variant.stream_info.bandwidth
        assert variant.stream_info.average_bandwidth <= variant.stream_info.bandwidth


def test_twice_the_same_file_gives_the_same_bytes(source: Path, whole: Path, tmp_path: Path) -> None:
    package(source, tmp_path, TWO)
    assert files(tmp_path) == files(whole)


@pytest.mark.parametrize("segments", ["0:1", "3:4", "7:9", "8:16", "5:18", "19:21", "20:21", "0:21"])
def test_a_range_alone_gives_the_bytes_of_the_whole_run(
    source: Path, whole: Path, tmp_path: Path, segments: str
) -> None:
    wanted = parse_segments(segments)
    summary = package(source, tmp_path, TWO, wanted)
    assert summary.segments == wanted
    media = {name: data for name, data in files(tmp_path).items() if name.endswith((".m4s", ".mp4"))}
    assert len(media) == 2 * (len(wanted) + 1)
    assert media == {name: data for name, data in files(whole).items() if name in media}
    playlist = m3u8.load(str(tmp_path / "64k/index.m3u8"))
    assert playlist.media_sequence == wanted.start
    assert [segment.uri for segment in playlist.segments] == [f"{msn}.m4s" for msn in wanted]


def test_a_range_of_a_resampled_stereo_file_gives_the_bytes_of_the_whole_run(tmp_path: Path) -> None:
    left = speechlike(20 * 44_100, seed=2).reshape(-1, 1)
    source = write_wav(tmp_path / "x.wav", np.concatenate((left, left // 3), axis=1), 44_100)
    settings = TakeSettings(2, 10, (Rendition("96k"),))
    package(source, tmp_path / "all", settings)
    package(source, tmp_path / "some", settings, range(6, 8))
    for msn in (6, 7):
        some, all_ = (tmp_path / kind / f"96k/{msn}.m4s" for kind in ("some", "all"))
        assert some.read_bytes() == all_.read_bytes()
    assert not (tmp_path / "some/96k/8.m4s").exists()


@pytest.mark.parametrize("extra", [1, 2 * FRAME - 1, 2 * FRAME])
def test_sound_that_ends_just_after_the_range_is_no_more_than_its_look_ahead(
    pcm: Pcm, tmp_path: Path, extra: int
) -> None:
    source = write_wav(tmp_path / "x.wav", pcm[: first_sample(3) + extra])
    package(source, tmp_path / "all", TWO)
    package(source, tmp_path / "some", TWO, range(1, 3))
    assert (tmp_path / "all/64k/3.m4s").exists()
    assert not (tmp_path / "some/64k/3.m4s").exists()
    assert (tmp_path / "some/64k/2.m4s").read_bytes() == (tmp_path / "all/64k/2.m4s").read_bytes()


def test_progress_is_told_from_nothing_to_all(source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    summary = package(source, tmp_path, TWO, progress=lambda done, total: told.append((done, total)))
    assert told == [(8, 21), (16, 21), (21, 21)]
    assert summary == Summary(range(21), summary.frames, summary.size)
    assert summary.size == sum(len(data) for name, data in files(tmp_path).items() if name.endswith("m4s"))


@pytest.mark.needs("ffmpeg")
def test_ffmpeg_plays_what_was_packaged(whole: Path, pcm: Pcm) -> None:
    command = [
        programs.path("ffmpeg"),
        "-v",
        "error",
        "-i",
        str(whole / "64k/index.m3u8"),
        "-f",
        "s16le",
        "-",
    ]
    played = subprocess.run(command, check=True, capture_output=True, timeout=50)
    assert played.stderr == b""
    match = best_lag(pcm[:, 0], np.frombuffer(played.stdout, "<i2"))
    assert match.lag == 0
    assert match.snr_db > 15


@pytest.mark.parametrize("text", ["", "5", "5:", ":5", "a:b", "5:5", "7:3", "-1:3", "1:2:3", "1.0:2", "٣:٤"])
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^segments "):
        parse_segments(text)


@pytest.mark.parametrize("segments", [range(21, 22), range(19, 22), range(500, 600)])
def test_a_range_beyond_the_end_is_refused(source: Path, tmp_path: Path, segments: range) -> None:
    with pytest.raises(UsageError, match="the input ends with segment 20"):
        package(source, tmp_path, TWO, segments)
    assert not list(tmp_path.rglob("*.m3u8"))


def test_settings_that_cannot_be_encoded_are_a_wrong_use() -> None:
    assert package_settings("32k,64k", 2, 10) == TakeSettings(2, 10, TWO.renditions)
    for renditions, channels, parts in [("64", 1, 5), ("64k,64k", 1, 5), ("9000k", 1, 5), ("64k", 3, 5)]:
        with pytest.raises(UsageError):
            package_settings(renditions, channels, parts)


def test_a_file_without_a_sample_is_refused(tmp_path: Path) -> None:
    source = write_wav(tmp_path / "x.wav", np.zeros((0, 1), np.int16))
    with pytest.raises(UndecodableFile):
        package(source, tmp_path / "out", TWO)
    assert not (tmp_path / "out").exists()


def test_an_output_directory_that_is_a_file_is_told(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(DiskUnavailable, match="a file is where a directory should be"):
        package(source, tmp_path / "out", TWO)


def test_the_command_writes_the_same_and_says_so_in_one_line(
    source: Path, whole: Path, tmp_path: Path
) -> None:
    done = process(source, tmp_path / "out", "--renditions", "32k,64k", "--segments", "4:6")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "2 segments" in done.stdout
    assert (tmp_path / "out/32k/5.m4s").read_bytes() == (whole / "32k/5.m4s").read_bytes()


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["missing.wav", "out"], 2),
        (["text.txt", "out"], 2),
        (["x.wav", "out", "--segments", "9:3"], 2),
        (["x.wav", "out", "--segments", "90:93"], 2),
        (["x.wav", "out", "--renditions", "64"], 2),
        (["x.wav", "text.txt"], 1),
    ],
)
def test_what_goes_wrong_is_one_line_and_an_exit_code(
    longwave: Commands,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    code: int,
) -> None:
    (tmp_path / "text.txt").write_text("Nothing to hear.\n")
    (tmp_path / "x.wav").symlink_to(source)
    monkeypatch.chdir(tmp_path)
    failed = longwave("package", *args)
    assert failed.returncode == code
    assert failed.stdout == ""
    assert failed.stderr.startswith("longwave: ")
    assert failed.stderr.count("\n") == 1


@pytest.mark.faults
def test_a_full_disk_is_one_line_and_leaves_no_half_written_file(source: Path, tmp_path: Path) -> None:
    # As on a full disk, writing fails half way (with EFBIG instead of ENOSPC).
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        "from longwave.cli import main; main()"
    )
    failed = process(source, tmp_path / "out", program=["-B", "-c", script])
    assert failed.returncode == 1
    assert failed.stderr.startswith("longwave: ")
    assert failed.stderr.count("\n") == 1
    assert files(tmp_path) == {}


def test_memory_does_not_grow_with_the_length_of_the_file(tmp_path: Path) -> None:
    source = tmp_path / "long.wav"
    with wave.open(str(source), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        for _ in range(15):
            file.writeframes(bytes(2 * 60 * 48_000))
    script = (
        "import resource, sys; from pathlib import Path; from tests.integration.test_package import *\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "package(Path(sys.argv[1]), Path(sys.argv[2]), TakeSettings())\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    command = [sys.executable, "-c", script, str(source), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=55)
    pcm_kilobytes = 15 * 60 * SEGMENT // 1024
    assert len(list((tmp_path / "out/64k").glob("*.m4s"))) == 450
    assert int(done.stdout) < pcm_kilobytes / 2
