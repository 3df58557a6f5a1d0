"""The archive of a take, from parts to finished, with a storage that fails on command."""

from __future__ import annotations

import threading
import time
from hashlib import sha256

import numpy as np
from structlog.testing import capture_logs

from contracts.errors import ObjectDamaged, StorageUnavailable
from contracts.position import Position
from pipeline.replay.peaks import PIXEL
from storage.names import META, fragment_name, open_name, piece_name, take_object
from tests import takes
from tests.archive_nodes import GRID, HEADER, Nodes, every
from tests.archiving import SILENT, Storage, archived, log_of, play, whole
from tests.publishing import KEY, encoded
from tests.waiting import until

FRAGMENT = 15 * 96_000


# ---------------------------------------------------------------- as it should be


async def test_a_take_is_stored_in_fragments_of_fifteen_segments_and_finished(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    header = takes.header("32k", "64k")
    here, log = archive_node(), log_of(header)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (15, 0), ("32k", "64k")))
    await until(lambda: fragment_name(KEY, "64k", 0) in archive_storage.puts)
    assert archive_storage.puts[0] == open_name(KEY)
    assert here.archiver.working == {KEY}
    play(archive, log, encoded((15, 0), (17, 2), ("32k", "64k")))
    log.finish(17 * 96_000 + 20_000)
    await until(lambda: bool(here.finished))
    for rendition in ("32k", "64k"):
        own = [part for part in encoded((0, 0), (17, 2), ("32k", "64k")) if part.rendition == rendition]
        for first in (0, 15):
            data = archive_storage.read(fragment_name(KEY, rendition, first)).data
            assert data == b"".join(part.data for part in own if first <= part.msn < first + 15)
        init = archive_storage.read(take_object(KEY, f"{rendition}/init.mp4")).data
        assert init == log.inits[rendition]
    assert [(key, notes.lost) for key, notes in here.finished] == [(KEY, ())]
    await until(lambda: here.archiver.working == set())
    assert list(here.spool.iterdir()) == []
    assert here.value("archive_uploads_total", outcome="stored") == 4
    assert here.value("archive_lost_seconds_total") == 0


async def test_a_part_is_on_the_disk_before_anybody_gets_it(archive_node: Nodes) -> None:
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)
    archive.keep(encoded((0, 0), (0, 1)), 0, SILENT)
    assert (here.spool / KEY.room / KEY.take / "64k/0.mp4").read_bytes() == whole((0, 0), (0, 1))


async def test_the_waveform_is_handed_on_also_of_processes_before(archive_node: Nodes) -> None:
    loud = np.full((PIXEL * 24, 1), 12_800, np.int16)
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)
    archive.keep(encoded((0, 0), (0, 1)), 0, loud)
    await here.archiver.stop()
    later, log = archive_node(), log_of(HEADER, 2)
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


async def test_samples_before_the_take_are_not_measured(archive_node: Nodes) -> None:
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)
    archive.keep(encoded((0, 0), (0, 1)), -2 * PIXEL, np.full((3 * PIXEL, 1), 2560, np.int16))
    log.append(encoded((0, 0), (0, 1)))
    log.finish(PIXEL)
    await until(lambda: bool(here.finished))
    peaks = here.finished[0][1].peaks
    assert peaks is not None
    assert peaks.records.tolist() == [[1, 10, 10]]


async def test_the_end_may_be_that_of_a_fragment_and_of_nothing(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    here, log = archive_node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    assert archived(archive_storage, GRID, "64k", 0) == every((0, 0), (15, 0))
    assert archive_storage.head(fragment_name(KEY, "64k", 15)) is None


async def test_an_empty_take_is_finished_too(archive_node: Nodes) -> None:
    here, log = archive_node(), log_of(HEADER)
    here.archiver.open(log)
    log.finish(0)
    await until(lambda: bool(here.finished))


# ---------------------------------------------------------------- the storage fails


async def test_while_the_storage_is_away_everything_stays_in_the_spool_and_follows_oldest_first(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.down = True
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (76, 0)))
    await until(lambda: here.archiver.degraded is not None)
    assert here.archiver.degraded == "archive: no answer"
    assert here.value("archive_lag_seconds") == 76 * 2
    assert here.files == [f"64k/{first}.mp4" for first in (0, 15, 30, 45, 60, 75)]
    log.finish(76 * 96_000)
    archive_storage.down = False
    await until(lambda: bool(here.finished))
    fragments = [name for name in archive_storage.puts if name.startswith("rooms/") and "init" not in name]
    assert fragments == [fragment_name(KEY, "64k", first) for first in (0, 15, 30, 45, 60, 75)]
    assert here.finished[0][1].lost == ()
    assert here.archiver.degraded is None


