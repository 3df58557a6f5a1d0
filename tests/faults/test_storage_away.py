"""S3 that is away while a room speaks: nobody hears of it, and in the end nothing is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from contracts.position import Position
from contracts.take import TakeKey
from pipeline.boxes import sequence_number, write_part
from pipeline.grid import Grid
from pipeline.segmenter import EncodedPart
from tests.faults.counting import assert_nothing_is_left, count
from tests.faults.room import degraded, finished, make_rooms, sound, speaking, until
from tests.faults.s3 import in_s3
from tests.over_takes import header
from workers.archive.spool_disk import SpoolDisk
from workers.archive.spool_take import SpoolTake
from workers.archive.verify import verify

pytestmark = [pytest.mark.faults, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(300)]
_SPOOL_MB = 16
_LEFT = 12_000
"""Bytes that the spool has room for: a second of both renditions."""
_OTHER = TakeKey("other", "20260101T000000Z-abc234")


def leave_a_take_in_the_spool(data_dir: Path, size: int) -> None:
    """About `size` bytes of a take that an earlier process could not store."""
    grid, rng = Grid(5), np.random.default_rng(1)
    places = [Position(msn, part) for msn in range(15) for part in range(5)]
    units = sum(len(grid.part_frames(place)) for place in places)
    take = SpoolTake(data_dir / "spool" / _OTHER.room / _OTHER.take, _OTHER, SpoolDisk(size))
    take.begin(header("64k"))
    for place in places:
        frames = grid.part_frames(place)
        # A frame has a head of its own beside its access unit.
        made = [rng.bytes(size // units - 32) for _ in frames]
        data = write_part(made, frames.start, sequence_number(place, grid.parts))
        take.write([EncodedPart("64k", *place, data)])


async def test_a_spool_that_fills_up_says_so_before_and_loses_nothing(tmp_path: Path) -> None:
    leave_a_take_in_the_spool(tmp_path / "data", _SPOOL_MB * 2**20 - _LEFT)
    with in_s3(tmp_path / "data", LONGWAVE_SPOOL_MB=str(_SPOOL_MB)) as s3, s3.server as server:
        await make_rooms(server, "talk")
        s3.proxy.down()
        async with speaking(server, sound(tmp_path), "talk", made=True) as (room,):
            await until(lambda: "% full" in degraded(server))
            await until(lambda: "the spool was full" in degraded(server))
            await room.hear(3)
            recordings = await room.end()
            assert "archive: " in degraded(server)
        s3.proxy.up()
        key = room.key
        await finished(server.data_dir, s3.objects, key, seconds=60)
        counted = count(s3.objects, key, recordings)
        report = verify(s3.objects, key)
        assert (report.problems, report.lost) == ((), 0)
        await until(lambda: not degraded(server))
    assert [each.complaints for each in recordings] == [[], []]
    assert (counted.lost, counted.held) == (0, counted.samples)
    assert_nothing_is_left(s3.objects, key, server.data_dir)
