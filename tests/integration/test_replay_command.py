"""`longwave replay` on the command line: what is listed, verified and finished."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.names import META, RECORD, REPLAY_M4A, entry_name, fragment_name, open_name, take_object
from tests.kept import SAMPLES, archive, key_of
from tests.replay_shell import HIDDEN, PUBLISHED, UNFINISHED, Shell, name_of
from workers.archive.finish import Finisher

ROOT = Path(__file__).parents[2]


# ---- list --------------------------------------------------------------------------------------------------


def test_replays_are_listed_newest_first_published_or_not(longwave_replay: Shell) -> None:
    ran = longwave_replay("list")
    assert (ran.code, ran.err) == (0, "")
    lines = [re.split(r" {2,}", line.strip()) for line in ran.out.splitlines()]
    assert lines == [
        ["replay", "length", "size", "state", "title"],
        [name_of(HIDDEN), "0:06", "13.5 kB", "hidden", "Friday, 1 January 2026"],
        [name_of(PUBLISHED), "0:06", "13.5 kB", "published", "Friday, 1 January 2026"],
        ["2 replays, 0:13, 27.0 kB"],
    ]
    assert "\x1b" not in ran.out
    assert name_of(UNFINISHED) in longwave_replay("list", "--all").out
    assert longwave_replay("list", "room").out == ran.out
    assert longwave_replay("list", "other").out == "no replays of other\n"
    assert re.search(rf"{name_of(UNFINISHED)} +finishing", longwave_replay("list", "other", "--all").out)
    # In a pipe no line is broken, however long a name is.
    long = key_of(3, "r" * 64)
    archive(longwave_replay.objects, long)
    assert re.search(rf"{name_of(long)} +finishing", longwave_replay("list", "--all").out)


def test_a_list_for_programs_says_what_hosts_are_told(longwave_replay: Shell) -> None:
    told = json.loads(longwave_replay("list", "--all", "--json").out)["replays"]
    assert [(each["room"], each["take"], each["state"]) for each in told] == [
        ("other", UNFINISHED.take, "finishing"),
        ("room", HIDDEN.take, "ready"),
        ("room", PUBLISHED.take, "ready"),
    ]
    assert (told[1]["published"], told[1]["samples"], told[1]["speakers"]) == (False, SAMPLES, ["Ada"])


def test_on_a_narrow_terminal_titles_give_way_and_names_do_not(
    longwave_replay: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    printed = longwave_replay("list", "--all").out
    plain = re.sub(r"\x1b\[[0-9;]*m", "", printed)
    assert plain != printed
    assert max(map(len, plain.splitlines())) <= 80
    for key in (PUBLISHED, HIDDEN, UNFINISHED):
        assert name_of(key) in plain
    assert "Friday, 1 Janua" in plain


# ---- verify ------------------------------------------------------------------------------------------------


def test_what_is_whole_is_said_to_be(longwave_replay: Shell) -> None:
    ran = longwave_replay("verify", "--all")
    assert (ran.code, ran.err) == (0, "")
    rows = [re.split(r" {2,}", line.strip()) for line in ran.out.splitlines()]
    assert [(row[0], row[1], row[2], row[-1]) for row in rows] == [
        ("replay", "length", "missing", "verdict"),
        (name_of(HIDDEN), "0:06", "0.00 s", "whole"),
        (name_of(PUBLISHED), "0:06", "0.00 s", "whole"),
    ]


def test_each_damaged_object_is_named(longwave_replay: Shell) -> None:
    fragment, file = fragment_name(PUBLISHED, "32k", 0), take_object(PUBLISHED, REPLAY_M4A)
    longwave_replay.spoil(fragment)
    longwave_replay.spoil(file)
    ran = longwave_replay("verify", name_of(HIDDEN), name_of(PUBLISHED))
    assert (ran.code, ran.err) == (1, "longwave: 1 of 2 replays are damaged\n")
    for name in (fragment, file):
        assert re.search(rf"^{re.escape(name)}: ", ran.out, re.MULTILINE)
    report = json.loads(longwave_replay("verify", name_of(PUBLISHED), "--json").out)["replays"][0]
    assert (report["whole"], report["samples"], report["missing_samples"]) == (False, SAMPLES, 0)
    assert {problem["object"] for problem in report["problems"]} >= {fragment, file}


# ---- finish ------------------------------------------------------------------------------------------------


def test_a_take_that_nobody_works_on_is_finished_once(longwave_replay: Shell) -> None:
    assert longwave_replay("finish", "--all") == (0, f"{name_of(UNFINISHED)}: finished\n", "")
    assert longwave_replay("finish", "--all") == (0, "nothing is left to be finished\n", "")
    assert longwave_replay("finish", name_of(UNFINISHED)) == (
        0,
        f"{name_of(UNFINISHED)}: was finished already\n",
        "",
    )
    assert longwave_replay("verify", name_of(UNFINISHED)).code == 0


def test_a_take_that_nobody_told_of_is_finished_from_its_fragments(longwave_replay: Shell) -> None:
    key = key_of(9)
    archive(longwave_replay.objects, key, story=False)
    ran = longwave_replay("finish", name_of(key))
    assert (ran.code, "without who spoke when" in ran.out) == (0, True)
    assert longwave_replay("verify", name_of(key)).code == 0


@pytest.mark.parametrize("kind", ["takes", "spool"])
def test_what_the_data_directory_has_of_a_take_is_waited_for(longwave_replay: Shell, kind: str) -> None:
    (longwave_replay.data / kind / UNFINISHED.room / UNFINISHED.take).mkdir(parents=True)
    ran = longwave_replay("finish", "--all")
    assert (ran.code, ran.err) == (1, "longwave: 1 of 1 takes are not finished\n")
    assert "a server on this data directory finishes it" in ran.out
    assert longwave_replay.objects.head(take_object(UNFINISHED, RECORD)) is None
    assert longwave_replay("finish", "--all", "--force").code == 0
    assert longwave_replay.objects.head(entry_name(UNFINISHED)) is not None


def test_beside_a_running_server_a_take_that_may_be_live_is_left_alone(longwave_replay: Shell) -> None:
    live = key_of(9)
    archive(longwave_replay.objects, live, story=False)
    with (longwave_replay.data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = longwave_replay("finish", name_of(live))
        assert (ran.code, "looks live" in ran.out) == (1, True)
        assert longwave_replay.objects.head(take_object(live, RECORD)) is None
        # Half an hour later it has lost its server.
        hour_ago = time.time() - 3600
        for info in [
            *longwave_replay.objects.list(open_name(live)),
            *longwave_replay.objects.list(f"rooms/{live.room}/{live.take}"),
        ]:
            os.utime(longwave_replay.data / info.name, (hour_ago, hour_ago))
        assert longwave_replay("finish", name_of(live)).code == 0


def test_force_makes_again_what_was_made_from_fragments(longwave_replay: Shell) -> None:
    before = (longwave_replay.data / take_object(PUBLISHED, REPLAY_M4A)).read_bytes()
    longwave_replay.spoil(take_object(PUBLISHED, REPLAY_M4A))
    assert longwave_replay("verify", name_of(PUBLISHED)).code == 1
    assert longwave_replay("finish", name_of(PUBLISHED)) == (
        0,
        f"{name_of(PUBLISHED)}: was finished already\n",
        "",
    )
    assert longwave_replay("finish", name_of(PUBLISHED), "--force").code == 0
    assert longwave_replay("verify", name_of(PUBLISHED)).code == 0
    assert (longwave_replay.data / take_object(PUBLISHED, REPLAY_M4A)).read_bytes() == before


def test_a_take_whose_fragment_cannot_be_read_is_said_to_be_not_finished(longwave_replay: Shell) -> None:
    (longwave_replay.data / take_object(UNFINISHED, "story.json")).write_bytes(b"{")
    ran = longwave_replay("finish", "--all")
    assert (ran.code, take_object(UNFINISHED, "story.json") in ran.out) == (1, True)


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
    longwave_replay: Shell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = longwave_replay(*words, storage="--data-dir" not in words)
    assert (ran.code, ran.out) == (code, "")
    assert re.fullmatch(r"longwave: [^\n]+\n", ran.err)
    assert said in ran.err


def test_a_deleted_replay_is_nowhere(longwave_replay: Shell, tmp_path: Path) -> None:
    Finisher(longwave_replay.objects, None, clock=time.time).delete(PUBLISHED)
    assert name_of(PUBLISHED) not in longwave_replay("list", "--all").out
    assert longwave_replay("verify", name_of(PUBLISHED)).code == 1
    assert longwave_replay("export", name_of(PUBLISHED), tmp_path / "x.m4a").code == 1
    longwave_replay("finish", name_of(PUBLISHED), "--force")
    assert [
        info.name for info in longwave_replay.objects.list(f"rooms/{PUBLISHED.room}/{PUBLISHED.take}")
    ] == [take_object(PUBLISHED, META)]


def test_as_its_own_process_it_prints_nothing_but_what_was_asked_for(longwave_replay: Shell) -> None:
    command = [sys.executable, "-m", "longwave", "replay"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LONGWAVE_DATA_DIR": str(longwave_replay.data)}

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
    longwave_replay: Shell, form: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", "longwave", "replay", "list", "--data-dir", str(longwave_replay.data)]
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
