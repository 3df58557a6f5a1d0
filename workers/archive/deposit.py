"""What is put into the storage while a take is live: its mark, its headers, its fragments. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from contracts.errors import LongwaveError, StorageUnavailable
from pipeline.boxes.init import init_segment
from storage.documents import to_bytes
from storage.names import INIT, RECORD, fragment_name, open_name, take_object
from workers.archive.reading import Deleted, content, refuse_deleted, stored_fragments

if TYPE_CHECKING:
    from contracts.take import TakeHeader, TakeKey
    from storage.objects import Objects

Outcome = Literal["stored", "same", "conflict"]


class Finished(LongwaveError):
    """The take has its commit mark: all that will ever be archived of it is. Handled inside."""


def open_take(objects: Objects, key: TakeKey, header: TakeHeader) -> set[tuple[str, int]]:
    """Mark a take as not finished and put its headers; the fragments of it that are there already.

    Raises Deleted, Finished and StorageUnavailable.
    """
    _refuse_over(objects, key)
    objects.put_new(open_name(key), to_bytes(header.to_json()))
    for rendition in header.settings.renditions:
        name = take_object(key, f"{rendition.name}/{INIT}")
        objects.put_new(name, init_segment(header.settings, rendition))
    return {
        (rendition.name, first)
        for rendition in header.settings.renditions
        for first in stored_fragments(objects, key, rendition.name)
    }


def put_fragment(objects: Objects, key: TakeKey, rendition: str, first: int, data: bytes) -> Outcome:
    """Put a fragment; where there is one, that stays. Raises Deleted, Finished and StorageUnavailable."""
    name = fragment_name(key, rendition, first)
    _refuse_over(objects, key)
    if objects.put_new(name, data):
        try:
            refuse_deleted(objects, key)  # whoever deleted it meanwhile may not have seen this
        except Deleted:
            objects.delete([name])
            raise
        return "stored"
    there = content(objects, name)
    if there is None:
        raise StorageUnavailable(f"{name}: it was there and is gone")
    return "same" if there.data == data else "conflict"


def _refuse_over(objects: Objects, key: TakeKey) -> None:
    refuse_deleted(objects, key)
    if objects.head(take_object(key, RECORD)) is not None:
        raise Finished(f"{key.room}/{key.take}: finished")
