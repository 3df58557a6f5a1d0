"""Deleting: the tombstone first, then whatever there is. What died half way is done by the next sweep.

Somebody may write at the same moment: a worker that was cut off and has a fragment left, a finisher. It looks
for the tombstone before it writes and, if it lives so long, after it has. What it leaves if it does not is
found through the mark `deleted/{room}/{take}`, which stands for an hour.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import DiskUnavailable, EditConflict, NotFound, ObjectDamaged
from contracts.take import TakeKey
from storage.documents import from_bytes, to_bytes
from storage.meta import TakeMeta
from storage.names import (
    META,
    REPLAY_M4A,
    deleted_name,
    entry_name,
    open_name,
    take_object,
    take_prefix,
)
from storage.objects import ObjectChanged, Objects
from storage.reading import content

_TRIES: Final = 8


def delete_take(objects: Objects, key: TakeKey, deleted_at: str) -> None:
    """Remove a take for good; `deleted_at` is the instant, as ISO 8601.

    Raises NotFound where there is none, or no more of it, EditConflict, StorageUnavailable.
    """
    if not _anything(objects, key):
        raise NotFound(f"{key.room}/{key.take}: no such replay")
    try:
        _mark(objects, key, deleted_at)
    except DiskUnavailable:
        # A full disk has no room for a tombstone either. The largest object gives way: others make it.
        objects.delete([take_object(key, REPLAY_M4A)])
        _mark(objects, key, deleted_at)
    clear(objects, key)


def clear(objects: Objects, key: TakeKey) -> bool:
    """Remove all objects of a take that has a tombstone, but that and its mark; False if none was there."""
    # The entry first: what is listed is there. The mark of an unfinished take last: it asks for this.
    entry, mark = (
        [name] if objects.head(name) is not None else [] for name in (entry_name(key), open_name(key))
    )
    others = _all_but_meta(objects, key)
    for names in (entry, others, mark):
        if names:
            objects.delete(names)
    return bool(entry or others or mark)


def _all_but_meta(objects: Objects, key: TakeKey) -> list[str]:
    kept = take_object(key, META)
    return [info.name for info in objects.list(take_prefix(key)) if info.name != kept]


def _anything(objects: Objects, key: TakeKey) -> bool:
    if any(objects.head(name) is not None for name in (entry_name(key), open_name(key))):
        return True
    meta = content(objects, take_object(key, META))
    return bool(_all_but_meta(objects, key)) or (meta is not None and not _buried(key, meta.data))


def _mark(objects: Objects, key: TakeKey, deleted_at: str) -> None:
    objects.put_new(deleted_name(key), to_bytes({"room": key.room, "take": key.take}))
    _bury(objects, key, deleted_at)


def _bury(objects: Objects, key: TakeKey, deleted_at: str) -> None:
    name = take_object(key, META)
    # Nothing of what a host has written into it is kept.
    tombstone = to_bytes(TakeMeta(published=False, deleted_at=deleted_at).to_json())
    for _ in range(_TRIES):
        meta = content(objects, name)
        if meta is not None and _buried(key, meta.data):
            return
        try:
            objects.replace(name, tombstone, meta.info.etag if meta is not None else None)
        except ObjectChanged:
            continue
        return
    raise EditConflict(f"{key.room}/{key.take}: somebody changes it all the time; try again")


def _buried(key: TakeKey, data: bytes) -> bool:
    try:
        return from_bytes(take_object(key, META), data, TakeMeta.from_json).deleted_at is not None
    except ObjectDamaged:
        return False
