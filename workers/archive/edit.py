"""What a host changes after the fact: `meta.json`, by compare and swap; what follows from it is derived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from contracts.errors import EditConflict, NotFound, StillLive
from contracts.take import TakeKey
from storage.commit import TakeCommit
from storage.derived import Derived
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import DERIVED, META, open_name, take_object
from storage.objects import ObjectChanged, Objects
from storage.take_record import TakeRecord
from workers.archive.derive import publish_entry, put_meta
from workers.archive.reading import Stored, read_commit, read_derived, read_meta

Change = Callable[[TakeMeta], TakeMeta]
_TRIES: Final = 8
_FINISHED_SOON: Final = 2
"""Seconds after which a take that is being finished is asked for again."""


def finished_take(objects: Objects, key: TakeKey) -> TakeCommit:
    """The commit mark of a take that can be edited. Raises NotFound, StillLive for one not finished yet."""
    commit = read_commit(objects, key)
    if commit is not None and commit.story.samples:
        return commit
    if commit is None and objects.head(open_name(key)) is not None:
        raise StillLive(f"{key.room}/{key.take}: its replay is being finished", _FINISHED_SOON)
    raise NotFound(f"{key.room}/{key.take}: no such replay")


def edit_meta(objects: Objects, commit: TakeCommit, change: Change) -> None:
    """Let `change` make a new `meta.json` of the one that is there; what is public changes at once.

    The mark that it leaves says that the rest is to be derived. `change` is called again where somebody else
    was quicker. Raises what it raises, Deleted, EditConflict, StorageUnavailable.
    """
    key = commit.story.key
    mark = to_bytes(commit.story.header.to_json())
    objects.put_new(open_name(key), mark)
    before, after = _swap(objects, commit, change)
    # Whoever derived something before this may have removed the mark meanwhile.
    objects.put_new(open_name(key), mark)
    if after == before.value:
        return
    if _looks_the_same(commit.story, before.value, after):
        _carry_over(objects, key, before, after)
    for _ in range(_TRIES):
        try:
            publish_entry(objects, commit)
        except ObjectChanged:
            continue
        return


def _swap(objects: Objects, commit: TakeCommit, change: Change) -> tuple[Stored[TakeMeta], TakeMeta]:
    key = commit.story.key
    for _ in range(_TRIES):
        before = put_meta(objects, commit)
        after = replace(change(before.value), deleted_at=None)
        if after == before.value:
            return before, after
        try:
            objects.replace(take_object(key, META), to_bytes(after.to_json()), before.etag)
        except ObjectChanged:
            continue
        return before, after
    raise EditConflict(f"{key.room}/{key.take}: somebody else changed it in the same moment; read it again")


def _looks_the_same(story: TakeRecord, before: TakeMeta, after: TakeMeta) -> bool:
    return before.shown_title(story) == after.shown_title(story) and before.shown_chapters(
        story
    ) == after.shown_chapters(story)


def _carry_over(objects: Objects, key: TakeKey, before: Stored[TakeMeta], after: TakeMeta) -> None:
    """Nothing that was derived changes: it is of the new version as well as it was of the old one."""
    derived, meta = read_derived(objects, key), read_meta(objects, key)
    if derived is None or derived.value is None or derived.value.meta != before.digest:
        return
    if meta is None or meta.value != after:
        return
    new = Derived(meta.digest, derived.value.record, derived.value.objects)
    try:
        objects.replace(take_object(key, DERIVED), to_bytes(new.to_json()), derived.etag)
    except ObjectChanged:
        return  # somebody derives; the mark is there
