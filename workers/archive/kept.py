"""What is kept of takes, as hosts and operators ask for it. Reads only, and blocks.

The catalogue (`replays/`) names the replays that are there, the marks (`open/`) the takes that are live, not
finished yet, or about to be made again. A take that was deleted is nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from contracts.errors import ObjectDamaged
from contracts.ids import check_room
from contracts.take import TakeKey
from storage.commit import TakeCommit
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.names import OPEN, REPLAYS, key_of, open_name
from storage.objects import Objects
from storage.reading import is_deleted
from workers.archive.reading import read_commit, read_entry, read_meta

State = Literal["ready", "finishing", "damaged"]
"""A replay that is there; a take that is not one yet; a replay whose entry cannot be read."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One take in a list. There is an `entry` where the state is "ready"."""

    key: TakeKey
    state: State
    entry: ReplayEntry | None = None


@dataclass(frozen=True, slots=True)
class KeptTake:
    """One take, and all that is known of it. It is finished where there is a `commit`."""

    key: TakeKey
    state: State
    entry: ReplayEntry | None
    commit: TakeCommit | None
    meta: TakeMeta


def take_keys(objects: Objects, room: str | None = None) -> list[TakeKey]:
    """All takes, or those of one room, newest first; deleted ones may still be among them for a moment.

    Raises StorageUnavailable, and BadRequest where no room is called so.
    """
    below = "" if room is None else f"{check_room(room)}/"
    names = (info.name for prefix in (REPLAYS, OPEN) for info in objects.list(prefix + below))
    keys = {key for name in names if (key := key_of(name)) is not None}
    # A take's id begins with its instant.
    return sorted(keys, key=lambda key: (key.take, key.room), reverse=True)


def listed(objects: Objects, key: TakeKey) -> Listed | None:
    """What a list says of a take; None where it is gone. Raises StorageUnavailable."""
    entry = read_entry(objects, key)
    if entry is not None:
        return Listed(key, "damaged") if entry.value is None else Listed(key, "ready", entry.value)
    if objects.head(open_name(key)) is None or _has_tombstone(objects, key):
        return None
    return Listed(key, "finishing")


def kept_take(objects: Objects, key: TakeKey) -> KeptTake | None:
    """Everything about one take; None where there is none, or where it was deleted.

    Raises StorageUnavailable, and ObjectDamaged that names the object.
    """
    meta = read_meta(objects, key)
    if meta is not None and meta.value.deleted_at is not None:
        return None
    commit, entry = read_commit(objects, key), read_entry(objects, key)
    # A take without a sample is finished as soon as it is over, and no replay comes of it.
    empty = commit is None or not commit.story.samples
    if empty and entry is None and objects.head(open_name(key)) is None:
        return None
    state: State = "finishing"
    if entry is not None:
        state = "damaged" if entry.value is None or commit is None else "ready"
    published = commit is None or commit.story.published
    return KeptTake(
        key,
        state,
        entry.value if entry is not None else None,
        commit,
        meta.value if meta is not None else TakeMeta(published=published),
    )


def began(key: TakeKey) -> datetime | None:
    """When a take began, to the second, by its id; None for an id that names no instant."""
    try:
        return datetime.strptime(key.take[:16], "%Y%m%dT%H%M%S%z")
    except ValueError:
        return None


def _has_tombstone(objects: Objects, key: TakeKey) -> bool:
    try:
        return is_deleted(objects, key)
    except ObjectDamaged:
        return False
