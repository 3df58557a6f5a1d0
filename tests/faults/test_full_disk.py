"""A disk that is full while a room speaks: audio goes on, and what memory still has is archived later."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.disk_objects import DiskObjects
from tests.faults.counting import assert_nothing_is_left, count
from tests.faults.room import degraded, finished, sound, speaking, until
from tests.faults.small_disk import fill, in_small_disk, make_room, seen_by
from workers.archive.verify import verify

pytestmark = [pytest.mark.faults, pytest.mark.needs("ffmpeg", "mounts"), pytest.mark.timeout(300)]
_DISK = 12 * 2**20


async def test_while_the_disk_is_full_nothing_is_lost(tmp_path: Path) -> None:
    with in_small_disk(tmp_path / "data", _DISK) as server:
        data = seen_by(server)
        objects = DiskObjects(data)
        async with speaking(server, sound(tmp_path), "talk") as (room,):
            await room.hear(3)
            fill(server)
            await until(lambda: "archive: the disk was full" in degraded(server))
            await room.hear(6)
            make_room(server)
            await until(lambda: not degraded(server))
            recordings = await room.end()
        key = room.key
        await finished(data, objects, key)
        counted = count(objects, key, recordings)
        report = verify(objects, key)
        assert (report.problems, report.lost) == ((), 0)
        assert_nothing_is_left(objects, key, data)
    assert [each.complaints for each in recordings] == [[], []]
    assert (counted.lost, counted.held) == (0, counted.samples)
