"""`longwave replay` on the command line: real takes on a disk, real files, the real ffmpeg."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import structlog

import longwave.replay_view
from contracts.take import TakeKey
from longwave import cli, replay_export
from storage.disk_objects import DiskObjects
from storage.names import META, RECORD, REPLAY_M4A, entry_name, fragment_name, open_name, take_object
from tests import programs
from tests.audio import RATE, beeps, find_beeps
from tests.kept import CHAPTERS, SAMPLES, archive, key_of
from workers.archive.finish import Finisher
from workers.archive.reading import read_derived

ROOT = Path(__file__).parents[2]
PUBLISHED, HIDDEN, UNFINISHED = key_of(0), key_of(1), key_of(2, "other")


class Ran(NamedTuple):
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str


class Shell:
    """Runs `longwave replay …` on a data directory, in this process: it takes no start."""

    def __init__(self, data: Path, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self.data, self.objects = data, DiskObjects(data)
        self._patch, self._output = patch, output

    def __call__(self, *words: str | Path, storage: bool = True) -> Ran:
        place = ("--data-dir", str(self.data)) if storage else ()
        self._patch.setattr(sys, "argv", ["longwave", "replay", *map(str, words), *place])
        self._output.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, *self._output.readouterr())

    def spoil(self, name: str, at: int = -1) -> None:
        """Another byte, where nothing of the length tells."""
        data = bytearray((self.data / name).read_bytes())
        data[at] ^= 1
        (self.data / name).write_bytes(data)


def name_of(key: TakeKey) -> str:
    return f"{key.room}/{key.take}"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished takes and one that nobody finished."""
    data = tmp_path_factory.mktemp("kept")
    objects = DiskObjects(data)
    archive(objects, PUBLISHED)
    archive(objects, HIDDEN, published=False)
    archive(objects, UNFINISHED)
    finisher = Finisher(objects, None, clock=time.time)
    finisher.finish(PUBLISHED)
    finisher.finish(HIDDEN)
    return data


