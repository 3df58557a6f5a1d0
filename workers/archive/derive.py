"""Everything that is made from a finished take: the m4a, playlists, chapters, the waveform, and its entry.

Several may do it at once, on several nodes, while hosts edit: what depends on `meta.json` is written only
while that is the version that was read, `derived.json` and the entry by compare and swap. Whoever was too
late does it again, so that the last word is always that of the last `meta.json`.

A storage has no write on condition for a large file. Who is overtaken between the last look and the end of
such a write, and dies before the file is made again, leaves an m4a that is not the one in `derived.json`:
nobody is served it, verification names it, and deriving again makes it right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Final

from contracts.errors import EditConflict
from contracts.take import TakeKey
from storage.commit import TakeCommit
from storage.derived import Derived
from storage.documents import to_bytes
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.names import DERIVED, META, REPLAY_M4A, entry_name, open_name, take_object
from storage.objects import ObjectChanged, Objects
from storage.reading import content
from storage.take_record import TakeRecord
from workers.archive.make import Making, Superseded, derived_names
from workers.archive.reading import Deleted, Stored, read_derived, read_entry, read_meta

_ROUNDS: Final = 16
"""How often somebody else may be quicker: each time, somebody has got on."""


def put_meta(objects: Objects, commit: TakeCommit) -> Stored[TakeMeta]:
    """The host's word on a take, made as its room wants it where there is none yet. Raises Deleted."""
    key = commit.story.key
    meta = read_meta(objects, key)
    if meta is None:
        default = TakeMeta(published=commit.story.published)
        objects.put_new(take_object(key, META), to_bytes(default.to_json()))
        meta = read_meta(objects, key)
    if meta is None or meta.value.deleted_at is not None:
        raise Deleted(f"{key.room}/{key.take}: deleted")
    return meta


def derive_take(objects: Objects, making: Making, *, again: bool = False) -> ReplayEntry:
    """See that everything is there and is what `meta.json` asks for; then there is no mark any more.

    `again` makes everything anew, also what seems to be right. Raises Deleted, ObjectDamaged,
    StorageUnavailable, and EditConflict while hosts edit all the time.
    """
    key = making.commit.story.key
    for _ in range(_ROUNDS):
        meta = put_meta(objects, making.commit)
        stored = read_derived(objects, key)
        try:
            old = None if again or stored is None else _if_there(objects, making.commit.story, stored.value)
            if old is None or old.meta != meta.digest:
                # What a round that came too late has written may lie over what somebody else wrote.
                again = True
                _derive(objects, making, meta, stored, old)
                again = False
            entry = put_entry(objects, making.commit)
        except (ObjectChanged, Superseded):
            continue
        if entry is not None and _unmark(objects, key, meta):
            return entry
    raise EditConflict(f"{key.room}/{key.take}: somebody changes it all the time; try again")


def put_entry(objects: Objects, commit: TakeCommit) -> ReplayEntry | None:
    """The take's entry, as its documents are now; None while these do not fit each other.

    Raises Deleted, and ObjectChanged when somebody else has written it meanwhile.
    """
    key = commit.story.key
    # Read first: an entry that is still there afterwards is older than what it is made from now.
    there = read_entry(objects, key)
    meta = put_meta(objects, commit)
    derived = read_derived(objects, key)
    if derived is None or derived.value is None or derived.value.meta != meta.digest:
        return None
    entry = entry_of(commit, meta.value, derived.value, derived.digest)
    _replace_entry(objects, entry, there)
    if put_meta(objects, commit).digest != meta.digest:
        return None
    return entry


def publish_entry(objects: Objects, commit: TakeCommit) -> None:
    """Let what a host said of publishing hold at once, before anything is derived. Raises as `put_entry`."""
    there = read_entry(objects, commit.story.key)
    meta = put_meta(objects, commit)
    if there is not None and there.value is not None and there.value.published != meta.value.published:
        _replace_entry(objects, replace(there.value, published=meta.value.published), there)


def entry_of(commit: TakeCommit, meta: TakeMeta, derived: Derived, digest: str) -> ReplayEntry:
    """What the catalogue says of a take; `digest` is that of the bytes of `derived.json`."""
    story = commit.story
    m4a = derived.objects[REPLAY_M4A]
    return ReplayEntry(
        key=story.key,
        title=meta.shown_title(story),
        published=meta.published,
        epoch_us=story.header.epoch_us,
        samples=story.samples,
        speakers=tuple(speaker.name for speaker in story.speakers),
        chapters=len(meta.shown_chapters(story)),
        size=m4a.size,
        sha256=m4a.sha256,
        derived=digest,
        private=story.header.settings.private,
    )


def _derive(
    objects: Objects,
    making: Making,
    meta: Stored[TakeMeta],
    stored: Stored[Derived | None] | None,
    old: Derived | None,
) -> None:
    """Raises Superseded or ObjectChanged when it is not `meta` that counts any more."""
    key = making.commit.story.key
    etag = stored.etag if stored is not None else None

    def guarded(chunks: Iterable[bytes]) -> Iterator[bytes]:
        yield from chunks
        # Nothing is changed by what ends with an error: so this is the last moment to find out.
        now = objects.head(take_object(key, META))
        before = objects.head(take_object(key, DERIVED))
        if now is None or now.etag != meta.etag or (before.etag if before else None) != etag:
            raise Superseded(f"{key.room}/{key.take}: somebody else is further")

    made = making.make(meta.value, old, guarded)
    record = sha256(to_bytes(making.commit.to_json())).hexdigest()
    derived = Derived(meta.digest, record, made)
    objects.replace(take_object(key, DERIVED), to_bytes(derived.to_json()), etag)


def _if_there(objects: Objects, story: TakeRecord, derived: Derived | None) -> Derived | None:
    """What was derived, unless something of it is gone, or not even named."""
    if derived is None or derived_names(story.header.settings) - derived.objects.keys():
        return None
    for name, told in derived.objects.items():
        info = objects.head(take_object(story.key, name))
        if info is None or info.size != told.size:
            return None
    return derived


def _replace_entry(objects: Objects, entry: ReplayEntry, there: Stored[ReplayEntry | None] | None) -> None:
    data = to_bytes(entry.to_json())
    if there is None or there.digest != sha256(data).hexdigest():
        objects.replace(entry_name(entry.key), data, there.etag if there is not None else None)


def _unmark(objects: Objects, key: TakeKey, meta: Stored[TakeMeta]) -> bool:
    """Remove the mark; False, and it is there again, if a host has changed something meanwhile."""
    mark = content(objects, open_name(key))
    if mark is None:
        return True
    objects.delete([open_name(key)])
    now = read_meta(objects, key)
    if now is None or now.value.deleted_at is not None:
        raise Deleted(f"{key.room}/{key.take}: deleted")
    if now.digest == meta.digest:
        return True
    objects.put_new(open_name(key), mark.data)
    return False
