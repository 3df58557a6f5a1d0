"""The spool where a process is killed, a disk takes no more of a file, or hangs."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.publishing import KEY, encoded
from tests.spooling import HEADER, size, spools, take_in
from workers.archive.spool import Spool


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    with spools(tmp_path) as made:
        yield made


_CHILD = """
import sys, itertools
from pathlib import Path
from prometheus_client import CollectorRegistry
from contracts.metrics import Metrics
from tests import takes
from tests.publishing import KEY, encoded
from workers.archive.spool import Spool

spool = Spool(Path(sys.argv[1]), 2**30, Metrics(CollectorRegistry()), patience=30.0)
spool.start()
take = spool.take(KEY)
for part in encoded((0, 0), (200, 0), ("64k", "128k")):
    if spool.keep(take, takes.header("64k", "128k"), [part], None):
        sys.stdout.write(f"{part.rendition} {part.msn} {part.part}\\n")
        sys.stdout.flush()
print("done")
spool.close()
"""


@pytest.mark.faults
@pytest.mark.parametrize("after", [1, 40, 333])
def test_what_was_acknowledged_survives_kill_minus_nine(tmp_path: Path, after: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline() for _ in range(after)]
        child.kill()
        acknowledged += child.stdout.readlines()
    assert len(acknowledged) >= after
    take = take_in(tmp_path, 2**30)
    wanted = {(p.rendition, p.msn, p.part): p.data for p in encoded((0, 0), (200, 0), ("64k", "128k"))}
    found = {
        (rendition, *position): data
        for rendition, first in take.fragments()
        for position, data in take.read(rendition, first).items()
    }
    for line in acknowledged:
        rendition, msn, part = line.split()
        name = rendition, int(msn), int(part)
        assert found[name] == wanted[name]


@pytest.mark.faults
def test_a_disk_that_takes_only_so_much_of_a_file_loses_no_part_it_took(tmp_path: Path) -> None:
    limit = size((0, 0), (2, 0)) + 17

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    code = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + _CHILD
    # -B: what Python keeps of compiled sources would be cut short, too.
    child = subprocess.run(
        [sys.executable, "-B", "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=small_files,
        check=True,
    )
    assert "done" in child.stdout
    lines = [line for line in child.stdout.splitlines() if line.startswith(("64k ", "128k "))]
    take = take_in(tmp_path, 2**30)
    found = {(r, *p) for r, first in take.fragments() for p in take.read(r, first)}
    assert found == {(r, int(msn), int(part)) for r, msn, part in map(str.split, lines)}
    assert len(found) < 2000


async def test_a_hanging_disk_does_not_hold_up_the_event_loop(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    spool = make(patience=0.01)
    real = os.pwrite

    def stuck(*args: object) -> int:
        hang.wait()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "pwrite", stuck)
    adding = asyncio.create_task(spool.add(spool.take(KEY), HEADER, encoded((0, 0), (0, 1))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not adding.done()
    hang.set()
    assert await adding


async def test_who_stops_waiting_for_the_disk_does_not_stop_the_writer(make: Callable[..., Spool]) -> None:
    spool = make()
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()

    waiting = [asyncio.create_task(spool.do(work)) for _ in range(2)]
    await asyncio.to_thread(begun.wait)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    go_on.set()
    assert await spool.add(spool.take(KEY), HEADER, encoded((0, 0), (0, 1)))