@pytest.fixture
def run(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    # Not for good, as a command does it: this process has other tests to run.
    monkeypatch.setattr(longwave.replay_view, "configure_logs", lambda *_: None)
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    monkeypatch.setattr(replay_export, "_PAUSE_SECONDS", 0.01)
    for variable in [name for name in os.environ if name.startswith("LONGWAVE_")]:
        monkeypatch.delenv(variable)
    data = tmp_path / "data"
    shutil.copytree(kept, data)
    yield Shell(data, monkeypatch, capsys)
    structlog.reset_defaults()


# ---- list --------------------------------------------------------------------------------------------------


def test_replays_are_listed_newest_first_published_or_not(run: Shell) -> None:
    ran = run("list")
    assert (ran.code, ran.err) == (0, "")
    lines = [re.split(r" {2,}", line.strip()) for line in ran.out.splitlines()]
    assert lines == [
        ["replay", "length", "size", "state", "title"],
        [name_of(HIDDEN), "0:06", "13.5 kB", "hidden", "Friday, 1 January 2026"],
        [name_of(PUBLISHED), "0:06", "13.5 kB", "published", "Friday, 1 January 2026"],
        ["2 replays, 0:13, 27.0 kB"],
    ]
    assert "\x1b" not in ran.out
    assert name_of(UNFINISHED) in run("list", "--all").out
    assert run("list", "room").out == ran.out
    assert run("list", "other").out == "no replays of other\n"
    assert re.search(rf"{name_of(UNFINISHED)} +finishing", run("list", "other", "--all").out)
    # In a pipe no line is broken, however long a name is.
    long = key_of(3, "r" * 64)
    archive(run.objects, long)
    assert re.search(rf"{name_of(long)} +finishing", run("list", "--all").out)


def test_a_list_for_programs_says_what_hosts_are_told(run: Shell) -> None:
    told = json.loads(run("list", "--all", "--json").out)["replays"]
    assert [(each["room"], each["take"], each["state"]) for each in told] == [
        ("other", UNFINISHED.take, "finishing"),
        ("room", HIDDEN.take, "ready"),
        ("room", PUBLISHED.take, "ready"),
    ]
    assert (told[1]["published"], told[1]["samples"], told[1]["speakers"]) == (False, SAMPLES, ["Ada"])


def test_on_a_narrow_terminal_titles_give_way_and_names_do_not(
    run: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    printed = run("list", "--all").out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed)
    assert plain != printed
    assert max(map(len, plain.splitlines())) <= 80
    for key in (PUBLISHED, HIDDEN, UNFINISHED):
        assert name_of(key) in plain
    assert "Friday, 1 Janua" in plain


# ---- verify ------------------------------------------------------------------------------------------------


def test_what_is_whole_is_said_to_be(run: Shell) -> None:
    ran = run("verify", "--all")
    assert (ran.code, ran.err) == (0, "")
    rows = [re.split(r" {2,}", line.strip()) for line in ran.out.splitlines()]
    assert [(row[0], row[1], row[2], row[-1]) for row in rows] == [
        ("replay", "length", "missing", "verdict"),
        (name_of(HIDDEN), "0:06", "0.00 s", "whole"),
        (name_of(PUBLISHED), "0:06", "0.00 s", "whole"),
    ]


def test_each_damaged_object_is_named(run: Shell) -> None:
    fragment, file = fragment_name(PUBLISHED, "32k", 0), take_object(PUBLISHED, REPLAY_M4A)
    run.spoil(fragment)
    run.spoil(file)
    ran = run("verify", name_of(HIDDEN), name_of(PUBLISHED))
    assert (ran.code, ran.err) == (1, "longwave: 1 of 2 replays are damaged\n")
    for name in (fragment, file):
        assert re.search(rf"^{re.escape(name)}: ", ran.out, re.MULTILINE)
    report = json.loads(run("verify", name_of(PUBLISHED), "--json").out)["replays"][0]
    assert (report["whole"], report["samples"], report["missing_samples"]) == (False, SAMPLES, 0)
    assert {problem["object"] for problem in report["problems"]} >= {fragment, file}


# ---- finish ------------------------------------------------------------------------------------------------


def test_a_take_that_nobody_works_on_is_finished_once(run: Shell) -> None:
    assert run("finish", "--all") == (0, f"{name_of(UNFINISHED)}: finished\n", "")
    assert run("finish", "--all") == (0, "nothing is left to be finished\n", "")
    assert run("finish", name_of(UNFINISHED)) == (0, f"{name_of(UNFINISHED)}: was finished already\n", "")
    assert run("verify", name_of(UNFINISHED)).code == 0


def test_a_take_that_nobody_told_of_is_finished_from_its_fragments(run: Shell) -> None:
    key = key_of(9)
    archive(run.objects, key, story=False)
    ran = run("finish", name_of(key))
    assert (ran.code, "without who spoke when" in ran.out) == (0, True)
    assert run("verify", name_of(key)).code == 0


@pytest.mark.parametrize("kind", ["takes", "spool"])
def test_what_the_data_directory_has_of_a_take_is_waited_for(run: Shell, kind: str) -> None:
    (run.data / kind / UNFINISHED.room / UNFINISHED.take).mkdir(parents=True)
    ran = run("finish", "--all")
    assert (ran.code, ran.err) == (1, "longwave: 1 of 1 takes are not finished\n")
    assert "a server on this data directory finishes it" in ran.out
    assert run.objects.head(take_object(UNFINISHED, RECORD)) is None
    assert run("finish", "--all", "--force").code == 0
    assert run.objects.head(entry_name(UNFINISHED)) is not None


def test_beside_a_running_server_a_take_that_may_be_live_is_left_alone(run: Shell) -> None:
    live = key_of(9)
    archive(run.objects, live, story=False)
    with (run.data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = run("finish", name_of(live))
        assert (ran.code, "looks live" in ran.out) == (1, True)
        assert run.objects.head(take_object(live, RECORD)) is None
        # Half an hour later it has lost its server.
        hour_ago = time.time() - 3600
        for info in [*run.objects.list(open_name(live)), *run.objects.list(f"rooms/{live.room}/{live.take}")]:
            os.utime(run.data / info.name, (hour_ago, hour_ago))
        assert run("finish", name_of(live)).code == 0


def test_force_makes_again_what_was_made_from_fragments(run: Shell) -> None:
    before = (run.data / take_object(PUBLISHED, REPLAY_M4A)).read_bytes()
    run.spoil(take_object(PUBLISHED, REPLAY_M4A))
    assert run("verify", name_of(PUBLISHED)).code == 1
    assert run("finish", name_of(PUBLISHED)) == (0, f"{name_of(PUBLISHED)}: was finished already\n", "")
    assert run("finish", name_of(PUBLISHED), "--force").code == 0
    assert run("verify", name_of(PUBLISHED)).code == 0
    assert (run.data / take_object(PUBLISHED, REPLAY_M4A)).read_bytes() == before


def test_a_take_whose_fragment_cannot_be_read_is_said_to_be_not_finished(run: Shell) -> None:
    (run.data / take_object(UNFINISHED, "story.json")).write_bytes(b"{")
    ran = run("finish", "--all")
    assert (ran.code, take_object(UNFINISHED, "story.json") in ran.out) == (1, True)


# ---- export ------------------------------------------------------------------------------------------------


def test_an_m4a_is_a_copy(run: Shell, tmp_path: Path) -> None:
    out = tmp_path / "on tides.m4a"
    ran = run("export", name_of(PUBLISHED), out)
    assert (ran.code, ran.err, ran.out) == (0, "", f"0:06, 13.5 kB: {out}\n")
    assert out.read_bytes() == run.objects.read(take_object(PUBLISHED, REPLAY_M4A)).data
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", out.name]


@pytest.mark.needs("ffmpeg", "ffprobe")
@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".WAV"])
def test_other_formats_have_the_sound_and_the_words(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    # To ffmpeg this would be a protocol and a pattern.
    out = Path(f"a:%d/x{suffix}")
    out.parent.mkdir()
    ran = run("export", name_of(HIDDEN), out)
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
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = run("export", name_of(PUBLISHED), tmp_path / "x.mp3")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "longwave: ffmpeg was not found: install it, or export to .m4a, which needs none\n"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_ffmpeg_that_fails_is_quoted(run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho out_time_us=1 >&2\necho no such codec >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    old = tmp_path / "x.flac"
    old.write_bytes(b"an older export")
    ran = run("export", name_of(PUBLISHED), old)
    assert (ran.code, ran.err) == (1, "longwave: ffmpeg could not make the flac: no such codec\n")
    assert old.read_bytes() == b"an older export"


def test_a_damaged_replay_is_not_exported(run: Shell, tmp_path: Path) -> None:
    name = take_object(PUBLISHED, REPLAY_M4A)
    run.spoil(name)
    ran = run("export", name_of(PUBLISHED), tmp_path / "x.m4a")
    assert (ran.code, name in ran.err) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_edit_in_between_gives_the_new_version_whole(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finisher = Finisher(run.objects, None, clock=time.time)
    edits = iter(["Once", "Twice"])

    def interrupted(objects: DiskObjects, key: TakeKey) -> object:
        found = read_derived(objects, key)
        title = next(edits, None)
        if title is not None:
            finisher.edit(key, lambda meta: type(meta)(title=title))
        return found

    monkeypatch.setattr(replay_export, "read_derived", interrupted)
    out = tmp_path / "x.m4a"
    assert run("export", name_of(PUBLISHED), out).code == 0
    assert out.read_bytes() == run.objects.read(take_object(PUBLISHED, REPLAY_M4A)).data
    assert b"Twice" in out.read_bytes()


# ---- what cannot be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["export", "room", "x.m4a"], 2, "room: wanted ROOM/TAKE"),
        (["export", "../etc/20260101T000000Z-aaaaaa", "x.m4a"], 2, "wanted ROOM/TAKE"),
        (["verify", "room/yesterday"], 2, "wanted ROOM/TAKE"),
        (["verify"], 2, "name replays as ROOM/TAKE"),
        (["finish"], 2, "name replays as ROOM/TAKE"),
        (["verify", name_of(PUBLISHED), "--all"], 2, "not both"),
        (["list", "no/room"], 2, "no/room: a room id is"),
        (["export", name_of(PUBLISHED), "x.ogg"], 2, "x.ogg: the name says the format"),
        (["export", name_of(PUBLISHED), "x"], 2, "x: the name says the format"),
        (["export", name_of(PUBLISHED), "nowhere/x.m4a"], 2, "nowhere: no such directory"),
        (["export", name_of(key_of(50)), "x.m4a"], 1, "no such replay"),
        (["verify", name_of(key_of(50))], 1, "no such replay"),
        (["finish", name_of(key_of(50))], 1, "no such replay"),
        (["export", name_of(UNFINISHED), "x.m4a"], 1, "there is no replay yet"),
        (["list", "--data-dir", "nowhere"], 2, "nowhere: no such directory"),
        (["list", "--storage", "ftp://x"], 2, "a storage is s3://"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run(*words, storage="--data-dir" not in words)
    assert (ran.code, ran.out) == (code, "")
    assert re.fullmatch(r"longwave: [^\n]+\n", ran.err)
    assert said in ran.err


def test_a_deleted_replay_is_nowhere(run: Shell, tmp_path: Path) -> None:
    Finisher(run.objects, None, clock=time.time).delete(PUBLISHED)
    assert name_of(PUBLISHED) not in run("list", "--all").out
    assert run("verify", name_of(PUBLISHED)).code == 1
    assert run("export", name_of(PUBLISHED), tmp_path / "x.m4a").code == 1
    run("finish", name_of(PUBLISHED), "--force")
    assert [info.name for info in run.objects.list(f"rooms/{PUBLISHED.room}/{PUBLISHED.take}")] == [
        take_object(PUBLISHED, META)
    ]


def test_as_its_own_process_it_prints_nothing_but_what_was_asked_for(run: Shell) -> None:
    command = [sys.executable, "-m", "longwave", "replay"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LONGWAVE_DATA_DIR": str(run.data)}

    ran = subprocess.run(
        [*command, "finish", "--all"],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env=environment,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{name_of(UNFINISHED)}: finished\n", "")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_list_that_a_full_disk_does_not_take_is_an_error_of_one_line(
    run: Shell, form: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "longwave", "replay", "list", "--data-dir", str(run.data)]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            [*command, *form],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr == "longwave: what was to be said could not be written: No space left on device\n"
