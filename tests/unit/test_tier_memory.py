"""Tiers over a restart: what was saved is there again, and what cannot be read does no harm."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import DiskUnavailable
from contracts.listeners import Tier
from contracts.metrics import Metrics
from contracts.take import TakeKey
from origin.service import Origin, OriginLimits
from origin.tier_memory import TierMemory, remember_for_ever
from origin.whereabouts import Whereabouts
from tests.bus_writing import eventually

HALL = TakeKey("hall", "20260101T000000Z-abc234")
OTHER = TakeKey("other", "20260101T000000Z-abc235")


def test_what_was_saved_last_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "tiers.json"
    TierMemory(path).save({HALL: Tier.EDGE, OTHER: Tier.EDGE})
    TierMemory(path).save({HALL: Tier.CDN})
    assert TierMemory(path).load() == {HALL: Tier.CDN}


@pytest.mark.parametrize(
    "there",
    [
        None,
        b"",
        b"{",
        b"[]",
        b"7",
        b"\xff",
        b'{"hall": "cdn"}',
        b'{"hall/20260101T000000Z-abc234": 2}',
        b"[" * 9999,
    ],
)
def test_what_cannot_be_read_is_as_nothing(tmp_path: Path, there: bytes | None) -> None:
    path = tmp_path / "tiers.json"
    if there is not None:
        path.write_bytes(there)
    assert TierMemory(path).load() == {}


def test_a_disk_that_does_not_work_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    memory = TierMemory(tmp_path / "file" / "tiers.json")
    assert memory.load() == {}
    with pytest.raises(DiskUnavailable):
        memory.save({HALL: Tier.CDN})


class Disk(TierMemory):
    """One that is full for a while, and says how often it was asked."""

    full = True
    asked = 0

    def save(self, tiers: Mapping[TakeKey, Tier]) -> None:
        self.asked += 1
        if self.full:
            raise DiskUnavailable("the disk is full")
        super().save(tiers)


async def test_what_has_changed_is_saved_once_as_soon_as_the_disk_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = {HALL: Tier.EDGE}
    rooms = Whereabouts(Origin(OriginLimits(), Metrics(CollectorRegistry())))
    monkeypatch.setattr(rooms, "standing", lambda: dict(standing))
    disk = Disk(tmp_path / "tiers.json")
    task = asyncio.create_task(remember_for_ever(rooms, disk, every=0.001))
    await eventually(lambda: disk.asked > 2)
    disk.full = False
    await eventually(lambda: disk.load() == standing)
    asked = disk.asked
    await asyncio.sleep(0.05)
    assert disk.asked == asked
    standing[OTHER] = Tier.CDN
    await eventually(lambda: disk.load() == standing)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
