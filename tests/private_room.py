"""An origin with a private room, and one where nothing ever was."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.listen import listen_path
from contracts.position import Position
from contracts.take import TakeHeader, TakeKey, TakeSettings
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from storage.disk_objects import DiskObjects
from storage.rooms import RoomRecord
from tests.origins import Answer
from tests.replay_site import KEY, KEYS, Kept, Serving, Watched, keep, serving
from tests.takes import EPOCH_US, part, positions

LIVE = TakeKey(KEY.room, "20260102T000000Z-abc234")
NOW = int(time.time())
SOON, PAST = NOW + 3600, NOW - 60
GOOD = listen_path(KEYS.listen.sign(KEY.room, SOON))
PRIVATE = RoomRecord(title="Board meeting", visibility="private")


def put_live(site: Serving, key: TakeKey = LIVE, *, private: bool = True) -> None:
    """Two whole segments of a take that goes on."""
    settings = TakeSettings(private=private)
    site.origin.put_take(key, TakeHeader(EPOCH_US, settings, "f"))
    site.origin.put_init(key, "64k", init_segment(settings, settings.renditions[0]))
    grid = Grid(settings.parts)
    for position in positions(grid, Position(0, 0), Position(2, 1)):
        site.origin.put_part(key, "64k", *position, part(grid, *position))


@dataclass
class Two:
    """An origin with a private room, and one where nothing ever was."""

    site: Serving
    empty: Serving
    objects: Watched
    nothing: Watched

    async def assert_nothing_there(self, method: str, path: str, **headers: str) -> None:
        """Both answer alike, byte for byte."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        there, nowhere = [await each.request(method, path, fields) for each in (self.site, self.empty)]
        assert there.status == nowhere.status == 404, (method, path)
        assert there.body == nowhere.body
        assert _fields(there) == _fields(nowhere)


def _fields(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "Date"}


@asynccontextmanager
async def private_room(
    directory: Path, kept: Kept | None = None, redirect: str | None = None
) -> AsyncIterator[Two]:
    """A room that is private, as are its live take and its replay."""
    objects, nothing = (Watched(DiskObjects(directory / name)) for name in ("it", "nothing"))
    keep(objects, kept or Kept(private=True))
    records = {KEY.room: PRIVATE}

    def title_of(room: str) -> str | None:
        return None if room == KEY.room else room

    async with (
        serving(objects, redirect=redirect, records=records, title_of=title_of) as site,
        serving(nothing, redirect=redirect) as empty,
    ):
        put_live(site)
        yield Two(site, empty, objects, nothing)
