"""What it costs to make a replay of a take: to finish, to edit and to verify it, beside ffmpeg's remux.

Each piece of work runs in a process of its own (`benchmarks.finisher`), which says what it took.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

from benchmarks import report
from benchmarks.offline_take import HOUR, OfflineTake, make_take, unfinish
from benchmarks.processes import peak_bytes
from contracts.take import Rendition
from pipeline.boxes import init_segment
from storage.names import FRAGMENT_SEGMENTS, REPLAY_M4A, fragment_name, take_object
from storage.open import open_objects
from storage.s3_options import S3Options
from tests.s3_server import CREDENTIALS, S3Server

NAME: Final = "replay"
TITLE: Final = "From a take to its replay, against ffmpeg's remux"
_COLUMNS: Final = ("", "CPU", "time", "memory more", "replay.m4a")
_MOST_CPU: Final = 5.0
_MOST_MEMORY: Final = 64.0
_LONG: Final = 8 * HOUR
_SAID_AGAIN: Final = HOUR // 10
"""Seconds that are encoded of takes whose length or number of renditions is what matters."""
_LADDER: Final = ("32k", "64k", "128k")
_SEGMENT_SECONDS: Final = 2


@dataclass(frozen=True)
class Work:
    """CPU seconds, seconds, bytes of memory beyond what a process with everything imported takes."""

    cpu: float
    seconds: float
    memory: float


@dataclass(frozen=True)
class Row:
    """What was done, what it took, and how long the file is that came of it."""

    what: str
    work: Work
    size: int

    def cells(self) -> tuple[str, ...]:
        """As a table has it."""
        work = self.work
        return (
            self.what,
            f"{work.cpu:.2f} s",
            f"{work.seconds:.2f} s",
            report.megabytes(work.memory),
            report.megabytes(self.size),
        )


class Place:
    """A storage in which takes are worked on by processes of their own: as its options there name it."""

    def __init__(self, directory: Path, url: str | None = None, endpoint: str | None = None) -> None:
        self.objects = open_objects(url, directory, S3Options(endpoint=endpoint, region="us-east-1"))
        self._directory = directory
        self._options = ["--data-dir", str(directory)]
        if url is not None and endpoint is not None:
            self._options = ["--storage", url, "--endpoint", endpoint]

    def work(self, what: str, take: OfflineTake, *, peaks: bool = True) -> Work:
        """Raises RuntimeError where it fails."""
        argv = [sys.executable, "-m", "benchmarks.finisher", what, *take.key, *self._options]
        if peaks:
            (file := self._directory / "peaks.bin").write_bytes(take.peaks)
            argv += ["--peaks", str(file)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        return Work(**json.loads(done.stdout.splitlines()[-1]))

    def rounds(self, what: str, take: OfflineTake, count: int) -> Work:
        """The median of each figure; a take is finished from the beginning each time."""
        done = []
        for _ in range(count):
            if what == "finish":
                unfinish(self.objects, take)
            done.append(self.work(what, take))
        return _medians(done)

    def row(self, what: str, take: OfflineTake, work: Work) -> Row:
        """With the size of what is there now."""
        info = self.objects.head(take_object(take.key, REPLAY_M4A))
        return Row(what, work, info.size if info else 0)


def run(*, quick: bool) -> report.Result:
    """An hour on a disk and in S3; three renditions; eight hours (one when quick)."""
    count = 1 if quick else 3
    with TemporaryDirectory(prefix="longwave-bench-") as name:
        place = Place(Path(name) / "data")
        take = make_take(place.objects, encoded=_SAID_AGAIN if quick else HOUR)
        hour = place.row("one hour, finished", take, place.rounds("finish", take, count))
        rows = [
            hour,
            place.row("its title edited", take, place.rounds("edit", take, count)),
            place.row("verified", take, place.rounds("verify", take, count)),
        ]
        remux = _remux(place, take, Path(name), count)
        unfinish(place.objects, take)
        unheard = place.work("finish", take, peaks=False)
        rows.append(place.row("finished, its waveform decoded", take, unheard))
        rows.append(_in_s3(place, take, Path(name)))
        ladder = make_take(place.objects, renditions=_LADDER, encoded=_SAID_AGAIN)
        three = place.row("one hour, three renditions", ladder, place.work("finish", ladder))
        long = make_take(place.objects, HOUR if quick else _LONG, encoded=_SAID_AGAIN)
        longest = place.row(
            "an hour again" if quick else "eight hours, finished", long, place.work("finish", long)
        )
        rows += [three, longest, remux]
    return _result(rows, hour, longest, remux)


# ---- S3 and ffmpeg -----------------------------------------------------------------------------------------


def _in_s3(disk: Place, take: OfflineTake, directory: Path) -> Row:
    """The same take in moto's server, whose own CPU is not counted."""
    unfinish(disk.objects, take)
    with _s3() as server, patch.dict(os.environ, CREDENTIALS):
        (directory / "s3").mkdir()
        there = Place(directory / "s3", f"s3://{server.new_bucket()}/takes", server.url)
        for info in disk.objects.list(""):
            if take.key.take in info.name:
                there.objects.put_new(info.name, disk.objects.read(info.name).data)
        row = there.row("finished in S3", take, there.work("finish", take))
        there.objects.close()
        return row


