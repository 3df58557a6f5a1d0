"""The journal's queue and thread, and what it does when the disk is slow, full or gone."""

from __future__ import annotations

import contextlib
import errno
import resource
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from contracts.metrics import Metrics
from origin.journal import Journal
from origin.journal_format import GROUP, Record, RecordKind, scan
from origin.journal_store import JournalStore
from tests.origins import KEY

HEADER = Record(RecordKind.HEADER, b"{}")


def part(msn: int, size: int = 8) -> Record:
    return Record(RecordKind.PART, b"x" * size, 0, msn, 0)


class FailingStore(JournalStore):
    """The real files, behind a disk that fails while `error` is set."""

    error: OSError | None = None

    def append(self, path: Path, records: Iterable[Record]) -> None:
        if self.error is not None:
            raise self.error
        super().append(path, records)


class Bench:
    """A journal whose clock and disk the test holds."""

    def __init__(self, directory: Path, queue_bytes: int = 2**20) -> None:
        self.now = 100.0
        self.directory = directory
        self.store = FailingStore(directory)
        self.metrics = Metrics(CollectorRegistry())
        self.journal = Journal(self.store, self.metrics, queue_bytes=queue_bytes, clock=lambda: self.now)

    def put(self, *records: Record) -> None:
        for record in records:
            self.journal.record(KEY, record)

    def on_disk(self) -> list[int]:
        files = sorted((self.directory / KEY.room / KEY.take).glob("media-*.lwj"))
        return [record.number for file in files for record in scan(file.read_bytes()).records]

    @property
    def dropped(self) -> float | None:
        return self.metrics.registry.get_sample_value("longwave_journal_dropped_total")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "window")


def test_what_was_recorded_is_written(bench: Bench) -> None:
    bench.put(HEADER, part(0), part(1), part(GROUP))
    assert bench.journal.flush()
    assert bench.on_disk() == [0, 1, GROUP]
    assert bench.journal.degraded(bench.now) is None


def test_a_thread_writes_by_itself(bench: Bench) -> None:
    bench.journal.start()
    bench.put(HEADER, part(0))
    bench.journal.close()
    assert bench.on_disk() == [0]


def test_a_full_disk_is_said_and_waited_for(bench: Bench) -> None:
    bench.put(HEADER)
    bench.journal.flush()
    bench.store.error = OSError(errno.ENOSPC, "No space left on device")
    bench.put(part(0), part(1))
    assert not bench.journal.flush()
    assert bench.journal.degraded(bench.now) == "journal: No space left on device"
    bench.put(part(2))
    bench.store.error = None
    assert bench.journal.flush()
    assert bench.journal.degraded(bench.now) is None
    assert bench.on_disk() == [0, 1, 2]
    assert bench.dropped == 0


def test_a_disk_that_is_gone_for_long_costs_the_oldest_media(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "window", queue_bytes=5 * part(0, 1000).size)
    bench.store.error = OSError(errno.EIO, "Input/output error")
    bench.put(HEADER)
    for msn in range(20):
        bench.put(part(msn, 1000))
        bench.journal.flush()
    bench.store.error = None
    assert bench.journal.flush()
    assert bench.on_disk() == [15, 16, 17, 18, 19]
    assert bench.dropped == 15


def test_a_slow_disk_is_said(bench: Bench) -> None:
    bench.put(HEADER, part(0))
    bench.now += 1.9
    assert bench.journal.degraded(bench.now) is None
    bench.now += 3
    assert bench.journal.degraded(bench.now) == "journal: 5 s behind"


def test_recording_never_waits_for_a_disk_that_hangs(bench: Bench) -> None:
    hangs, let_go = threading.Event(), threading.Event()

    class Hanging(JournalStore):
        def append(self, path: Path, records: Iterable[Record]) -> None:
            hangs.set()
            let_go.wait(30)
            super().append(path, records)

    journal = Journal(Hanging(bench.directory), bench.metrics, clock=lambda: bench.now)
    journal.record(KEY, HEADER)
    journal.start()
    assert hangs.wait(30)
    for msn in range(3):
        journal.record(KEY, part(msn))  # returns, or the test's time is up
    bench.now += 10
    assert journal.degraded(bench.now) == "journal: 10 s behind"
    let_go.set()
    journal.close()
    assert bench.on_disk() == [0, 1, 2]


def test_eviction_deletes_whole_files(bench: Bench) -> None:
    bench.put(HEADER, *(part(msn) for msn in range(3 * GROUP)))
    bench.journal.flush()
    bench.journal.evict(KEY, GROUP + 5)
    bench.journal.flush()
    assert bench.on_disk() == list(range(GROUP, 3 * GROUP))


