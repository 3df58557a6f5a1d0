"""Takes that are not live any more, or that somebody else finished or deleted, and archivers that stop."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from contracts.position import Position
from storage.commit import FragmentRecord, Gap, TakeCommit
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import META, RECORD, fragment_name, open_name, take_object
from storage.take_record import take_record
from tests.archive_nodes import GRID, HEADER, Nodes, every, origin_with
from tests.archiving import SILENT, Storage, archived, log_of, play, whole
from tests.publishing import KEY, encoded
from tests.waiting import until
from workers.archive import sources as sources_module

# ---------------------------------------------------------------- takes that an earlier process left


async def left(node: Nodes, storage: Storage, stop: tuple[int, int]) -> None:
    """A process archives a take up to `stop` while the storage is away, and is gone."""
    storage.down = True
    before, log = node(), log_of(HEADER)
    play(before.archiver.open(log), log, encoded((0, 0), stop))
    await before.archiver.stop(grace=0)
    storage.down = False


async def test_a_take_that_is_not_live_any_more_is_stored_and_finished_too(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    await left(archive_node, archive_storage, (16, 2))
    after = archive_node(live=False)
    await until(lambda: bool(after.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (16, 2))
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_what_lies_in_the_spool_of_a_take_that_was_left_is_a_lag(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    await left(archive_node, archive_storage, (16, 2))
    archive_storage.down = True
    after = archive_node(live=False)
    await after.archiver.surveyed()
    await until(lambda: after.value("archive_lag_seconds") == 2 * 30)
    archive_storage.down = False
    await until(lambda: bool(after.finished))
    assert after.value("archive_lag_seconds") == 0


@pytest.mark.parametrize("header", [None, b"{\0"])
async def test_a_spool_without_its_header_has_it_from_the_storage(
    archive_node: Nodes, archive_storage: Storage, header: bytes | None
) -> None:
    before, log = archive_node(), log_of(HEADER)
    archive = before.archiver.open(log)
    await until(lambda: archive_storage.head(open_name(KEY)) is not None)
    play(archive, log, encoded((0, 0), (14, 2)))
    await before.archiver.stop(grace=0)
    path = before.spool / KEY.room / KEY.take / "header.json"
    path.unlink()
    if header is not None:
        path.write_bytes(header)
    archive_storage.unread = threading.Event()
    after = archive_node(live=False)
    await after.archiver.surveyed()
    assert after.archiver.working == {KEY}
    archive_storage.unread.set()
    await until(lambda: bool(after.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (14, 2))
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_an_empty_shell_in_the_spool_is_removed(archive_node: Nodes, tmp_path: Path) -> None:
    shell = tmp_path / "here" / "spool" / KEY.room / KEY.take
    (shell / "64k").mkdir(parents=True)
    (shell / "peaks.bin").write_bytes(b"\1\0\0")
    here = archive_node(live=False)
    await here.archiver.surveyed()
    assert list(here.spool.iterdir()) == []
    assert here.archiver.working == set()


async def test_what_others_have_of_a_take_that_was_left_is_had_from_them(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    await left(archive_node, archive_storage, (16, 2))
    after = archive_node(await origin_with((17, 1), end=17 * 96_000 + 10_000), live=False)
    await until(lambda: bool(after.finished))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (17, 1))


async def test_a_take_that_goes_on_elsewhere_is_not_finished_but_whole_fragments_are_stored(
    archive_node: Nodes, archive_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources_module, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(sources_module, "_LOOK_SECONDS", 0.02)
    await left(archive_node, archive_storage, (16, 2))
    origin = await origin_with((18, 0))
    after = archive_node(origin, live=False)
    await until(lambda: fragment_name(KEY, "64k", 0) in archive_storage.puts)
    await asyncio.sleep(0.2)
    assert after.finished == []
    assert archive_storage.head(fragment_name(KEY, "64k", 15)) is None
    await origin.end(KEY, 18 * 96_000)
    await until(lambda: bool(after.finished))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (18, 0))


async def test_a_take_that_turns_out_to_be_live_is_taken_over_by_its_log(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    await left(archive_node, archive_storage, (16, 2))
    after = archive_node(await origin_with((16, 2)), live=False)
    await until(lambda: fragment_name(KEY, "64k", 0) in archive_storage.puts)
    log = log_of(HEADER, 17)
    play(after.archiver.open(log), log, encoded((17, 0), (18, 0)))
    log.finish(18 * 96_000)
    await until(lambda: bool(after.finished))
    assert archived(archive_storage, GRID, "64k", 15) == every((15, 0), (16, 2)) + every((17, 0), (18, 0))
    assert len(after.finished) == 1


# ---------------------------------------------------------------- deleted, finished, stopped


async def test_nothing_of_a_take_that_was_deleted_comes_back(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    await left(archive_node, archive_storage, (16, 2))
    tombstone = TakeMeta(deleted_at="2026-01-01T00:00:00Z")
    archive_storage.put_new(take_object(KEY, META), to_bytes(tombstone.to_json()))
    archive_storage.puts.clear()
    after = archive_node(live=False)
    await until(lambda: list(after.spool.iterdir()) == [])
    assert archive_storage.puts == []
    assert after.finished == []


async def test_to_a_take_that_somebody_finished_nothing_is_added(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    await left(archive_node, archive_storage, (16, 2))
    archive_storage.put_new(take_object(KEY, RECORD), b"{}")
    archive_storage.puts.clear()
    after = archive_node(live=False)
    await until(lambda: bool(after.finished))
    assert archive_storage.puts == []
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_what_is_put_while_somebody_finishes_the_take_is_taken_back_and_counted_as_lost(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    samples = GRID.stop_sample(Position(16, 1))
    start = GRID.start_sample(Position(15, 0))
    gap = Gap((start, samples), "not archived")
    data = whole((0, 0), (15, 0))
    record = FragmentRecord(0, len(data), sha256(data).hexdigest())
    commit = TakeCommit(take_record(KEY, HEADER, samples, ()), (gap,), {"64k": (record,)})
    await left(archive_node, archive_storage, (16, 2))

    def crossed(name: str) -> None:
        if name == fragment_name(KEY, "64k", 15):
            archive_storage.write(take_object(KEY, RECORD), [to_bytes(commit.to_json())])

    archive_storage.before_put = crossed
    after = archive_node(live=False)
    await until(lambda: bool(after.finished))
    assert archive_storage.head(fragment_name(KEY, "64k", 0)) is not None
    assert archive_storage.head(fragment_name(KEY, "64k", 15)) is None
    assert after.value("archive_lost_seconds_total") == pytest.approx((samples - start) / 48_000)
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_a_take_that_was_left_is_finished_without_a_story_after_half_an_hour(
    archive_node: Nodes, archive_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.archive.ending.STORY_SECONDS", 1_800.0)
    await left(archive_node, archive_storage, (16, 2))
    after = archive_node(live=False)
    after.untold, after.kept = True, {KEY}
    await until(lambda: after.asked > 2)
    after.later = 2_000.0
    await until(lambda: after.asked > 5)
    after.kept = set()
    asked = after.asked
    await until(lambda: after.asked > asked + 2)
    after.later += 1_000.0
    archive_storage.write(take_object(KEY, "64k/30.mp4"), [b"of somebody who is at work"])
    asked = after.asked
    await until(lambda: after.asked > asked + 2)
    after.later += 1_000.0
    asked = after.asked
    await until(lambda: after.asked > asked + 2)
    assert after.finished == []
    after.later += 1_000.0
    await until(lambda: bool(after.finished))


async def test_the_story_of_a_live_take_is_waited_for(archive_node: Nodes, archive_storage: Storage) -> None:
    here, log = archive_node(), log_of(HEADER)
    here.untold = True
    play(here.archiver.open(log), log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: here.asked > 2)
    here.later = 10_000.0
    asked = here.asked
    await until(lambda: here.asked > asked + 3)
    assert here.finished == []


async def test_a_take_that_is_over_may_be_kept_on_in_vain(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: here.archiver.working == set())
    archive.keep(encoded((15, 0), (15, 1)), 0, SILENT)
    assert list(here.spool.iterdir()) == []


async def test_stopping_gives_a_take_that_is_over_time_to_be_finished(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    here, log = archive_node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (2, 0)))
    log.finish(2 * 96_000)
    await here.archiver.stop(grace=20)
    assert len(here.finished) == 1


async def test_stopping_puts_into_the_spool_what_it_had_refused(
    archive_node: Nodes, archive_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        play(archive, log, encoded((0, 0), (2, 0)))
    await here.archiver.stop(grace=10)
    assert (here.spool / KEY.room / KEY.take / "64k/0.mp4").read_bytes() == whole((0, 0), (2, 0))


async def test_opening_a_log_again_gives_the_archive_there_is(archive_node: Nodes) -> None:
    here, log = archive_node(), log_of(HEADER)
    assert here.archiver.open(log) is here.archiver.open(log)