@contextlib.contextmanager
def _s3() -> Iterator[S3Server]:
    server = S3Server()
    try:
        yield server
    finally:
        server.close()


def _remux(place: Place, take: OfflineTake, directory: Path, count: int) -> Row:
    """What one would do with files: the same media, one after the other, copied by ffmpeg."""
    (source := directory / "take.mp4").write_bytes(_media(place, take))
    out = directory / "out.m4a"
    argv = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(source), "-c", "copy"]
    argv += ["-movflags", "+faststart", str(out)]
    work = _medians([_watched(argv) for _ in range(count)])
    return Row("ffmpeg -c copy -movflags +faststart", work, out.stat().st_size)


def _media(place: Place, take: OfflineTake) -> bytes:
    """Header and fragments of the first rendition."""
    rendition: Rendition = take.settings.renditions[0]
    msns = range(0, take.seconds // _SEGMENT_SECONDS, FRAGMENT_SEGMENTS)
    names = [fragment_name(take.key, rendition.name, msn) for msn in msns]
    return init_segment(take.settings, rendition) + b"".join(place.objects.read(name).data for name in names)


def _watched(argv: Sequence[str]) -> Work:
    """Run a program. Its memory is all that it takes: its peak, looked at every few milliseconds.

    The peak that the system tells of a child is at least what its parent took when it was started.
    """
    began, peak = time.monotonic(), 0
    process = subprocess.Popen(argv)
    while True:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        with contextlib.suppress(OSError, RuntimeError):  # it ends while it is looked at
            peak = max(peak, peak_bytes(process.pid))
        time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]}: exit code {process.returncode}")
    return Work(usage.ru_utime + usage.ru_stime, time.monotonic() - began, peak)


def _medians(works: Sequence[Work]) -> Work:
    return Work(
        median(work.cpu for work in works),
        median(work.seconds for work in works),
        median(work.memory for work in works),
    )


# ---- figures -----------------------------------------------------------------------------------------------


def _result(rows: Sequence[Row], hour: Row, longest: Row, remux: Row) -> report.Result:
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(row.cells() for row in rows),
        notes=(
            "mono, 64k, 5 parts a segment, two speakers who take turns, a chapter every 5 minutes",
            "finished: every fragment read and digested, take.json, the m4a, playlists, chapters, waveform",
            "on a disk, synced; but for the row that says otherwise, the waveform was measured while live",
            "memory more: at most, beyond a process with everything imported; ffmpeg's is its whole process",
            "S3 is moto's server, a process of its own that is not counted; it takes part in the time",
            f"finishing an hour takes {hour.work.cpu / remux.work.cpu:.1f} × the CPU of the remux alone",
        ),
        targets=(
            report.at_most("finishing an hour, CPU seconds", _MOST_CPU, hour.work.cpu),
            report.at_most("finishing an hour, MB more", _MOST_MEMORY, hour.work.memory / 1e6, "{:.1f}"),
            report.at_most(f"{longest.what}, MB more", _MOST_MEMORY, longest.work.memory / 1e6, "{:.1f}"),
        ),
    )
