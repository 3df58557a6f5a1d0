"""The spool on a disk: what the disk does not take is said, and costs nobody time."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.position import Position
from tests import takes
from tests.publishing import KEY, encoded
from tests.spooling import GRID, HEADER, keep, size, spooled, spools
from workers.archive.spool import PeakRecords, Spool


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Spool]]:
    with spools(tmp_path) as made:
        yield made


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
