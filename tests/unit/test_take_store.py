"""Live takes on disk: what survives a kill, and what becomes of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.errors import DiskUnavailable
from contracts.take import TakeHeader, TakeKey, TakeSettings
from workers.take_store import (
    Ended,
    GoOn,
    Reservation,
    StoredTake,
    TakeFile,
    TakeStore,
    after_restart,
)

EPOCH_US = 1_769_889_600_000_000
KEY = TakeKey("room", "20260131T200000Z-abc234")
HEADER = TakeHeader(EPOCH_US, TakeSettings(channels=2), "f")
MINUTE = 60 * 48_000


def stored(reserved: int, heartbeat: int, *, ended: bool = False) -> StoredTake:
    return StoredTake(KEY, HEADER, Reservation(reserved, heartbeat, ended))


def wall(sample: int) -> int:
    """The wall clock when `sample` sounds."""
    return EPOCH_US + sample * 1_000_000 // 48_000


@pytest.mark.parametrize(
    ("take", "now", "fate"),
    [
        # It goes on at the first number that was never reserved, now or a little later.
        (stored(1, 0), 0, GoOn(96_000)),
        (stored(5, 400_000), 450_000, GoOn(480_000)),
        (stored(5, 400_000), 400_000 + MINUTE, GoOn(480_000)),
        # The disk was too slow for the reservation, and the heartbeat knows it.
        (stored(2, 400_000), 410_000, GoOn(480_000)),
        # A clock that is a moment behind is waited for.
        (stored(5, 400_000), 360_000, GoOn(480_000)),
    ],
)
def test_a_take_goes_on_above_everything_that_was_reserved(take: StoredTake, now: int, fate: GoOn) -> None:
    assert after_restart(take, wall(now), MINUTE) == fate


@pytest.mark.parametrize(
    ("take", "now", "why"),
    [
        (stored(5, 400_000), 400_002 + MINUTE, "idle timeout"),
        (stored(5, 400_000), 351_999, "backwards"),
        (stored(5, 400_000), -MINUTE, "backwards"),
        (stored(5, 400_000, ended=True), 410_000, "ended before"),
    ],
)
def test_a_take_ends_at_its_last_sample_where_going_on_makes_no_sense(
    take: StoredTake, now: int, why: str
) -> None:
    fate = after_restart(take, wall(now), MINUTE)
    assert isinstance(fate, Ended)
    assert fate.sample == 400_000
    assert why in fate.why


def test_what_is_written_is_found_by_the_next_process(tmp_path: Path) -> None:
    file = TakeStore(tmp_path).create(KEY, HEADER, Reservation(1))
    assert TakeStore(tmp_path).stored() == [StoredTake(KEY, HEADER, Reservation(1))]
    for step in range(1, 8):
        record = Reservation(step, step * 96_000 - 7, step == 7, step % 2 == 0, 9 * step)
        file.write(record, sync=step % 2 == 0)
        assert TakeStore(tmp_path).stored() == [StoredTake(KEY, HEADER, record)]
    file.close()


def test_a_take_is_taken_up_again_and_written_on(tmp_path: Path) -> None:
    store = TakeStore(tmp_path)
    first = store.create(KEY, HEADER, Reservation(1))
    first.write(Reservation(2, 5), sync=True)
    first.close()
    again = store.open(KEY)
    assert again.last == Reservation(2, 5)
    again.write(Reservation(3, 6), sync=True)
    again.close()
    assert store.stored()[0].reservation == Reservation(3, 6)


def test_a_record_never_grows_nor_moves(tmp_path: Path) -> None:
    file = TakeStore(tmp_path).create(KEY, HEADER, Reservation(1))
    path = tmp_path / KEY.room / KEY.take / "reserved"
    before = path.stat()
    for step in range(50):
        file.write(Reservation(step), sync=False)
    file.close()
    after = path.stat()
    assert (before.st_ino, before.st_size, before.st_blocks) == (after.st_ino, after.st_size, after.st_blocks)


@pytest.mark.parametrize("torn_at", [0, 1, 3, 4, 11, 20, 35, 36, 39])
def test_a_torn_write_leaves_the_record_before_it(tmp_path: Path, torn_at: int) -> None:
    """Each write is torn at each of a few bytes: the newest whole record counts."""
    store = TakeStore(tmp_path)
    file = store.create(KEY, HEADER, Reservation(1))
    path = tmp_path / KEY.room / KEY.take / "reserved"
    for step in range(2, 6):
        before = path.read_bytes()
        file.write(Reservation(step, step * 1000), sync=False)
        after = path.read_bytes()
        slot = next(offset for offset in (0, 4096) if before[offset:][:40] != after[offset:][:40])
        torn = after[:slot] + after[slot:][:torn_at] + before[slot + torn_at :]
        path.write_bytes(torn)
        expected = step if torn[slot:][:40] == after[slot:][:40] else step - 1
        assert store.stored()[0].reservation.reserved == expected
        path.write_bytes(after)
    file.close()


def test_takes_of_many_rooms_come_oldest_first(tmp_path: Path) -> None:
    store = TakeStore(tmp_path)
    keys = [
        TakeKey("b", "20260131T200002Z-abc234"),
        TakeKey("a", "20260131T200003Z-abc234"),
        TakeKey("b", "20260131T200001Z-abc234"),
    ]
    for key in keys:
        store.create(key, HEADER, Reservation(1)).close()
    assert [take.key for take in store.stored()] == [keys[2], keys[0], keys[1]]
    store.forget(keys[2])
    store.forget(keys[2])
    store.forget(keys[1])
    assert [take.key for take in store.stored()] == [keys[0]]
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_broken_take_does_not_stop_the_others(tmp_path: Path) -> None:
    store = TakeStore(tmp_path)
    store.create(KEY, HEADER, Reservation(1)).close()
    for name, content in {"20260131T200001Z-bbbbbb": "{", "20260131T200001Z-cccccc": "{}", "x": "{}"}.items():
        directory = tmp_path / "room" / name
        directory.mkdir()
        (directory / "take.json").write_text(content)
    (tmp_path / "room" / "20260131T200001Z-eeeeee" / "take.json").mkdir(parents=True)
    deep = tmp_path / "room" / "20260131T200001Z-ffffff"
    deep.mkdir()
    (deep / "take.json").write_text("[" * 100_000)
    no_record = tmp_path / "room" / "20260131T200001Z-dddddd"
    no_record.mkdir()
    (no_record / "take.json").write_text(json.dumps(HEADER.to_json()))
    assert [take.key for take in store.stored()] == [KEY]


def test_nothing_stored_is_no_error(tmp_path: Path) -> None:
    assert TakeStore(tmp_path / "not" / "there").stored() == []


def test_a_disk_that_fails_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "room").write_text("in the way")
    with pytest.raises(DiskUnavailable, match="a file is where a directory should be"):
        TakeStore(tmp_path).create(KEY, HEADER, Reservation(1))
    with pytest.raises(DiskUnavailable):
        TakeFile(tmp_path / "nothing")


WRITER = """
import sys
from pathlib import Path
from contracts.take import TakeHeader, TakeKey, TakeSettings
from workers.take_store import Reservation, TakeStore

key = TakeKey("room", "20260131T200000Z-abc234")
file = TakeStore(Path(sys.argv[1])).create(key, TakeHeader(0, TakeSettings(), "f"), Reservation(1))
step = 1
while True:
    step += 1
    file.write(Reservation(step, step), sync=step % 16 == 0)
    print(step, flush=True)
"""


@pytest.mark.faults
@pytest.mark.parametrize("lines", [1, 20, 300])
def test_a_killed_writer_has_written_what_it_said(tmp_path: Path, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        said = [int(child.stdout.readline()) for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
        said += [int(line) for line in child.stdout.read().splitlines()]
    reservation = TakeStore(tmp_path).stored()[0].reservation
    assert reservation.reserved in {said[-1], said[-1] + 1}
