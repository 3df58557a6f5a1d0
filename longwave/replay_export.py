"""`longwave replay export`: a replay as a file. The m4a is copied and checked; the rest is made by ffmpeg.

Nothing but a whole file ever has the name that was asked for: everything is written aside and renamed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

from contracts.errors import ObjectDamaged, StillLive, UsageError
from contracts.take import TakeKey
from longwave.replay import no_such_replay
from longwave.replay_convert import FORMATS, convert
from storage.derived import BLOCK, Derived, DerivedObject
from storage.files import disk_errors
from storage.names import REPLAY_M4A, take_object
from storage.objects import ObjectChanged, ObjectMissing, Objects
from workers.archive.kept import kept_take
from workers.archive.reading import read_derived

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, from 0 to 1."""

_M4A: Final = ".m4a"
SUFFIXES: Final = (_M4A, *FORMATS)
_BLOCKS_AT_ONCE: Final = 16
# An edit makes the file again, within seconds.
_TRIES: Final = 10
_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: its bytes, and the samples of the take."""

    path: Path
    size: int
    samples: int


def export(
    objects: Objects, key: TakeKey, out: Path, progress: Progress = lambda _what, _share: None
) -> Exported:
    """Write a replay to `out`, whose suffix says as what; an older file is replaced.

    Raises UsageError (a place or suffix that cannot be, no ffmpeg), NotFound, StillLive, ObjectDamaged,
    StorageUnavailable (the disk's included) and DependencyError (ffmpeg failed).
    """
    suffix = _checked_suffix(out)
    samples = _samples(objects, key)
    with disk_errors(out), _aside(out) as copied:
        _copy(objects, key, copied, lambda share: progress("copying", share))
        if suffix == _M4A:
            copied.replace(out)
        else:
            with _aside(out) as made:
                convert(copied, made, suffix, samples, lambda share: progress("converting", share))
                made.replace(out)
        return Exported(out, out.stat().st_size, samples)


def _checked_suffix(out: Path) -> str:
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{out}: the name says the format, and ends in {', '.join(SUFFIXES)}")
    if out.is_dir():
        raise UsageError(f"{out}: there is a directory of this name")
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such directory")
    return suffix


def _samples(objects: Objects, key: TakeKey) -> int:
    kept = kept_take(objects, key)
    if kept is None:
        raise no_such_replay(key)
    if kept.commit is None:
        raise StillLive(f"{key.room}/{key.take}: it is live or being finished: there is no replay yet", 1)
    return kept.commit.story.samples


@contextlib.contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """A name beside `out` for what is not whole yet; nothing is left under it."""
    path = out.with_name(f".{uuid4().hex[:8]}{out.suffix}")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


# ---- a copy, every block of it checked ---------------------------------------------------------------------


def _copy(objects: Objects, key: TakeKey, path: Path, progress: Callable[[float], None]) -> None:
    """The m4a, whole and of one version; where an edit comes between, once more."""
    before: Derived | None = None
    for last in (*([False] * (_TRIES - 1)), True):
        stored = read_derived(objects, key)
        derived = stored.value if stored is not None else None
        if derived is None or REPLAY_M4A not in derived.objects:
            raise StillLive(f"{key.room}/{key.take}: its replay is being made: try again in a moment", 1)
        try:
            with path.open("wb") as file:
                for data, share in _checked(objects, key, derived.objects[REPLAY_M4A]):
                    file.write(data)
                    progress(share)
        except (ObjectChanged, ObjectDamaged) as error:
            # The file is replaced before its digests are: it may fit those that come. But if they came, and
            # it fits neither, it is damaged.
            if last or (isinstance(error, ObjectDamaged) and derived == before):
                raise _damaged(key, error) from None
            before = derived
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _checked(objects: Objects, key: TakeKey, wanted: DerivedObject) -> Iterator[tuple[bytes, float]]:
    """The m4a in pieces, each with the share that is read with it. Raises ObjectDamaged, ObjectChanged."""
    name, etag = take_object(key, REPLAY_M4A), None
    for first in range(0, len(wanted.blocks), _BLOCKS_AT_ONCE):
        start, stop = first * BLOCK, min((first + _BLOCKS_AT_ONCE) * BLOCK, wanted.size)
        try:
            found = objects.read(name, start, stop, etag=etag)
        except (ObjectMissing, ValueError):
            raise ObjectDamaged(f"{name}: it is not there, or too short") from None
        etag = found.info.etag
        digests = wanted.blocks[first : first + _BLOCKS_AT_ONCE]
        if found.info.size != wanted.size or digests != _digests(found.data):
            raise ObjectDamaged(f"{name}: other bytes than were stored, from {start} up to {stop}")
        yield found.data, stop / wanted.size


def _digests(data: bytes) -> tuple[str, ...]:
    return tuple(sha256(data[at : at + BLOCK]).hexdigest() for at in range(0, len(data), BLOCK))


def _damaged(key: TakeKey, error: ObjectChanged | ObjectDamaged) -> ObjectDamaged | StillLive:
    if isinstance(error, ObjectDamaged):
        return error
    return StillLive(f"{key.room}/{key.take}: it changes again and again: try again in a moment", 1)
