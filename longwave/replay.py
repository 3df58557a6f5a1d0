"""`longwave replay`: what is kept of takes, from the command line. What is shown of it is `replay_view`'s.

A server may be at work in the same storage: everything here but `finish` only reads, and what `finish` does
may be done by several at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.errors import (
    BadRequest,
    DiskUnavailable,
    LongwaveError,
    NotFound,
    StorageUnavailable,
    UsageError,
)
from contracts.ids import check_room, check_take
from contracts.take import TakeKey
from longwave.listening import data_directory
from storage.names import open_name
from storage.objects import Objects
from workers.archive.delete import clear
from workers.archive.finish import Finisher
from workers.archive.kept import Listed, kept_take, listed, take_keys
from workers.archive.orphans import Action, Orphan, Orphans, decide

if TYPE_CHECKING:
    from longwave.settings import StorageSettings

Progress = Callable[[int, int], None]
"""Called with how many steps are done, and of how many."""

_READERS: Final = 8
# What a server keeps of takes that it has not done with (docs/operating.md).
_UNDER_WAY: Final = ("takes", "spool")


def open_storage(settings: StorageSettings) -> Objects:
    """The storage that `settings` name. Raises UsageError, also for a data directory that is not there."""
    if settings.storage is None and not settings.data_dir.is_dir():
        raise UsageError(f"{settings.data_dir}: no such directory: give --data-dir, or --storage")
    return settings.objects()


def parse_key(text: str) -> TakeKey:
    """`ROOM/TAKE`. Raises UsageError."""
    room, _, take = text.partition("/")
    try:
        return TakeKey(check_room(room), check_take(take))
    except BadRequest as error:
        raise UsageError(f"{text:.120}: wanted ROOM/TAKE: {error.message}") from None


def chosen(names: Sequence[str], *, everything: bool) -> list[TakeKey] | None:
    """The takes that are named, each once; None for `--all`. Raises UsageError for both, and for neither."""
    if everything and names:
        raise UsageError("name replays, or say --all: not both")
    if not everything and not names:
        raise UsageError("name replays as ROOM/TAKE (`longwave replay list` shows them), or say --all")
    return None if everything else list(dict.fromkeys(map(parse_key, names)))


def list_replays(
    objects: Objects, room: str | None, *, everything: bool, progress: Progress = lambda _done, _total: None
) -> list[Listed]:
    """The replays of a room or of all, newest first; `everything` adds takes that are not finished.

    Raises UsageError (no room is called so) and StorageUnavailable.
    """
    try:
        keys = take_keys(objects, room)
    except BadRequest as error:
        raise UsageError(f"{room:.120}: {error.message}") from None
    found = []
    with ThreadPoolExecutor(_READERS) as pool:
        for done, each in enumerate(pool.map(lambda key: listed(objects, key), keys), 1):
            progress(done, len(keys))
            if each is not None and (everything or each.state != "finishing"):
                found.append(each)
    return found


# ---- finish ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a take that was to be finished, in words; not `done` is what still needs somebody."""

    key: TakeKey
    done: bool
    what: str


class Finishing:
    """Finishes takes that nobody works on, at `now` (seconds since 1970).

    `alone` says that no server runs on the data directory, and that no other can work in its storage.
    """

    def __init__(
        self, objects: Objects, settings: StorageSettings, now: float, *, alone: bool, force: bool
    ) -> None:
        self._objects = objects
        self._data_dir = settings.data_dir
        self._now = now
        self._alone = alone
        self._force = force
        self._finisher = Finisher(objects, None, clock=time.time)

    def unfinished(self) -> list[TakeKey]:
        """Every take that is marked as not done. Raises StorageUnavailable."""
        takes = self._look(lambda _: True)
        # The mark of a deletion stands for a while, when all is done.
        return [take.key for take in takes if not take.deleted or self._objects.head(open_name(take.key))]

    def finish(self, key: TakeKey, progress: Progress | None = None) -> Outcome:
        """Do for a take what is to be done. Raises NotFound and StorageUnavailable."""
        marked = next(iter(self._look(lambda other: other == key)), None)
        try:
            if marked is None:
                return self._unmarked(key, progress)
            return self._marked(marked, progress)
        except (NotFound, StorageUnavailable):
            raise
        except LongwaveError as error:
            return Outcome(key, done=False, what=error.message)

    def _look(self, wanted: Callable[[TakeKey], bool]) -> list[Orphan]:
        # Elsewhere a server may be at work: its rules for a storage that it shares are those of prudence.
        orphans = Orphans(self._objects, self._finisher, lambda key: not wanted(key), shared=True)
        return [*orphans.look()]

    def _marked(self, take: Orphan, progress: Progress | None) -> Outcome:
        key = take.key
        action = decide(take, self._now, 0.0, shared=not self._alone)
        if self._under_way(key) and not take.committed and not take.deleted:
            action = Action.LEAVE
        if action is Action.LEAVE:
            if not self._force:
                return Outcome(key, done=False, what=self._why_not(take))
            action = _forced(take)
        match action:
            case Action.CLEAR:
                clear(self._objects, key)
                return Outcome(key, done=True, what="deleted before: what was left of it is removed")
            case Action.DERIVE:
                self._finisher.derive(key, progress=progress)
                return Outcome(key, done=True, what="made again what was not up to date")
            case Action.FINISH:
                self._finisher.finish(key, progress=progress)
                return Outcome(key, done=True, what="finished")
            case _:
                self._finisher.finish(key, without_story=True, progress=progress)
                return Outcome(key, done=True, what="finished, without who spoke when: nobody had told")

    def _unmarked(self, key: TakeKey, progress: Progress | None) -> Outcome:
        kept = kept_take(self._objects, key)
        if kept is None:
            raise no_such_replay(key)
        if kept.state == "ready" and not self._force:
            return Outcome(key, done=True, what="was finished already")
        self._finisher.derive(key, again=self._force, progress=progress)
        return Outcome(key, done=True, what="made again from its fragments")

    def _under_way(self, key: TakeKey) -> bool:
        return any((self._data_dir / kind / key.room / key.take).exists() for kind in _UNDER_WAY)

    def _why_not(self, take: Orphan) -> str:
        if self._under_way(take.key):
            return "live, or not archived yet: a server on this data directory finishes it, or --force"
        minutes = max(self._now - take.touched, 0) / 60
        return f"looks live, something was written {minutes:.0f} min ago: wait, or --force"


@contextlib.contextmanager
def alone(settings: StorageSettings) -> Iterator[bool]:
    """Keep servers out of the data directory, if it is the storage and none is there: whether that is so."""
    with contextlib.ExitStack() as stack:
        found = not settings.shares_storage
        if found:
            try:
                stack.enter_context(data_directory(settings.data_dir))
            except DiskUnavailable:
                found = False
        yield found


def no_such_replay(key: TakeKey) -> NotFound:
    """The error for a take that is not there."""
    return NotFound(
        f"{key.room}/{key.take}: no such replay; `longwave replay list --all` shows what there is"
    )


def _forced(take: Orphan) -> Action:
    if take.committed:
        return Action.DERIVE
    return Action.FINISH if take.story else Action.FINISH_WITHOUT_STORY
