"""`longwave replay export`: real files, the real ffmpeg."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from contracts.take import TakeKey
from longwave import replay_export
from storage.disk_objects import DiskObjects
from storage.names import REPLAY_M4A, take_object
from tests import programs
from tests.audio import RATE, beeps, find_beeps
from tests.kept import CHAPTERS, SAMPLES
from tests.replay_shell import HIDDEN, PUBLISHED, Shell, name_of
from workers.archive.finish import Finisher
from workers.archive.reading import read_derived


def test_an_m4a_is_a_copy(longwave_replay: Shell, tmp_path: Path) -> None:
    out = tmp_path / "on tides.m4a"
    ran = longwave_replay("export", name_of(PUBLISHED), out)
    assert (ran.code, ran.err, ran.out) == (0, "", f"0:06, 13.5 kB: {out}\n")
    assert out.read_bytes() == longwave_replay.objects.read(take_object(PUBLISHED, REPLAY_M4A)).data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", out.name]


@pytest.mark.needs("ffmpeg", "ffprobe")
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".WAV"])
def test_other_formats_have_the_sound_and_the_words(
    longwave_replay: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    # To ffmpeg this would be a protocol and a pattern.
    out = Path(f"a:%d/x{suffix}")
    out.parent.mkdir()
    ran = longwave_replay("export", name_of(HIDDEN), out)
    assert (ran.code, ran.err) == (0, "")
    probe = json.loads(
        subprocess.check_output(
            [
                programs.path("ffprobe"),
                *("-v", "error", "-of", "json", "-show_format", "-show_chapters", f"file:{out}"),
            ]
        )
    )
    tags = {name.lower(): value for name, value in probe["format"]["tags"].items()}
    assert (tags["title"], tags["artist"]) == ("Friday, 1 January 2026", "Ada")
    assert not {"major_brand", "compatible_brands", "media_type", "podcast"} & {*tags}
    if suffix == ".mp3":
        told = [
            (round(float(each["start_time"]) * RATE), each["tags"]["title"]) for each in probe["chapters"]
        ]
        assert told == list(CHAPTERS)
    heard = decoded(out, tmp_path)
    lossless = suffix != ".mp3"
    assert len(heard) == SAMPLES if lossless else abs(len(heard) - SAMPLES) < 2400
    # Of the first one the attack is lost: a decoder has nothing before it that would overlap.
    wanted, found = find_beeps(beeps(6.5)[:SAMPLES])[1:], find_beeps(heard)[1:]
    assert len(wanted) == 6
    assert [beep.tone for beep in found] == [beep.tone for beep in wanted]
    assert max(abs(a.sample - b.sample) for a, b in zip(found, wanted, strict=True)) <= 48  # 1 ms
    assert [*out.parent.iterdir()] == [out]


def decoded(path: Path, tmp_path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    wav = tmp_path / "decoded.pcm"
    subprocess.check_call(
        [
            programs.path("ffmpeg"),
            *("-v", "error", "-y", "-i", f"file:{path}", "-f", "s16le", "-ac", "1", "-ar", "48000", str(wav)),
        ]
    )
    return np.fromfile(wav, np.int16)


def test_without_ffmpeg_it_says_so_and_leaves_nothing(
    longwave_replay: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = longwave_replay("export", name_of(PUBLISHED), tmp_path / "x.mp3")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "longwave: ffmpeg was not found: install it, or export to .m4a, which needs none\n"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_ffmpeg_that_fails_is_quoted(
    longwave_replay: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho out_time_us=1 >&2\necho no such codec >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    old = tmp_path / "x.flac"
    old.write_bytes(b"an older export")
    ran = longwave_replay("export", name_of(PUBLISHED), old)
    assert (ran.code, ran.err) == (1, "longwave: ffmpeg could not make the flac: no such codec\n")
    assert old.read_bytes() == b"an older export"


def test_a_damaged_replay_is_not_exported(longwave_replay: Shell, tmp_path: Path) -> None:
    name = take_object(PUBLISHED, REPLAY_M4A)
    longwave_replay.spoil(name)
    ran = longwave_replay("export", name_of(PUBLISHED), tmp_path / "x.m4a")
    assert (ran.code, name in ran.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_edit_in_between_gives_the_new_version_whole(
    longwave_replay: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finisher = Finisher(longwave_replay.objects, None, clock=time.time)
    edits = iter(["Once", "Twice"])

    def interrupted(objects: DiskObjects, key: TakeKey) -> object:
        found = read_derived(objects, key)
        title = next(edits, None)
        if title is not None:
            finisher.edit(key, lambda meta: type(meta)(title=title))
        return found

    monkeypatch.setattr(replay_export, "read_derived", interrupted)
    out = tmp_path / "x.m4a"
    assert longwave_replay("export", name_of(PUBLISHED), out).code == 0
    assert out.read_bytes() == longwave_replay.objects.read(take_object(PUBLISHED, REPLAY_M4A)).data
    assert b"Twice" in out.read_bytes()
