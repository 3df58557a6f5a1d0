"""kill -9 of a server whose rooms are archived: what listeners got is kept, all else is in gaps."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.disk_objects import DiskObjects
from tests.faults.counting import assert_nothing_is_left, count
from tests.faults.endings import kill_at_the_end
from tests.faults.room import finished, restart, sound, speaking, verified
from tests.server import Server

pytestmark = [pytest.mark.faults, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(300)]


async def test_after_three_kills_every_served_part_is_archived_and_the_rest_is_in_gaps(
    tmp_path: Path,
) -> None:
    objects = DiskObjects(tmp_path / "data")
    with Server(tmp_path / "data") as server:
        async with speaking(server, sound(tmp_path), "talk") as (room,):
            for parts in (5, 2, 4):
                await room.hear(parts)
                await restart(server)
            await room.hear(3)
            recordings = await room.end()
        key = room.key
        await finished(server.data_dir, objects, key)
        counted = count(objects, key, recordings)
        report = verified(server, key)
    assert [each for each in recordings if any(c.kind == "bytes" for c in each.complaints)] == []
    assert all(each.away for each in recordings)
    assert counted.served >= 2 * 14
    # Each kill costs the segment that was begun, and those of the time without a server.
    assert counted.reasons.keys() == {"never encoded: the server was down"}
    assert (report["samples"], report["missing_samples"]) == (counted.samples, counted.lost)
    assert_nothing_is_left(objects, key, server.data_dir)


async def test_a_server_killed_at_a_take_s_end_finishes_it_when_it_is_back(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        objects = DiskObjects(tmp_path / "data")
        assert await kill_at_the_end(server, objects, sound(tmp_path), ["one", "two"], after=0.1)
