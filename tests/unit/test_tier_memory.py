"""Tiers over a restart: what was saved is there again, and what cannot be read does no harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import DiskUnavailable
from contracts.listeners import Tier
from contracts.take import TakeKey
from origin.tier_memory import TierMemory

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
