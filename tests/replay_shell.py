"""`longwave replay` on a data directory with real takes."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog

import longwave.replay_view
from contracts.take import TakeKey
from longwave import cli, replay_export
from storage.disk_objects import DiskObjects
from tests.kept import archive, key_of
from workers.archive.finish import Finisher

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


def three_takes(data: Path) -> Path:
    """Two finished takes and one that nobody finished."""
    objects = DiskObjects(data)
    archive(objects, PUBLISHED)
    archive(objects, HIDDEN, published=False)
    archive(objects, UNFINISHED)
    finisher = Finisher(objects, None, clock=time.time)
    finisher.finish(PUBLISHED)
    finisher.finish(HIDDEN)
    return data


@contextmanager
def shell(
    kept: Path, root: Path, monkeypatch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    """A shell on a copy of `kept` below `root`."""
    # Not for good, as a command does it: this process has other tests to run.
    monkeypatch.setattr(longwave.replay_view, "configure_logs", lambda *_: None)
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet, cache_logger_on_first_use=False)
    monkeypatch.setattr(replay_export, "_PAUSE_SECONDS", 0.01)
    for variable in [name for name in os.environ if name.startswith("LONGWAVE_")]:
        monkeypatch.delenv(variable)
    data = root / "data"
    shutil.copytree(kept, data)
    try:
        yield Shell(data, monkeypatch, output)
    finally:
        structlog.reset_defaults()
