"""One replay as listeners get it: what its documents say, read from the storage together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from contracts.errors import NotFound, ObjectDamaged
from contracts.take import Rendition, TakeKey
from origin.replay_reader import Stored
from storage.commit import TakeCommit
from storage.derived import BLOCK, Derived
from storage.documents import from_bytes
from storage.entry import ReplayEntry
from storage.meta import Chapter, TakeMeta
from storage.names import DERIVED, META, RECORD, entry_name, take_object
from storage.objects import ObjectMissing, Objects

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that is there, published or not. `record` is `take.json` as it lies in the storage."""

    entry: ReplayEntry
    commit: TakeCommit
    meta: TakeMeta
    derived: Derived
    record: bytes

    @property
    def key(self) -> TakeKey:
        """The take."""
        return self.entry.key

    @property
    def private(self) -> bool:
        """Whether it is for those alone who were let in; the take says so, whoever wrote the entry."""
        return self.entry.private or self.commit.story.header.settings.private

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        """The chapters that hold."""
        return self.meta.shown_chapters(self.commit.story)

    def rendition(self, name: str) -> Rendition:
        """One of the take's renditions. Raises NotFound."""
        renditions = {each.name: each for each in self.commit.story.header.settings.renditions}
        if name not in renditions:
            raise NotFound(f"this take has the renditions {', '.join(renditions)}")
        return renditions[name]

    def object(self, name: str) -> Stored:
        """What was made from the take under `name`. Raises NotFound."""
        made = self.derived.objects.get(name)
        if made is None:
            raise NotFound("this replay has no such thing")
        return Stored(take_object(self.key, name), made.size, made.sha256, made.blocks, BLOCK)

    def fragment(self, rendition: str, msn: int) -> Stored:
        """The archived fragment that begins with segment `msn`. Raises NotFound."""
        name = self.rendition(rendition).name
        for found in self.commit.fragments.get(name, ()):
            if found.msn == msn:
                # Read and checked as one: a rendition's 30 seconds are a few blocks at most.
                where = found.name(self.key, name)
                return Stored(where, found.size, found.sha256, (found.sha256,), max(1, found.size))
        raise NotFound("this replay has no such fragment")


def load_replay(objects: Objects, key: TakeKey, entry: bytes) -> tuple[Replay, int]:
    """The replay of a catalogue entry, and the bytes of its documents. Blocking.

    Raises StorageUnavailable, ObjectDamaged that names the object, and NotFound where it is being deleted.
    """
    read_entry = from_bytes(entry_name(key), entry, ReplayEntry.from_json)
    if read_entry.key != key:
        raise ObjectDamaged(f"{entry_name(key)}: the entry of another take")
    meta, meta_bytes = _read(objects, key, META, TakeMeta.from_json)
    if meta.deleted_at is not None:
        raise NotFound("this replay was deleted")
    commit, record = _read(objects, key, RECORD, TakeCommit.from_json)
    derived, derived_bytes = _read(objects, key, DERIVED, _derived)
    if sha256(record).hexdigest() != derived.record:
        raise ObjectDamaged(f"{take_object(key, RECORD)}: not what was stored")
    replay = Replay(read_entry, commit, meta, derived, record)
    return replay, len(entry) + len(meta_bytes) + len(record) + len(derived_bytes)


def entry_digest(entry: bytes) -> str:
    """What tells versions of an entry, and so of the replay, apart."""
    return sha256(entry).hexdigest()


def _read(objects: Objects, key: TakeKey, name: str, parse: Callable[[Any], T]) -> tuple[T, bytes]:
    full = take_object(key, name)
    try:
        data = objects.read(full).data
    except ObjectMissing:
        raise ObjectDamaged(f"{full}: missing in the storage") from None
    return from_bytes(full, data, parse), data


def _derived(obj: Any) -> Derived:  # noqa: ANN401 - parsed JSON
    derived = Derived.from_json(obj)
    for name, each in derived.objects.items():
        if len(each.blocks) != -(-each.size // BLOCK):
            raise ValueError(f"{name}: {len(each.blocks)} blocks of {each.size} bytes")
    return derived
