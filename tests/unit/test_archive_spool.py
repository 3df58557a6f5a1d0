"""The spool on a disk: what is kept survives; what the disk does not take is said, and costs nobody time."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import DiskUnavailable
from contracts.metrics import Metrics
from contracts.position import Position
from pipeline.grid import Grid
from tests import takes
from tests.publishing import KEY, encoded
from workers.archive.spool import PeakRecords, Spool
from workers.archive.spool_disk import SpoolDisk, SpoolFull
from workers.archive.spool_take import SpoolTake

GRID = Grid(5)
HEADER = takes.header()


def size(start: tuple[int, int], stop: tuple[int, int]) -> int:
    return sum(len(part.data) for part in encoded(start, stop))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    made: list[Spool] = []

    def spool(
        limit: int = 2**20, patience: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> Spool:
        metrics = Metrics(CollectorRegistry())
        made.append(Spool(tmp_path, limit, metrics, patience=patience, clock=clock))
        made[-1].start()
        return made[-1]

    yield spool
    for each in made:
        each.close()


def keep(spool: Spool, start: tuple[int, int], stop: tuple[int, int]) -> bool:
    return spool.keep(spool.take(KEY), HEADER, encoded(start, stop), None)


def spooled(spool: Spool, first: int = 0) -> list[Position]:
    return sorted(spool.take(KEY).read("64k", first))


# ---------------------------------------------------------------- one take on a disk


def take_in(root: Path, limit: int = 2**20) -> SpoolTake:
    return SpoolTake(root / KEY.room / KEY.take, KEY, SpoolDisk(limit))


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    take = take_in(tmp_path)
    take.begin(HEADER)
    take.write(encoded((3, 1), (3, 3)))
    take.write(encoded((0, 0), (0, 1)))  # late
    take.write_peaks(6, b"abc")
    take.note_lost([((0, 96_000), "the spool was full")])
    take.note_lost([((1, 2), "ü")])
    later = take_in(tmp_path)
    assert later.header() == HEADER
    assert later.fragments() == [("64k", 0)]
    assert later.read("64k", 0) == {
        Position(p.msn, p.part): p.data for p in [*encoded((3, 1), (3, 3)), *encoded((0, 0), (0, 1))]
    }
    assert later.peaks() == b"\0" * 6 + b"abc"
    assert later.lost() == [((0, 96_000), "the spool was full"), ((1, 2), "ü")]


def test_what_is_there_stays_as_it_is(tmp_path: Path) -> None:
    take = take_in(tmp_path)
    take.begin(HEADER)
    take.write(encoded((0, 0), (0, 2)))
    size = (tmp_path / KEY.room / KEY.take / "64k/0.mp4").stat().st_size
    take.write(encoded((0, 0), (0, 2)))
    assert (tmp_path / KEY.room / KEY.take / "64k/0.mp4").stat().st_size == size


def test_a_torn_tail_is_cut_and_written_over(tmp_path: Path) -> None:
    take = take_in(tmp_path)
    take.begin(HEADER)
    take.write(encoded((0, 0), (0, 3)))
    path = tmp_path / KEY.room / KEY.take / "64k/0.mp4"
    os.truncate(path, path.stat().st_size - 7)
    with (tmp_path / KEY.room / KEY.take / "lost.jsonl").open("w") as lost:
        lost.write('{"from": 0, "to": 1, "why": "a"}\n{"from": 1, "t')
    disk = SpoolDisk(2**20)
    later = SpoolTake(tmp_path / KEY.room / KEY.take, KEY, disk)
    assert later.positions("64k", 0) == {Position(0, 0), Position(0, 1)}
    assert path.stat().st_size == disk.used == size((0, 0), (0, 2))
    assert later.lost() == [((0, 1), "a")]
    later.write(encoded((0, 2), (0, 4)))
    assert path.read_bytes() == b"".join(part.data for part in encoded((0, 0), (0, 4)))


def test_a_take_that_is_cleared_is_gone_and_its_room_with_it(tmp_path: Path) -> None:
    disk = SpoolDisk(2**20)
    take = SpoolTake(tmp_path / KEY.room / KEY.take, KEY, disk)
    take.begin(HEADER)
    take.write(encoded((0, 0), (16, 0)))
    take.remove("64k", 0)
    assert take.fragments() == [("64k", 15)]
    take.clear()
    assert list(tmp_path.iterdir()) == []
    assert disk.used == 0
    assert take.header() is None


def test_the_account_is_right_after_a_restart_and_after_a_failed_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = take_in(tmp_path)
    take.begin(HEADER)
    take.write(encoded((0, 0), (0, 3)))
    disk = SpoolDisk(size((0, 0), (0, 4)))
    later = SpoolTake(tmp_path / KEY.room / KEY.take, KEY, disk)
    later.fragments()
    assert disk.used == size((0, 0), (0, 3))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(DiskUnavailable, match="full"):
            later.write(encoded((0, 3), (0, 4)))
    assert disk.used == size((0, 0), (0, 3))
    later.write(encoded((0, 3), (0, 4)))
    with pytest.raises(SpoolFull):
        later.write(encoded((0, 4), (1, 0)))


def test_a_write_that_the_system_cuts_short_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: real(file, data[:100], offset))
    take = take_in(tmp_path)
    take.begin(HEADER)
    take.write(encoded((0, 0), (0, 3)))
    assert sorted(take_in(tmp_path).read("64k", 0)) == [Position(0, 0), Position(0, 1), Position(0, 2)]


# ---------------------------------------------------------------- all takes


def test_what_was_kept_is_written_before_keep_returns(make: Callable[..., Spool], tmp_path: Path) -> None:
    spool = make()
    assert keep(spool, (0, 0), (0, 2))
    assert (tmp_path / KEY.room / KEY.take / "64k/0.mp4").stat().st_size == size((0, 0), (0, 2))
    assert spool.used == size((0, 0), (0, 2))


def test_a_full_spool_is_said_before_and_keeps_the_oldest(make: Callable[..., Spool]) -> None:
    spool = make(limit=size((0, 0), (2, 0)))
    assert keep(spool, (0, 0), (1, 3))
    assert str(spool.degraded) == "None"
    assert keep(spool, (1, 3), (1, 4))
    assert spool.degraded == "archive: the spool is 90% full"
    assert keep(spool, (1, 4), (2, 0))
    assert not keep(spool, (2, 0), (2, 1))
    assert "the spool was full" in str(spool.degraded)
    take = spool.take(KEY)
    assert take.behind
    assert take.refusals == {2: "the spool was full"}
    assert spooled(spool) == list(takes.positions(GRID, Position(0, 0), Position(2, 0)))


def test_there_is_room_again_when_something_is_stored(make: Callable[..., Spool]) -> None:
    spool = make(limit=size((0, 0), (1, 0)))
    keep(spool, (0, 0), (1, 0))
    assert not keep(spool, (15, 0), (15, 1))
    spool.take(KEY).remove("64k", 0)
    assert keep(spool, (15, 0), (15, 1))
    assert spool.degraded is None


def test_a_spool_refuses_nothing_any_more_when_the_takes_it_refused_are_done(
    make: Callable[..., Spool],
) -> None:
    spool = make(limit=size((0, 0), (1, 0)))
    keep(spool, (0, 0), (1, 0))
    assert not keep(spool, (15, 0), (15, 1))
    spool.take(KEY).clear()
    other = KEY._replace(room="other")
    spool.take(other)
    spool.forget(other)
    assert "the spool was full" in str(spool.degraded)
    spool.forget(KEY)
    assert str(spool.degraded) == "None"


def test_a_full_disk_refuses_and_takes_again(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = make()
    keep(spool, (0, 0), (0, 1))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        assert not keep(spool, (0, 1), (0, 2))
    assert spool.take(KEY).refusals == {0: "the disk was full"}
    assert "the disk was full" in str(spool.degraded)
    assert keep(spool, (0, 1), (0, 2))
    assert str(spool.degraded) == "None"
    assert spooled(spool) == [Position(0, 0), Position(0, 1)]


def test_a_disk_that_hangs_is_waited_for_once(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    hang, now = threading.Event(), [0.0]
    spool = make(patience=0.05, clock=lambda: now[0])
    assert keep(spool, (0, 0), (0, 1)) or True  # the first one may be late: the thread has just begun
    real = os.pwrite

    def stuck(*args: object) -> int:
        hang.wait()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "pwrite", stuck)
    started = time.monotonic()
    assert not keep(spool, (0, 1), (0, 2))
    waited = time.monotonic() - started
    calls = 200
    for part in range(calls):
        assert not keep(spool, (1 + part // 5, part % 5), (1 + (part + 1) // 5, (part + 1) % 5))
    # Had each waited again, this were ten seconds.
    assert time.monotonic() - started - waited < calls * 0.05 / 2
    now[0] = 3.0
    assert "has not answered for 3 s" in str(spool.degraded)
    hang.set()
    spool.close()
    assert len(spooled(spool, 0)) + len(spooled(spool, 15)) + len(spooled(spool, 30)) == calls + 2
    assert spool.degraded is None


def test_who_waits_for_a_disk_that_hangs_is_bounded(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()
    monkeypatch.setattr("workers.archive.spool._QUEUE_BYTES", size((0, 0), (0, 3)))
    spool = make(patience=0.01)
    real = os.pwrite

    def stuck(*args: object) -> int:
        hang.wait()
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "pwrite", stuck)
    for part in range(5):
        keep(spool, (0, part), (0 if part < 4 else 1, (part + 1) % 5))
    take = spool.take(KEY)
    assert take.refusals == {0: "the disk did not answer"}
    assert take.behind
    hang.set()
    spool.close()
    assert spooled(spool) == [Position(0, part) for part in range(3)]


async def test_what_was_refused_can_be_added_later_in_any_order(make: Callable[..., Spool]) -> None:
    spool = make()
    keep(spool, (0, 3), (0, 4))
    assert await spool.add(spool.take(KEY), HEADER, encoded((0, 0), (0, 3)))
    assert spooled(spool) == [Position(0, part) for part in range(4)]


async def test_what_is_left_is_known_before_anything_is_written(make: Callable[..., Spool]) -> None:
    first = make()
    keep(first, (0, 0), (0, 3))
    first.close()
    later = make(limit=size((0, 0), (0, 4)))
    left = await later.do(later.survey)
    assert [take.key for take in left] == [KEY]
    assert later.used == size((0, 0), (0, 3))
    assert keep(later, (0, 3), (0, 4))
    assert not keep(later, (0, 4), (1, 0))


def test_the_waveform_is_kept_with_the_parts(make: Callable[..., Spool]) -> None:
    spool = make()
    take = spool.take(KEY)
    assert spool.keep(take, HEADER, encoded((0, 0), (0, 1)), PeakRecords(3, b"xyz"))
    assert take.peaks() == b"\0\0\0xyz"


def test_the_disk_is_asked_to_make_it_durable(
    make: Callable[..., Spool], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synced: list[Path] = []
    real = os.fsync

    def fsync(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink())
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    spool = make()
    keep(spool, (0, 0), (0, 1))
    spool.close()
    directory = tmp_path / KEY.room / KEY.take
    wanted = [
        directory / "64k/0.mp4",
        directory / "64k",
        directory / "header.json",
        directory,
        directory.parent,
        tmp_path,
    ]
    assert set(wanted) <= set(synced)


# ---------------------------------------------------------------- faults that need a process of their own

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
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
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
