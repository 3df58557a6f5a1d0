"""Takes that nobody works on any more: whoever was to finish, derive or delete them died.

Each take that is not done has a mark, `open/…` or `deleted/…`; a sweep reads the marks and says of each what
is to be done. On a disk of its own this process alone could be at work. In a storage that several share
nobody can be asked: there a take is let alone as long as anything of it is new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import structlog

from contracts.errors import LongwaveError, ObjectDamaged, StorageUnavailable
from contracts.take import TakeKey
from pipeline.grid import msn_of_sample
from storage.names import (
    DELETED,
    FRAGMENT_SEGMENTS,
    OPEN,
    fragment_of,
    key_of,
    take_prefix,
)
from storage.objects import ObjectInfo, Objects
from storage.reading import is_deleted
from storage.take_record import TakeRecord
from workers.archive.delete import clear
from workers.archive.finish import Finisher, StoryMissing
from workers.archive.reading import read_commit, read_story, stored_fragments

log = structlog.get_logger()

_AT_WORK: Final = 60.0
"""Seconds within which whoever archived a take would have begun to finish it, or an editor to derive."""
_ARCHIVING: Final = 15 * 60.0
"""Seconds that a worker may be cut off from the storage while others are not."""
_LIVE: Final = 30 * 60.0
"""Seconds without a fragment after which a take without a story has lost its owner and all its workers."""
_LINGER: Final = 3600.0
"""Seconds for which what stragglers write of a deleted take is looked for. Retries give up long before."""


class Action(Enum):
    """What is to be done about a take."""

    LEAVE = "leave alone"
    FINISH = "finish"
    FINISH_WITHOUT_STORY = "finish without story"
    DERIVE = "derive again"
    CLEAR = "clear after delete"


@dataclass(frozen=True, slots=True)
class Orphan:
    """A take with a mark that nobody here works on.

    `touched` is when anything of it was last written, in seconds since 1970. `complete` says that every
    fragment that the story's length asks for is there, in each rendition.
    """

    key: TakeKey
    touched: float
    deleted: bool = False
    committed: bool = False
    story: bool = False
    complete: bool = False


def decide(take: Orphan, now: float, steady_since: float, *, shared: bool) -> Action:
    """What is to be done about a take at `now`.

    In a `shared` storage, whoever was cut off from it gets the same time from `steady_since` on, when it
    began to answer: what is in its spool would come too late after the commit mark.
    """
    quiet = now - max(take.touched, steady_since) if shared else _LIVE
    if take.deleted:
        return Action.CLEAR
    if take.committed:
        return Action.DERIVE if now - take.touched >= _AT_WORK or not shared else Action.LEAVE
    if not take.story:
        return Action.FINISH_WITHOUT_STORY if quiet >= _LIVE else Action.LEAVE
    if take.complete:
        return Action.FINISH if now - take.touched >= _AT_WORK or not shared else Action.LEAVE
    return Action.FINISH if quiet >= _ARCHIVING else Action.LEAVE


class Orphans:
    """Sweeps one storage. `kept_here` tells of a take that is live in this process, or still in its spool."""

    def __init__(
        self,
        objects: Objects,
        finisher: Finisher,
        kept_here: Callable[[TakeKey], bool],
        *,
        shared: bool,
    ) -> None:
        self._objects = objects
        self._finisher = finisher
        self._kept_here = kept_here
        self._shared = shared
        self._steady_since: float | None = None
        self._given_up: dict[TakeKey, float] = {}

    def sweep(self, now: float) -> dict[TakeKey, Action]:
        """Do what is to be done at `now` (seconds since 1970); what that was. Blocking.

        A storage that gives no answer ends it, and the time for which it was steady begins anew; a take that
        cannot be finished is told in the log, and tried again by the next sweep.
        """
        done: dict[TakeKey, Action] = {}
        try:
            takes = [*self.look()]
            steady_since = self._steady_since = now if self._steady_since is None else self._steady_since
            for take in takes:
                action = decide(take, now, steady_since, shared=self._shared)
                if action is not Action.LEAVE and self._act(take, action):
                    done[take.key] = action
            self._forget_deleted(now)
        except StorageUnavailable as error:
            self._steady_since = None
            log.warning("takes that nobody works on cannot be looked for", reason=error.message)
        return done

    def look(self) -> Iterator[Orphan]:
        """The marked takes that nobody in this process works on. Raises StorageUnavailable."""
        marks = {
            key: info
            for prefix in (DELETED, OPEN)
            for info in self._objects.list(prefix)
            if (key := key_of(info.name)) is not None
        }
        for key in self._given_up.keys() - marks.keys():
            del self._given_up[key]
        for key, mark in marks.items():
            if not self._kept_here(key) and not self._finisher.busy(key):
                take = self._orphan(key, mark)
                if self._given_up.get(key) != take.touched:
                    yield take

    def _orphan(self, key: TakeKey, mark: ObjectInfo) -> Orphan:
        there = [info.modified for info in self._objects.list(take_prefix(key))]
        touched = max([mark.modified, *there])
        try:
            if is_deleted(self._objects, key):
                return Orphan(key, touched, deleted=True)
            if read_commit(self._objects, key) is not None:
                return Orphan(key, touched, committed=True)
            story = read_story(self._objects, key)
        except ObjectDamaged:
            # Whoever is to work on it will say what it is.
            return Orphan(key, touched, story=True)
        complete = story is not None and self._is_complete(story)
        return Orphan(key, touched, story=story is not None, complete=complete)

    def _is_complete(self, story: TakeRecord) -> bool:
        if not story.samples:
            return True
        wanted = {*range(0, fragment_of(msn_of_sample(story.samples - 1)) + 1, FRAGMENT_SEGMENTS)}
        return all(
            wanted.issubset(stored_fragments(self._objects, story.key, rendition.name))
            for rendition in story.header.settings.renditions
        )

    def _act(self, take: Orphan, action: Action) -> bool:
        key = take.key
        try:
            match action:
                case Action.CLEAR:
                    if not clear(self._objects, key):
                        return False
                case Action.DERIVE:
                    self._finisher.derive(key)
                case _:
                    self._finisher.finish(key, without_story=action is Action.FINISH_WITHOUT_STORY)
        except StoryMissing:
            return False
        except StorageUnavailable:
            raise
        except LongwaveError as error:
            self._give_up(take, error.message)
            return False
        except Exception as error:
            # What is wrong with one take ends neither the sweep nor, with it, the server.
            log.exception("an error of ours, while a take was finished", room=key.room, take=key.take)
            self._give_up(take, repr(error)[:120])
            return False
        log.info("nobody worked on a take", room=key.room, take=key.take, done=action.value)
        return True

    def _forget_deleted(self, now: float) -> None:
        """Marks of deletions that are so long ago that nobody can have anything left to write."""
        old = [info.name for info in self._objects.list(DELETED) if now - info.modified >= _LINGER]
        self._objects.delete(old)

    def _give_up(self, take: Orphan, reason: str) -> None:
        """To read it again would bring the same, until somebody has changed something."""
        self._given_up[take.key] = take.touched
        log.error("a take cannot be finished", room=take.key.room, take=take.key.take, reason=reason)