def test_a_full_disk_is_relieved_of_what_has_left_the_window(bench: Bench) -> None:
    bench.put(HEADER, *(part(msn) for msn in range(2 * GROUP)))
    bench.journal.flush()
    bench.store.error = OSError(errno.ENOSPC, "No space left on device")
    bench.put(Record(RecordKind.EVENT, b"{}"))  # waits for room on the disk
    bench.journal.evict(KEY, GROUP)
    assert not bench.journal.flush()
    assert bench.on_disk() == list(range(GROUP, 2 * GROUP))


def test_a_take_that_left_leaves_nothing(bench: Bench) -> None:
    bench.put(HEADER, part(0))
    bench.journal.flush()
    bench.put(part(1), Record(RecordKind.END, number=5))
    bench.journal.remove(KEY)
    bench.journal.flush()
    assert list(bench.directory.iterdir()) == []


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What is written over `size` bytes is cut short, as on a full disk.

    Only around what is tested: it holds for the whole process, and so for pytest's report where that goes
    into a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_was_cut_short_is_taken_back(tmp_path: Path) -> None:
    store = JournalStore(tmp_path)
    path = tmp_path / "media-0.lwj"
    store.append(path, [part(0)])
    before = path.read_bytes()
    with files_of_at_most(1000), pytest.raises(OSError, match="File too large"):
        store.append(path, [part(1, 2000)])
    assert path.read_bytes() == before


def test_live_media_goes_on_when_the_disk_takes_no_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with files_of_at_most(1000):
        bench.put(HEADER, *(part(msn, 300) for msn in range(8)))
        flushed = bench.journal.flush()
    assert not flushed
    assert bench.journal.degraded(bench.now) == "journal: File too large"
    bench.put(part(GROUP, 300))  # another file, which would have room
    assert bench.journal.flush()
    assert bench.on_disk() == [*range(8), GROUP]


# ---- takes that are written anew -------------------------------------------------------------------------


def test_a_take_that_is_written_anew_has_nothing_of_what_was_there(bench: Bench) -> None:
    bench.put(HEADER, part(5), part(40))
    bench.journal.flush()
    bench.put(part(41))  # waits, and is one of those that are told
    bench.journal.rewrite(KEY, [HEADER, part(3), part(4), part(5)])
    bench.put(part(6))
    bench.journal.flush()
    assert bench.on_disk() == [3, 4, 5, 6]


def test_what_comes_after_a_rewrite_waits_for_it_while_the_disk_is_full(bench: Bench) -> None:
    bench.store.error = OSError(errno.ENOSPC, "No space left on device")
    bench.journal.rewrite(KEY, [HEADER, part(3), part(4)])
    bench.put(part(5))
    assert not bench.journal.flush()
    bench.store.error = None
    assert bench.journal.flush()
    assert bench.on_disk() == [3, 4, 5]
    assert bench.journal.degraded(bench.now) is None


def test_a_rewrite_that_waits_long_is_a_journal_that_is_behind(bench: Bench) -> None:
    bench.journal.rewrite(KEY, [HEADER, part(3)])
    bench.now += 10
    assert bench.journal.degraded(bench.now) == "journal: 10 s behind"


def test_the_media_of_a_rewrite_is_the_windows_own_and_is_never_dropped(tmp_path: Path) -> None:
    bench = Bench(tmp_path, queue_bytes=1_000)
    bench.journal.rewrite(KEY, [HEADER, *(part(msn, 500) for msn in range(10))])
    bench.journal.flush()
    assert bench.on_disk() == [*range(10)]
    assert bench.dropped == 0


def test_a_take_that_leaves_and_comes_back_at_once_stays(bench: Bench) -> None:
    bench.put(HEADER, part(5))
    bench.journal.flush()
    # Both come while the thread is past its deletions and has not begun to write.
    bench.journal._delete()
    bench.journal.remove(KEY)
    bench.journal.rewrite(KEY, [HEADER, part(6)])
    bench.journal._write_anew()
    bench.journal.flush()
    assert bench.on_disk() == [6]


def test_a_take_that_leaves_before_it_was_written_anew_is_not_written(bench: Bench) -> None:
    bench.journal.rewrite(KEY, [HEADER, part(6)])
    bench.journal.remove(KEY)
    bench.journal.flush()
    assert not (bench.directory / KEY.room).exists()
