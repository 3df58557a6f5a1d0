"""One piece of work on a finished or finishing take, in a process of its own, and what it cost.

`python -m benchmarks.finisher WORK ROOM TAKE …` prints `{"cpu", "seconds", "memory"}`: what the work alone
took, in seconds, and by how many bytes the process grew at most from what it takes with everything imported.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.processes import forget_peak, memory_bytes, peak_bytes
from contracts.take import TakeKey
from pipeline.replay.peaks import Peaks
from storage.objects import Objects
from storage.open import open_objects
from storage.s3_options import S3Options
from workers.archive.finish import Finisher
from workers.archive.notes import ArchiveNotes
from workers.archive.verify import verify

_PID: Final = "self"


def _finish(objects: Objects, key: TakeKey, peaks: Path | None) -> None:
    """As the archiver of a live take does when that is over; without `peaks`, as whoever finds it later."""
    measured = None if peaks is None else Peaks.unpack(peaks.read_bytes())
    Finisher(objects, None, clock=time.time).finish(key, ArchiveNotes((), measured))


def _edit(objects: Objects, key: TakeKey, _: Path | None) -> None:
    title = f"Another title, of {time.time_ns()}"
    Finisher(objects, None, clock=time.time).edit(key, lambda meta: replace(meta, title=title))


def _verify(objects: Objects, key: TakeKey, _: Path | None) -> None:
    report = verify(objects, key)
    if not report.whole:
        raise RuntimeError(f"{report.problems}")


WORK: Final[Mapping[str, Callable[[Objects, TakeKey, Path | None], None]]] = {
    "finish": _finish,
    "edit": _edit,
    "verify": _verify,
}


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=WORK)
    parser.add_argument("room")
    parser.add_argument("take")
    parser.add_argument("--data-dir", type=Path, default=Path())
    parser.add_argument("--storage")
    parser.add_argument("--endpoint")
    parser.add_argument("--peaks", type=Path)
    given = parser.parse_args()
    options = S3Options(endpoint=given.endpoint, region="us-east-1")
    objects = open_objects(given.storage, given.data_dir, options)
    # A client of S3 loads what it knows of S3 with its first request.
    objects.head("nothing")
    gc.collect()
    forget_peak(_PID)
    before, began, used = memory_bytes(_PID), time.monotonic(), time.process_time()
    WORK[given.work](objects, TakeKey(given.room, given.take), given.peaks)
    cost = {
        "cpu": time.process_time() - used,
        "seconds": time.monotonic() - began,
        "memory": peak_bytes(_PID) - before,
    }
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
