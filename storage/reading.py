"""Looks into a storage that several packages make. Blocking; all may raise StorageUnavailable."""

from __future__ import annotations

from contracts.take import TakeKey
from storage.documents import from_bytes
from storage.meta import TakeMeta
from storage.names import META, take_object
from storage.objects import Content, ObjectMissing, Objects


def content(objects: Objects, name: str) -> Content | None:
    """An object; None where there is none."""
    try:
        return objects.read(name)
    except ObjectMissing:
        return None


def is_deleted(objects: Objects, key: TakeKey) -> bool:
    """Whether the take has a tombstone. Raises ObjectDamaged."""
    name = take_object(key, META)
    meta = content(objects, name)
    return meta is not None and from_bytes(name, meta.data, TakeMeta.from_json).deleted_at is not None
