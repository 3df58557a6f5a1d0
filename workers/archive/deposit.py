"""What is put into the storage while a take is live: its mark, its headers, its fragments. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from contracts.errors import LongwaveError, MalformedMedia, ObjectDamaged, StorageUnavailable
from pipeline.boxes.init import init_segment
from pipeline.replay.fragment_index import index_fragment
from storage.documents import to_bytes
from storage.names import INIT, RECORD, open_name, take_object
from storage.reading import content
from workers.archive.fragment_file import joined
from workers.archive.reading import Deleted, read_commit, refuse_deleted, stored_fragments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from contracts.position import Position
    from contracts.take import TakeHeader, TakeKey
    from storage.objects import Objects
    from workers.archive.joining import Fragment

Outcome = Literal["stored", "same", "beside", "conflict"]


class Finished(LongwaveError):
    """The take has its commit mark: all that will ever be archived of it is. Handled inside."""


class Deposit(NamedTuple):
    """What became of a fragment, and all parts of it that are stored now."""

    outcome: Outcome
    there: AbstractSet[Position]


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


def put_fragment(objects: Objects, fragment: Fragment, parts: Mapping[Position, bytes]) -> Deposit:
    """Put what there is of a fragment. What is stored stays; what that lacks is put beside it.

    Raises Deleted, Finished and StorageUnavailable.
    """
    _refuse_over(objects, fragment.key)
    data = joined(parts)
    if objects.put_new(fragment.name, data):
        _check_it_counts(objects, fragment, fragment.name)
        return Deposit("stored", parts.keys())
    theirs = _stored_parts(objects, fragment)
    there = parts.keys() | theirs.keys()
    missing = {position: parts[position] for position in parts.keys() - theirs.keys()}
    if missing:
        piece = joined(missing)
        objects.put_new(fragment.piece(piece), piece)
        _check_it_counts(objects, fragment, fragment.piece(piece))
        return Deposit("beside", there)
    if any(theirs[position] != part for position, part in parts.items()):
        return Deposit("conflict", there)
    _check_it_counts(objects, fragment, fragment.name)  # a try of ours may have put it
    return Deposit("same", there)


def _stored_parts(objects: Objects, fragment: Fragment) -> dict[Position, bytes]:
    """What was put first; nothing where nobody can read it."""
    try:
        found = content(objects, fragment.name)
        if found is None:
            raise StorageUnavailable(f"{fragment.name}: it was there and is gone")
        index = index_fragment(found.data, fragment.grid, fragment.first)
    except (MalformedMedia, ObjectDamaged):
        return {}
    return {part.position: found.data[part.start : part.stop] for part in index.parts}


def _check_it_counts(objects: Objects, fragment: Fragment, name: str) -> None:
    """Take back what was put too late: whoever deleted or finished the take may not have seen it."""
    try:
        refuse_deleted(objects, fragment.key)
    except Deleted:
        objects.delete([name])
        raise
    commit = read_commit(objects, fragment.key)
    if commit is None:
        return
    records = commit.fragments.get(fragment.rendition, ())
    if name not in {record.name(fragment.key, fragment.rendition) for record in records}:
        objects.delete([name])
        raise Finished(f"{name}: finished without it, or it was joined with another")


def _refuse_over(objects: Objects, key: TakeKey) -> None:
    refuse_deleted(objects, key)
    if objects.head(take_object(key, RECORD)) is not None:
        raise Finished(f"{key.room}/{key.take}: finished")