async def test_a_storage_that_fails_is_tried_by_one_at_a_time(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.down = True
    here = archive_node()
    for number in range(20):
        log = log_of(HEADER)
        object.__setattr__(log, "key", KEY._replace(room=f"room-{number}"))
        here.archiver.open(log)
    await until(lambda: archive_storage.tries >= 12)
    began, before = time.monotonic(), archive_storage.tries
    await until(lambda: archive_storage.tries >= before + 6)
    # A try every 0.1 to 0.2 s, or later on a busy machine: at least five times that. Several at once would
    # be done with six in 0.4 s.
    assert time.monotonic() - began > 0.45


async def test_one_upload_that_hangs_holds_up_neither_the_spool_nor_live_audio(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.hang = threading.Event()
    here, log = archive_node(), log_of(HEADER)
    archive = here.archiver.open(log)
    play(archive, log, encoded((0, 0), (17, 0)))
    assert here.files == ["64k/0.mp4", "64k/15.mp4"]
    archive_storage.hang.set()
    await until(lambda: fragment_name(KEY, "64k", 0) in archive_storage.puts)


async def test_a_storage_that_gives_no_answer_is_said_to_after_half_a_minute(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.hang = threading.Event()
    here, log = archive_node(), log_of(HEADER)
    here.archiver.open(log)
    await until(lambda: archive_storage.tries > 0)
    assert [here.archiver.degraded] == [None]
    here.later = 31.0
    await until(lambda: "archive: the storage has not answered for 3" in str(here.archiver.degraded))
    archive_storage.hang.set()
    await until(lambda: here.archiver.degraded is None)


async def test_a_damaged_meta_json_is_told_in_one_line_and_archiving_goes_on_when_it_is_mended(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.write(take_object(KEY, META), [b"{"])
    here, log = archive_node(), log_of(HEADER)
    with capture_logs() as lines:
        play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
        log.finish(FRAGMENT)
        before = archive_storage.reads
        await until(lambda: archive_storage.reads > before + 3)
    told = [line for line in lines if line["log_level"] == "error"]
    assert [line["event"] for line in told] == ["a take cannot be archived"]
    assert take_object(KEY, META) in told[0]["reason"]
    assert here.value("unexpected_errors_total", where="archive") == 0
    archive_storage.delete([take_object(KEY, META)])
    await until(lambda: bool(here.finished))


async def test_a_finish_that_fails_is_tried_again(archive_node: Nodes) -> None:
    here, log = archive_node(), log_of(HEADER)
    here.refuse_to_finish = [StorageUnavailable("away"), StorageUnavailable("away")]
    play(here.archiver.open(log), log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: bool(here.finished))


async def test_a_take_that_is_damaged_in_the_storage_is_left_to_others(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    here, log = archive_node(), log_of(HEADER)
    here.refuse_to_finish = [ObjectDamaged("story.json: not what was stored")]
    play(here.archiver.open(log), log, encoded((0, 0), (0, 2)))
    log.finish(30_000)
    await until(lambda: here.archiver.working == set())
    assert here.finished == []
    assert archive_storage.head(open_name(KEY)) is not None
    assert archive_storage.head(fragment_name(KEY, "64k", 0)) is not None
    assert list(here.spool.iterdir()) == []


async def test_other_bytes_that_are_stored_stay(archive_node: Nodes, archive_storage: Storage) -> None:
    theirs = b"".join(takes.part(GRID, *position, b"theirs") for position in every((0, 0), (15, 0)))
    archive_storage.put_new(fragment_name(KEY, "64k", 0), theirs)
    here, log = archive_node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    assert archive_storage.read(fragment_name(KEY, "64k", 0)).data == theirs
    assert [info.name for info in archive_storage.list(take_object(KEY, "64k/0"))] == [
        fragment_name(KEY, "64k", 0)
    ]
    assert here.value("archive_uploads_total", outcome="conflict") == 1


async def test_what_the_stored_fragment_lacks_is_put_beside_it_and_what_it_has_is_not_lost(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    theirs, ours = whole((0, 0), (7, 0)), whole((7, 0), (14, 0))
    archive_storage.put_new(fragment_name(KEY, "64k", 0), theirs)
    here, log = archive_node(), log_of(HEADER, 4)
    play(here.archiver.open(log), log, encoded((4, 0), (14, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    assert archive_storage.read(fragment_name(KEY, "64k", 0)).data == theirs
    piece = piece_name(KEY, "64k", 0, sha256(ours).hexdigest())
    assert archive_storage.read(piece).data == ours
    assert here.value("archive_uploads_total", outcome="beside") == 1
    span = GRID.start_sample(Position(14, 0)), FRAGMENT
    assert [lost for lost, _ in here.finished[0][1].lost] == [span]


async def test_what_nobody_can_read_does_not_stand_for_what_is_put(
    archive_node: Nodes, archive_storage: Storage
) -> None:
    archive_storage.put_new(fragment_name(KEY, "64k", 0), b"damaged")
    here, log = archive_node(), log_of(HEADER)
    play(here.archiver.open(log), log, encoded((0, 0), (15, 0)))
    log.finish(FRAGMENT)
    await until(lambda: bool(here.finished))
    piece = piece_name(KEY, "64k", 0, sha256(whole((0, 0), (15, 0))).hexdigest())
    assert archive_storage.read(piece).data == whole((0, 0), (15, 0))
