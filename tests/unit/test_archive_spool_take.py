"""One take in the spool: what was kept is found by another process, as it was."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from contracts.errors import DiskUnavailable
from contracts.position import Position
from tests.publishing import KEY, encoded
from tests.spooling import HEADER, size, take_in
from workers.archive.spool_disk import SpoolDisk, SpoolFull
from workers.archive.spool_take import SpoolTake


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
