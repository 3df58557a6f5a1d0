"""What a process knows of rooms, on a storage that others write to."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from contracts.errors import StorageUnavailable
from contracts.metrics import Metrics
from longwave.house import House
from longwave.serve_replays import Kept
from storage.disk_objects import DiskObjects
from storage.pooled import Pooled
from storage.rooms import RoomRecord, RoomStore

PRIVATE = RoomRecord(title="Board meeting", visibility="private")


def house(data: Path, *, shared: bool = True, knows_rooms: bool = True) -> House:
    objects = DiskObjects(data)
    rooms = RoomStore(objects, shared=shared)
    return House(
        rooms,
        Kept(objects, Pooled(), Pooled()),
        Metrics(CollectorRegistry()),
        shared,
        knows_rooms=knows_rooms,
    )


async def test_a_room_that_was_never_looked_at_is_looked_up_before_anything_is_said_of_it(
    tmp_path: Path,
) -> None:
    RoomStore(DiskObjects(tmp_path)).put("board", PRIVATE)
    here = house(tmp_path)
    assert await here.look_up("board") == PRIVATE
    assert here.title_of("board") is None
    assert await here.look_up("nobody-made-it") is None


async def test_where_nobody_can_say_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable("the storage is gone")

    here = house(tmp_path)
    monkeypatch.setattr(DiskObjects, "read", away)
    with pytest.raises(StorageUnavailable):
        await here.look_up("board")


async def test_who_keeps_no_rooms_knows_of_none(tmp_path: Path) -> None:
    RoomStore(DiskObjects(tmp_path)).put("board", PRIVATE)
    assert await house(tmp_path, shared=False, knows_rooms=False).look_up("board") is None
