"""The archive of a take where the spool does not take it, or a process did not live to store it."""

from __future__ import annotations

import asyncio
import errno
import os

import pytest

from contracts.position import Position
from storage.names import fragment_name
from tests.archive_nodes import GRID, HEADER, Nodes, every, origin_with
from tests.archiving import Storage, archived, log_of, play, whole
from tests.publishing import KEY, BadLine, encoded
from tests.waiting import until

# ---------------------------------------------------------------- the spool does not take it


async def test_what_a_full_spool_refused_is_stored_from_memory(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.down = True
    here, log = archive_node(spool_bytes=40 * 270), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (33, 0)))
    assert "the spool was full" in str(here.archiver.degraded)
    log.finish(33 * 96_000)
    archive_storage.down = False
    await until(lambda: bool(here.finished))
    assert [archived(archive_storage, GRID, "64k", first) for first in (0, 15, 30)] == [
        every((0, 0), (15, 0)),
        every((15, 0), (30, 0)),
        every((30, 0), (33, 0)),
    ]
    assert here.finished[0][1].lost == ()
    assert here.archiver.degraded is None


async def test_what_nobody_has_any_more_is_lost_and_said_to_be(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.down = True
    size = len(whole((0, 0), (15, 0)))
    here, log = archive_node(spool_bytes=size), log_of(HEADER, window=5)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (30, 0)))
    log.finish(30 * 96_000)
    archive_storage.down = False
    await until(lambda: bool(here.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(archive_storage, GRID, "64k", 15) == every((25, 0), (30, 0))
    span = GRID.start_sample(Position(15, 0)), GRID.start_sample(Position(25, 0))
    assert here.finished[0][1].lost == ((span, "the spool was full"),)
    assert here.value("archive_lost_seconds_total") == pytest.approx((span[1] - span[0]) / 48_000)


async def test_what_the_window_of_an_origin_still_has_is_not_lost(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.down = True
    origin = await origin_with((30, 0))
    here, log = archive_node(origin, spool_bytes=len(whole((0, 0), (15, 0)))), log_of(HEADER, window=5)
    play(here.archiver.open(log), log, encoded((0, 0), (30, 0)))
    log.finish(30 * 96_000)
    archive_storage.down = False
    await until(lambda: bool(here.finished))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (30, 0))
    assert here.finished[0][1].lost == ()


async def test_a_disk_that_is_full_costs_nothing_where_the_storage_is_elsewhere(
    archive_node: Nodes, archive_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    here, log = archive_node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (16, 0)))
    log.finish(16 * 96_000)
    await until(lambda: bool(here.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (16, 0))


async def test_what_the_disk_refused_is_in_the_spool_as_soon_as_it_takes_it(
    archive_node: Nodes, archive_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (0, 2)))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        play(archive, log, encoded((0, 2), (0, 4)))
    play(archive, log, encoded((0, 4), (1, 0)))
    path = here.spool / KEY.room / KEY.take / "64k/0.mp4"
    await until(lambda: len(path.read_bytes()) == len(whole((0, 0), (1, 0))))


# ---------------------------------------------------------------- after a crash


async def test_a_take_that_goes_on_after_a_crash_has_what_was_kept_before_and_a_gap(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    before = archive_node()
    log = log_of(HEADER)
    play(before.archiver.open(log), log, encoded((0, 0), (16, 3)))
    await until(lambda: before.files == ["64k/15.mp4"])
    await before.archiver.stop(grace=0)
    after, log = archive_node(), log_of(HEADER, 18)
    play(after.archiver.open(log), log, encoded((18, 0), (31, 0)))
    log.finish(31 * 96_000)
    await until(lambda: bool(after.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (16, 3)) + every((18, 0), (30, 0))
    assert archived(archive_storage, GRID, "64k", 30) == every((30, 0), (31, 0))
    span = GRID.start_sample(Position(16, 3)), GRID.start_sample(Position(18, 0))
    assert after.finished[0][1].lost == ((span, "never encoded: the server was down"),)


async def test_what_was_lost_before_a_crash_is_still_known_at_the_end(archive_node: Nodes) -> None:
    before, log = archive_node(), log_of(HEADER)
    archive = before.archiver.open(log)
    play(archive, log, encoded((0, 0), (3, 0)))
    log.lose_until(4, "the segment cannot be encoded")
    play(archive, log, encoded((4, 0), (15, 0)))
    await until(lambda: before.files == [])
    await before.archiver.stop(grace=0)
    after, log = archive_node(), log_of(HEADER, 15)
    play(after.archiver.open(log), log, encoded((15, 0), (16, 0)))
    log.finish(16 * 96_000)
    await until(lambda: bool(after.finished))
    span = GRID.start_sample(Position(3, 0)), GRID.start_sample(Position(4, 0))
    assert after.finished[0][1].lost == ((span, "never encoded: the segment cannot be encoded"),)


async def test_a_successor_elsewhere_takes_from_origins_what_it_did_not_encode(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    origin = await origin_with((22, 0))
    here, log = archive_node(origin), log_of(HEADER, 20)
    play(here.archiver.open(log), log, encoded((20, 0), (22, 0)))
    log.finish(22 * 96_000)
    await until(lambda: bool(here.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (22, 0))


async def test_an_origin_out_of_reach_is_waited_for_before_something_is_given_up(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    origin = BadLine()
    origin.takes = (await origin_with((3, 0))).takes
    origin.down = True
    here, log = archive_node(origin), log_of(HEADER, 2)
    play(here.archiver.open(log), log, encoded((2, 0), (3, 0)))
    log.finish(3 * 96_000)
    await asyncio.sleep(0.3)
    assert here.finished == []
    origin.down = False
    await until(lambda: bool(here.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (3, 0))


async def test_an_origin_that_never_comes_back_holds_up_no_end(
    archive_node: Nodes, archive_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.archive.gathering.PATIENCE", 0.1)
    origin = BadLine()
    origin.down = True
    here, log = archive_node(origin), log_of(HEADER, 2)
    play(here.archiver.open(log), log, encoded((2, 0), (3, 0)))
    log.finish(3 * 96_000)
    await until(lambda: bool(here.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((2, 0), (3, 0))
    span = 0, GRID.start_sample(Position(2, 0))
    assert here.finished[0][1].lost == ((span, "never encoded: the server was down"),)


async def test_what_is_stored_already_is_asked_of_nobody(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.put_new(fragment_name(KEY, "64k", 0), whole((0, 0), (15, 0)))
    origin = await origin_with((16, 0))
    here, log = archive_node(origin), log_of(HEADER, 15)
    play(here.archiver.open(log), log, encoded((15, 0), (16, 0)))
    log.finish(16 * 96_000)
    await until(lambda: bool(here.finished))
    assert origin.asked == []


async def test_two_archivers_of_one_take_give_one_complete_archive(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    origin = await origin_with((31, 0))
    first, second = archive_node(name="first"), archive_node(origin, name="second")
    one, other = log_of(HEADER), log_of(HEADER, 7)
    early, late = first.archiver.open(one), second.archiver.open(other)
    for part in encoded((0, 0), (31, 0)):
        play(early, one, [part])
        if part.msn >= 7:
            play(late, other, [part])
        if part.part == 0:
            await asyncio.sleep(0)
    one.finish(31 * 96_000)
    other.finish(31 * 96_000)
    await until(lambda: bool(first.finished and second.finished))
    assert [archived(archive_storage, GRID, "64k", at) for at in (0, 15, 30)] == [
        every((0, 0), (15, 0)),
        every((15, 0), (30, 0)),
        every((30, 0), (31, 0)),
    ]
    outcomes = [first.value("archive_uploads_total", outcome=what) for what in ("stored", "same", "conflict")]
    others = [second.value("archive_uploads_total", outcome=what) for what in ("stored", "same", "conflict")]
    assert outcomes[0] + others[0] == 3
    assert outcomes[2] + others[2] == 0
