"""What a take has in the storage: its documents, each with the version that it is, and its fragments."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

from contracts.errors import LongwaveError, NotFound, ObjectDamaged
from contracts.take import TakeHeader, TakeKey
from storage.commit import FragmentRecord, TakeCommit
from storage.derived import Derived
from storage.documents import from_bytes
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.names import (
    DERIVED,
    META,
    PIECE_DIGITS,
    RECORD,
    STORY,
    entry_name,
    fragment_of,
    open_name,
    take_object,
)
from storage.objects import Objects
from storage.reading import content, is_deleted
from storage.take_record import TakeRecord

T = TypeVar("T")
_FILE: Final = re.compile(rf"(0|[1-9][0-9]{{0,11}})(-[0-9a-f]{{{PIECE_DIGITS}}})?\.mp4")
"""Twelve digits of a segment's number are 60,000 years of 2-second segments."""


class Deleted(LongwaveError):
    """The take has a tombstone: nothing of it may come back. Handled inside."""


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A document as one version of it was read. `digest` is the SHA-256 of its bytes, in hex."""

    value: T
    etag: str
    digest: str


def _document(objects: Objects, name: str, read: Callable[[Any], T]) -> Stored[T] | None:
    found = content(objects, name)
    if found is None:
        return None
    return Stored(from_bytes(name, found.data, read), found.info.etag, sha256(found.data).hexdigest())


def _replaceable(objects: Objects, name: str, read: Callable[[Any], T]) -> Stored[T | None] | None:
    """A document that can be made again: its value is None where it is damaged."""
    found = content(objects, name)
    if found is None:
        return None
    try:
        value = from_bytes(name, found.data, read)
    except ObjectDamaged:
        value = None
    return Stored(value, found.info.etag, sha256(found.data).hexdigest())


def read_story(objects: Objects, key: TakeKey) -> TakeRecord | None:
    """What the take's owner told at its end. Raises ObjectDamaged."""
    name = take_object(key, STORY)
    stored = _document(objects, name, TakeRecord.from_json)
    if stored is None:
        return None
    _check_key(name, stored.value, key)
    return stored.value


def read_commit(objects: Objects, key: TakeKey) -> TakeCommit | None:
    """The commit mark of a finished take. Raises ObjectDamaged."""
    name = take_object(key, RECORD)
    stored = _document(objects, name, TakeCommit.from_json)
    if stored is None:
        return None
    _check_key(name, stored.value.story, key)
    return stored.value


def read_header(objects: Objects, key: TakeKey) -> TakeHeader | None:
    """The header that stands in the mark of a take that is not finished. Raises ObjectDamaged."""
    stored = _document(objects, open_name(key), TakeHeader.from_json)
    return stored.value if stored else None


def known_header(objects: Objects, key: TakeKey) -> TakeHeader:
    """The header of a take, finished or not. Raises ObjectDamaged, and NotFound where nothing has it."""
    header = read_header(objects, key)
    if header is not None:
        return header
    story = read_story(objects, key)
    if story is None:
        raise NotFound(f"{key.room}/{key.take}: nothing of it is stored")
    return story.header


def read_meta(objects: Objects, key: TakeKey) -> Stored[TakeMeta] | None:
    """The host's word on a take, the tombstone too. Raises ObjectDamaged."""
    return _document(objects, take_object(key, META), TakeMeta.from_json)


def read_derived(objects: Objects, key: TakeKey) -> Stored[Derived | None] | None:
    """What was made of a take; a value of None is damaged, and to be made again."""
    return _replaceable(objects, take_object(key, DERIVED), Derived.from_json)


def read_entry(objects: Objects, key: TakeKey) -> Stored[ReplayEntry | None] | None:
    """A take's entry in the catalogue; a value of None is damaged, and to be made again."""
    return _replaceable(objects, entry_name(key), ReplayEntry.from_json)


def refuse_deleted(objects: Objects, key: TakeKey) -> None:
    """Raises Deleted where there is a tombstone."""
    if is_deleted(objects, key):
        raise Deleted(f"{key.room}/{key.take}: deleted")


def stored_fragments(objects: Objects, key: TakeKey, rendition: str) -> list[int]:
    """The first segments of the fragments that there are of a rendition, in order."""
    return [*fragment_objects(objects, key, rendition)]


def fragment_objects(objects: Objects, key: TakeKey, rendition: str) -> dict[int, list[str]]:
    """The names of what there is of each fragment, by its first segment, in order; what was put first is."""
    prefix = take_object(key, f"{rendition}/")
    found: dict[int, list[str]] = {}
    for info in objects.list(prefix):
        match = _FILE.fullmatch(info.name.removeprefix(prefix))
        if match is not None and fragment_of(msn := int(match[1])) == msn:
            found.setdefault(msn, []).append(info.name)
    return {msn: sorted(found[msn], key=lambda name: (len(name), name)) for msn in sorted(found)}


def read_fragment(objects: Objects, key: TakeKey, rendition: str, record: FragmentRecord) -> bytes:
    """A fragment of a finished take, checked. Raises ObjectDamaged, which names it."""
    name = record.name(key, rendition)
    found = content(objects, name)
    if found is None:
        raise ObjectDamaged(f"{name}: it is not there")
    if len(found.data) != record.size:
        raise ObjectDamaged(f"{name}: {len(found.data)} bytes, not {record.size}")
    if sha256(found.data).hexdigest() != record.sha256:
        raise ObjectDamaged(f"{name}: other bytes than were stored")
    return found.data


def _check_key(name: str, story: TakeRecord, key: TakeKey) -> None:
    if story.key != key:
        raise ObjectDamaged(f"{name}: it tells of {story.key.room}/{story.key.take}")
