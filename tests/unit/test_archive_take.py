"""The archive of a take, from parts to finished: with a storage, a spool and origins that fail on command."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from contracts.errors import ObjectDamaged, StorageUnavailable
from contracts.position import Position
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.replay.peaks import PIXEL
from storage.commit import FragmentRecord, Gap, TakeCommit
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import META, RECORD, fragment_name, open_name, piece_name, take_object
from storage.take_record import take_record
from tests import takes
from tests.archiving import SILENT, Node, Storage, archived, log_of, play, whole
from tests.publishing import KEY, BadLine, MemoryOrigin, encoded, until
from workers.archive import sources as sources_module
from workers.backoff import Backoff

GRID = Grid(5)
HEADER = takes.header()
FRAGMENT = 15 * 96_000
Nodes = Callable[..., Node]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No machine loses its power here, and nobody has time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr("workers.archive.gathering._REFILL_SECONDS", 0.02)
    for module in ("archiver", "gathering", "depositing", "ending", "uploads"):
        monkeypatch.setattr(f"workers.archive.{module}.Backoff", lambda first, longest: Backoff(0.02, 0.2))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "storage")


@pytest.fixture
async def node(tmp_path: Path, storage: Storage) -> AsyncIterator[Nodes]:
    made: list[Node] = []

    def make(*origins: MemoryOrigin, name: str = "here", live: bool = True, **options: int) -> Node:
        one = Node(tmp_path / name, storage, *origins, **options)
        made.append(one)
        one.archiver.start(lambda: [KEY] if live else [])
        return one

    yield make
    storage.down, storage.hang = False, None
    for one in made:
        await one.archiver.stop(grace=0)


async def origin_with(stop: tuple[int, int], end: int | None = None) -> MemoryOrigin:
    """An origin that has the take up to `stop`."""
    origin = MemoryOrigin()
    await origin.put_take(KEY, HEADER)
    await origin.put_init(KEY, "64k", init_segment(HEADER.settings, HEADER.settings.renditions[0]))
    for part in encoded((0, 0), stop):
        await origin.put_part(KEY, part.rendition, part.msn, part.part, part.data)
    if end is not None:
        await origin.end(KEY, end)
    return origin


def every(start: tuple[int, int], stop: tuple[int, int]) -> list[Position]:
    return list(takes.positions(GRID, Position(*start), Position(*stop)))


# ---------------------------------------------------------------- as it should be


async def test_a_take_is_stored_in_fragments_of_fifteen_segments_and_finished(
    node: Nodes, storage: Storage
) -> None:
    header = takes.header("32k", "64k")
    here, log = node(), log_of(header)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (15, 0), ("32k", "64k")))
    await until(lambda: fragment_name(KEY, "64k", 0) in storage.puts)
    assert storage.puts[0] == open_name(KEY)
    assert here.archiver.working == {KEY}
    play(archive, log, encoded((15, 0), (17, 2), ("32k", "64k")))
    log.finish(17 * 96_000 + 20_000)
    await until(lambda: bool(here.finished))
    for rendition in ("32k", "64k"):
        own = [part for part in encoded((0, 0), (17, 2), ("32k", "64k")) if part.rendition == rendition]
        for first in (0, 15):
            data = storage.read(fragment_name(KEY, rendition, first)).data
            assert data == b"".join(part.data for part in own if first <= part.msn < first + 15)
        init = storage.read(take_object(KEY, f"{rendition}/init.mp4")).data
        assert init == log.inits[rendition]
    assert [(key, notes.lost) for key, notes in here.finished] == [(KEY, ())]
    await until(lambda: here.archiver.working == set())
    assert list(here.spool.iterdir()) == []
    assert here.value("archive_uploads_total", outcome="stored") == 4
    assert here.value("archive_lost_seconds_total") == 0


async def test_a_part_is_on_the_disk_before_anybody_gets_it(node: Nodes) -> None:
    here, log = node(), log_of(HEADER)
    archive = here.archiver.open(log)
    archive.keep(encoded((0, 0), (0, 1)), 0, SILENT)
    assert (here.spool / KEY.room / KEY.take / "64k/0.mp4").read_bytes() == whole((0, 0), (0, 1))


async def test_the_waveform_is_handed_on_also_of_processes_before(node: Nodes) -> None:
    loud = np.full((PIXEL * 24, 1), 12_800, np.int16)
    here, log = node(), log_of(HEADER)
    archive = here.archiver.open(log)
    archive.keep(encoded((0, 0), (0, 1)), 0, loud)
    await here.archiver.stop()
    later, log = node(), log_of(HEADER, 2)
    archive = later.archiver.open(log)
    # A segment is encoded again: its waveform is the same again.
    for _ in range(2):
        archive.keep(encoded((2, 0), (2, 1)), 40 * PIXEL, -loud[: PIXEL + 100])
    log.append(encoded((2, 0), (2, 1)))
    log.finish(41 * PIXEL + 100)
    await until(lambda: bool(later.finished))
    peaks = later.finished[0][1].peaks
    assert peaks is not None
    assert peaks.records.tolist() == [[1, 50, 50]] * 24 + [[0, 0, 0]] * 16 + [[1, -50, -50]] * 2


async def test_samples_before_the_take_are_not_measured(node: Nodes) -> None:
    here, log = node(), log_of(HEADER)
    archive = here.archiver.open(log)
    archive.keep(encoded((0, 0), (0, 1)), -2 * PIXEL, np.full((3 * PIXEL, 1), 2560, np.int16))
    log.append(encoded((0, 0), (0, 1)))
    log.finish(PIXEL)
    await until(lambda: bool(here.finished))
    peaks = here.finished[0][1].peaks
    assert peaks is not None
    assert peaks.records.tolist() == [[1, 10, 10]]


async def test_the_end_may_be_that_of_a_fragment_and_of_nothing(node: Nodes, storage: Storage) -> None:
    here, log = node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert storage.head(fragment_name(KEY, "64k", 15)) is None


async def test_an_empty_take_is_finished_too(node: Nodes) -> None:
    here, log = node(), log_of(HEADER)
    here.archiver.open(log)
    log.finish(0)
    await until(lambda: bool(here.finished))


# ---------------------------------------------------------------- the storage fails


async def test_while_the_storage_is_away_everything_stays_in_the_spool_and_follows_oldest_first(
    node: Nodes, storage: Storage
) -> None:
    storage.down = True
    here, log = node(), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (76, 0)))
    await until(lambda: here.archiver.degraded is not None)
    assert here.archiver.degraded == "archive: no answer"
    assert here.value("archive_lag_seconds") == 76 * 2
    assert here.files == [f"64k/{first}.mp4" for first in (0, 15, 30, 45, 60, 75)]
    log.finish(76 * 96_000)
    storage.down = False
    await until(lambda: bool(here.finished))
    fragments = [name for name in storage.puts if name.startswith("rooms/") and "init" not in name]
    assert fragments == [fragment_name(KEY, "64k", first) for first in (0, 15, 30, 45, 60, 75)]
    assert here.finished[0][1].lost == ()
    assert here.archiver.degraded is None


async def test_a_storage_that_fails_is_tried_by_one_at_a_time(node: Nodes, storage: Storage) -> None:
    storage.down = True
    here = node()
    for number in range(20):
        log = log_of(HEADER)
        object.__setattr__(log, "key", KEY._replace(room=f"room-{number}"))
        here.archiver.open(log)
    await until(lambda: storage.tries >= 12)
    before = storage.tries
    await asyncio.sleep(0.5)
    # A try every 0.1 to 0.2 s, where twenty takes that all try would make a hundred of it.
    assert 0 < storage.tries - before <= 6


async def test_one_upload_that_hangs_holds_up_neither_the_spool_nor_live_audio(
    node: Nodes, storage: Storage
) -> None:
    storage.hang = threading.Event()
    here, log = node(), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (17, 0)))
    assert here.files == ["64k/0.mp4", "64k/15.mp4"]
    storage.hang.set()
    await until(lambda: fragment_name(KEY, "64k", 0) in storage.puts)


async def test_a_storage_that_gives_no_answer_is_said_to_after_half_a_minute(
    node: Nodes, storage: Storage
) -> None:
    storage.hang = threading.Event()
    here, log = node(), log_of(HEADER)
    here.archiver.open(log)
    await until(lambda: storage.tries > 0)
    assert [here.archiver.degraded] == [None]
    here.later = 31.0
    await until(lambda: "archive: the storage has not answered for 3" in str(here.archiver.degraded))
    storage.hang.set()
    await until(lambda: here.archiver.degraded is None)


async def test_a_damaged_meta_json_is_told_in_one_line_and_archiving_goes_on_when_it_is_mended(
    node: Nodes, storage: Storage
) -> None:
    storage.write(take_object(KEY, META), [b"{"])
    here, log = node(), log_of(HEADER)
    with capture_logs() as lines:
        play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
        log.finish(FRAGMENT)
        before = storage.reads
        await until(lambda: storage.reads > before + 3)
    told = [line for line in lines if line["log_level"] == "error"]
    assert [line["event"] for line in told] == ["a take cannot be archived"]
    assert take_object(KEY, META) in told[0]["reason"]
    assert here.value("unexpected_errors_total", where="archive") == 0
    storage.delete([take_object(KEY, META)])
    await until(lambda: bool(here.finished))


async def test_a_finish_that_fails_is_tried_again(node: Nodes) -> None:
    here, log = node(), log_of(HEADER)
    here.refuse_to_finish = [StorageUnavailable("away"), StorageUnavailable("away")]
    play(here.archiver.open(log), log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: bool(here.finished))


async def test_a_take_that_is_damaged_in_the_storage_is_left_to_others(node: Nodes, storage: Storage) -> None:
    here, log = node(), log_of(HEADER)
    here.refuse_to_finish = [ObjectDamaged("story.json: not what was stored")]
    play(here.archiver.open(log), log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: here.archiver.working == set())
    assert here.finished == []
    assert storage.head(open_name(KEY)) is not None
    assert storage.head(fragment_name(KEY, "64k", 0)) is not None
    assert list(here.spool.iterdir()) == []


async def test_other_bytes_that_are_stored_stay(node: Nodes, storage: Storage) -> None:
    theirs = b"".join(takes.part(GRID, *position, b"theirs") for position in every((0, 0), (15, 0)))
    storage.put_new(fragment_name(KEY, "64k", 0), theirs)
    here, log = node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    assert storage.read(fragment_name(KEY, "64k", 0)).data == theirs
    assert [info.name for info in storage.list(take_object(KEY, "64k/0"))] == [fragment_name(KEY, "64k", 0)]
    assert here.value("archive_uploads_total", outcome="conflict") == 1


async def test_what_the_stored_fragment_lacks_is_put_beside_it_and_what_it_has_is_not_lost(
    node: Nodes, storage: Storage
) -> None:
    theirs, ours = whole((0, 0), (7, 0)), whole((7, 0), (14, 0))
    storage.put_new(fragment_name(KEY, "64k", 0), theirs)
    here, log = node(), log_of(HEADER, 4)
    play(here.archiver.open(log), log, encoded((4, 0), (14, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    assert storage.read(fragment_name(KEY, "64k", 0)).data == theirs
    piece = piece_name(KEY, "64k", 0, sha256(ours).hexdigest())
    assert storage.read(piece).data == ours
    assert here.value("archive_uploads_total", outcome="beside") == 1
    span = GRID.start_sample(Position(14, 0)), FRAGMENT
    assert [lost for lost, _ in here.finished[0][1].lost] == [span]


async def test_what_nobody_can_read_does_not_stand_for_what_is_put(node: Nodes, storage: Storage) -> None:
    storage.put_new(fragment_name(KEY, "64k", 0), b"damaged")
    here, log = node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    piece = piece_name(KEY, "64k", 0, sha256(whole((0, 0), (15, 0))).hexdigest())
    assert storage.read(piece).data == whole((0, 0), (15, 0))


# ---------------------------------------------------------------- the spool does not take it


async def test_what_a_full_spool_refused_is_stored_from_memory(node: Nodes, storage: Storage) -> None:
    storage.down = True
    here, log = node(spool_bytes=40 * 270), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (33, 0)))
    assert "the spool was full" in str(here.archiver.degraded)
    log.finish(33 * 96_000)
    storage.down = False
    await until(lambda: bool(here.finished))
    assert [archived(storage, GRID, "64k", first) for first in (0, 15, 30)] == [
        every((0, 0), (15, 0)),
        every((15, 0), (30, 0)),
        every((30, 0), (33, 0)),
    ]
    assert here.finished[0][1].lost == ()
    assert here.archiver.degraded is None


async def test_what_nobody_has_any_more_is_lost_and_said_to_be(node: Nodes, storage: Storage) -> None:
    storage.down = True
    size = len(whole((0, 0), (15, 0)))
    here, log = node(spool_bytes=size), log_of(HEADER, window=5)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (30, 0)))
    log.finish(30 * 96_000)
    storage.down = False
    await until(lambda: bool(here.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(storage, GRID, "64k", 15) == every((25, 0), (30, 0))
    span = GRID.start_sample(Position(15, 0)), GRID.start_sample(Position(25, 0))
    assert here.finished[0][1].lost == ((span, "the spool was full"),)
    assert here.value("archive_lost_seconds_total") == pytest.approx((span[1] - span[0]) / 48_000)


async def test_what_the_window_of_an_origin_still_has_is_not_lost(node: Nodes, storage: Storage) -> None:
    storage.down = True
    origin = await origin_with((30, 0))
    here, log = node(origin, spool_bytes=len(whole((0, 0), (15, 0)))), log_of(HEADER, window=5)
    play(here.archiver.open(log), log, encoded((0, 0), (30, 0)))
    log.finish(30 * 96_000)
    storage.down = False
    await until(lambda: bool(here.finished))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (30, 0))
    assert here.finished[0][1].lost == ()


async def test_a_disk_that_is_full_costs_nothing_where_the_storage_is_elsewhere(
    node: Nodes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    here, log = node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (16, 0)))
    log.finish(16 * 96_000)
    await until(lambda: bool(here.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (16, 0))


async def test_what_the_disk_refused_is_in_the_spool_as_soon_as_it_takes_it(
    node: Nodes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, log = node(), log_of(HEADER)
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
    node: Nodes, storage: Storage
) -> None:
    before = node()
    log = log_of(HEADER)
    play(before.archiver.open(log), log, encoded((0, 0), (16, 3)))
    await until(lambda: before.files == ["64k/15.mp4"])
    await before.archiver.stop(grace=0)
    after, log = node(), log_of(HEADER, 18)
    play(after.archiver.open(log), log, encoded((18, 0), (31, 0)))
    log.finish(31 * 96_000)
    await until(lambda: bool(after.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (16, 3)) + every((18, 0), (30, 0))
    assert archived(storage, GRID, "64k", 30) == every((30, 0), (31, 0))
    span = GRID.start_sample(Position(16, 3)), GRID.start_sample(Position(18, 0))
    assert after.finished[0][1].lost == ((span, "never encoded: the server was down"),)


async def test_what_was_lost_before_a_crash_is_still_known_at_the_end(node: Nodes) -> None:
    before, log = node(), log_of(HEADER)
    archive = before.archiver.open(log)
    play(archive, log, encoded((0, 0), (3, 0)))
    log.lose_until(4, "the segment cannot be encoded")
    play(archive, log, encoded((4, 0), (15, 0)))
    await until(lambda: before.files == [])
    await before.archiver.stop(grace=0)
    after, log = node(), log_of(HEADER, 15)
    play(after.archiver.open(log), log, encoded((15, 0), (16, 0)))
    log.finish(16 * 96_000)
    await until(lambda: bool(after.finished))
    span = GRID.start_sample(Position(3, 0)), GRID.start_sample(Position(4, 0))
    assert after.finished[0][1].lost == ((span, "never encoded: the segment cannot be encoded"),)


async def test_a_successor_elsewhere_takes_from_origins_what_it_did_not_encode(
    node: Nodes, storage: Storage
) -> None:
    origin = await origin_with((22, 0))
    here, log = node(origin), log_of(HEADER, 20)
    play(here.archiver.open(log), log, encoded((20, 0), (22, 0)))
    log.finish(22 * 96_000)
    await until(lambda: bool(here.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (22, 0))


async def test_an_origin_out_of_reach_is_waited_for_before_something_is_given_up(
    node: Nodes, storage: Storage
) -> None:
    origin = BadLine()
    origin.takes = (await origin_with((3, 0))).takes
    origin.down = True
    here, log = node(origin), log_of(HEADER, 2)
    play(here.archiver.open(log), log, encoded((2, 0), (3, 0)))
    log.finish(3 * 96_000)
    await asyncio.sleep(0.3)
    assert here.finished == []
    origin.down = False
    await until(lambda: bool(here.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (3, 0))


async def test_an_origin_that_never_comes_back_holds_up_no_end(
    node: Nodes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.archive.gathering.PATIENCE", 0.1)
    origin = BadLine()
    origin.down = True
    here, log = node(origin), log_of(HEADER, 2)
    play(here.archiver.open(log), log, encoded((2, 0), (3, 0)))
    log.finish(3 * 96_000)
    await until(lambda: bool(here.finished))
    assert archived(storage, GRID, "64k", 0) == every((2, 0), (3, 0))
    span = 0, GRID.start_sample(Position(2, 0))
    assert here.finished[0][1].lost == ((span, "never encoded: the server was down"),)


async def test_what_is_stored_already_is_asked_of_nobody(node: Nodes, storage: Storage) -> None:
    storage.put_new(fragment_name(KEY, "64k", 0), whole((0, 0), (15, 0)))
    origin = await origin_with((16, 0))
    here, log = node(origin), log_of(HEADER, 15)
    play(here.archiver.open(log), log, encoded((15, 0), (16, 0)))
    log.finish(16 * 96_000)
    await until(lambda: bool(here.finished))
    assert origin.asked == []


async def test_two_archivers_of_one_take_give_one_complete_archive(node: Nodes, storage: Storage) -> None:
    origin = await origin_with((31, 0))
    first, second = node(name="first"), node(origin, name="second")
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
    assert [archived(storage, GRID, "64k", at) for at in (0, 15, 30)] == [
        every((0, 0), (15, 0)),
        every((15, 0), (30, 0)),
        every((30, 0), (31, 0)),
    ]
    outcomes = [first.value("archive_uploads_total", outcome=what) for what in ("stored", "same", "conflict")]
    others = [second.value("archive_uploads_total", outcome=what) for what in ("stored", "same", "conflict")]
    assert outcomes[0] + others[0] == 3
    assert outcomes[2] + others[2] == 0


# ---------------------------------------------------------------- takes that an earlier process left


async def left(node: Nodes, storage: Storage, stop: tuple[int, int]) -> None:
    """A process archives a take up to `stop` while the storage is away, and is gone."""
    storage.down = True
    before, log = node(), log_of(HEADER)
    play(before.archiver.open(log), log, encoded((0, 0), stop))
    await before.archiver.stop(grace=0)
    storage.down = False


async def test_a_take_that_is_not_live_any_more_is_stored_and_finished_too(
    node: Nodes, storage: Storage
) -> None:
    await left(node, storage, (16, 2))
    after = node(live=False)
    await until(lambda: bool(after.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (16, 2))
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_what_lies_in_the_spool_of_a_take_that_was_left_is_a_lag(node: Nodes, storage: Storage) -> None:
    await left(node, storage, (16, 2))
    storage.down = True
    after = node(live=False)
    await after.archiver.surveyed()
    await until(lambda: after.value("archive_lag_seconds") == 2 * 30)
    storage.down = False
    await until(lambda: bool(after.finished))
    assert after.value("archive_lag_seconds") == 0


@pytest.mark.parametrize("header", [None, b"{\0"])
async def test_a_spool_without_its_header_has_it_from_the_storage(
    node: Nodes, storage: Storage, header: bytes | None
) -> None:
    before, log = node(), log_of(HEADER)
    archive = before.archiver.open(log)
    await until(lambda: storage.head(open_name(KEY)) is not None)
    play(archive, log, encoded((0, 0), (14, 2)))
    await before.archiver.stop(grace=0)
    path = before.spool / KEY.room / KEY.take / "header.json"
    path.unlink()
    if header is not None:
        path.write_bytes(header)
    storage.unread = threading.Event()
    after = node(live=False)
    await after.archiver.surveyed()
    assert after.archiver.working == {KEY}
    storage.unread.set()
    await until(lambda: bool(after.finished))
    assert archived(storage, GRID, "64k", 0) == every((0, 0), (14, 2))
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_an_empty_shell_in_the_spool_is_removed(node: Nodes, tmp_path: Path) -> None:
    shell = tmp_path / "here" / "spool" / KEY.room / KEY.take
    (shell / "64k").mkdir(parents=True)
    (shell / "peaks.bin").write_bytes(b"\1\0\0")
    here = node(live=False)
    await here.archiver.surveyed()
    assert list(here.spool.iterdir()) == []
    assert here.archiver.working == set()


async def test_what_others_have_of_a_take_that_was_left_is_had_from_them(
    node: Nodes, storage: Storage
) -> None:
    await left(node, storage, (16, 2))
    after = node(await origin_with((17, 1), end=17 * 96_000 + 10_000), live=False)
    await until(lambda: bool(after.finished))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (17, 1))


async def test_a_take_that_goes_on_elsewhere_is_not_finished_but_whole_fragments_are_stored(
    node: Nodes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources_module, "_RETRY_SECONDS", 0.02)
    monkeypatch.setattr(sources_module, "_LOOK_SECONDS", 0.02)
    await left(node, storage, (16, 2))
    origin = await origin_with((18, 0))
    after = node(origin, live=False)
    await until(lambda: fragment_name(KEY, "64k", 0) in storage.puts)
    await asyncio.sleep(0.2)
    assert after.finished == []
    assert storage.head(fragment_name(KEY, "64k", 15)) is None
    await origin.end(KEY, 18 * 96_000)
    await until(lambda: bool(after.finished))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (18, 0))


async def test_a_take_that_turns_out_to_be_live_is_taken_over_by_its_log(
    node: Nodes, storage: Storage
) -> None:
    await left(node, storage, (16, 2))
    after = node(await origin_with((16, 2)), live=False)
    await until(lambda: fragment_name(KEY, "64k", 0) in storage.puts)
    log = log_of(HEADER, 17)
    play(after.archiver.open(log), log, encoded((17, 0), (18, 0)))
    log.finish(18 * 96_000)
    await until(lambda: bool(after.finished))
    assert archived(storage, GRID, "64k", 15) == every((15, 0), (16, 2)) + every((17, 0), (18, 0))
    assert len(after.finished) == 1


# ---------------------------------------------------------------- deleted, finished, stopped


async def test_nothing_of_a_take_that_was_deleted_comes_back(node: Nodes, storage: Storage) -> None:
    await left(node, storage, (16, 2))
    tombstone = TakeMeta(deleted_at="2026-01-01T00:00:00Z")
    storage.put_new(take_object(KEY, META), to_bytes(tombstone.to_json()))
    storage.puts.clear()
    after = node(live=False)
    await until(lambda: list(after.spool.iterdir()) == [])
    assert storage.puts == []
    assert after.finished == []


async def test_to_a_take_that_somebody_finished_nothing_is_added(node: Nodes, storage: Storage) -> None:
    await left(node, storage, (16, 2))
    storage.put_new(take_object(KEY, RECORD), b"{}")
    storage.puts.clear()
    after = node(live=False)
    await until(lambda: bool(after.finished))
    assert storage.puts == []
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_what_is_put_while_somebody_finishes_the_take_is_taken_back_and_counted_as_lost(
    node: Nodes, storage: Storage
) -> None:
    samples = GRID.stop_sample(Position(16, 1))
    start = GRID.start_sample(Position(15, 0))
    gap = Gap((start, samples), "not archived")
    data = whole((0, 0), (15, 0))
    record = FragmentRecord(0, len(data), sha256(data).hexdigest())
    commit = TakeCommit(take_record(KEY, HEADER, samples, ()), (gap,), {"64k": (record,)})
    await left(node, storage, (16, 2))

    def crossed(name: str) -> None:
        if name == fragment_name(KEY, "64k", 15):
            storage.write(take_object(KEY, RECORD), [to_bytes(commit.to_json())])

    storage.before_put = crossed
    after = node(live=False)
    await until(lambda: bool(after.finished))
    assert storage.head(fragment_name(KEY, "64k", 0)) is not None
    assert storage.head(fragment_name(KEY, "64k", 15)) is None
    assert after.value("archive_lost_seconds_total") == pytest.approx((samples - start) / 48_000)
    await until(lambda: list(after.spool.iterdir()) == [])


async def test_a_take_that_was_left_is_finished_without_a_story_after_half_an_hour(
    node: Nodes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.archive.ending.STORY_SECONDS", 1_800.0)
    await left(node, storage, (16, 2))
    after = node(live=False)
    after.untold, after.kept = True, {KEY}
    await until(lambda: after.asked > 2)
    after.later = 2_000.0
    await until(lambda: after.asked > 5)
    after.kept = set()
    asked = after.asked
    await until(lambda: after.asked > asked + 2)
    after.later += 1_000.0
    storage.write(take_object(KEY, "64k/30.mp4"), [b"of somebody who is at work"])
    asked = after.asked
    await until(lambda: after.asked > asked + 2)
    after.later += 1_000.0
    asked = after.asked
    await until(lambda: after.asked > asked + 2)
    assert after.finished == []
    after.later += 1_000.0
    await until(lambda: bool(after.finished))


async def test_the_story_of_a_live_take_is_waited_for(node: Nodes, storage: Storage) -> None:
    here, log = node(), log_of(HEADER)
    here.untold = True
    play(here.archiver.open(log), log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: here.asked > 2)
    here.later = 10_000.0
    asked = here.asked
    await until(lambda: here.asked > asked + 3)
    assert here.finished == []


async def test_a_take_that_is_over_may_be_kept_on_in_vain(node: Nodes, storage: Storage) -> None:
    here, log = node(), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: here.archiver.working == set())
    archive.keep(encoded((15, 0), (15, 1)), 0, SILENT)
    assert list(here.spool.iterdir()) == []


async def test_stopping_gives_a_take_that_is_over_time_to_be_finished(node: Nodes, storage: Storage) -> None:
    here, log = node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (2, 0)))
    log.finish(2 * 96_000)
    await here.archiver.stop(grace=20)
    assert len(here.finished) == 1


async def test_stopping_puts_into_the_spool_what_it_had_refused(
    node: Nodes, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, log = node(), log_of(HEADER)
    archive = here.archiver.open(log)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        play(archive, log, encoded((0, 0), (2, 0)))
    await here.archiver.stop(grace=10)
    assert (here.spool / KEY.room / KEY.take / "64k/0.mp4").read_bytes() == whole((0, 0), (2, 0))


async def test_opening_a_log_again_gives_the_archive_there_is(node: Nodes) -> None:
    here, log = node(), log_of(HEADER)
    assert here.archiver.open(log) is here.archiver.open(log)
