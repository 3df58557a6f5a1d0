"""A fragment of which two workers had different parts: what lies beside each other becomes one object.

Nothing that is stored is ever replaced, so that a digest speaks of the same bytes for good: who comes second
puts a piece beside (`deposit`), and whoever commits the take puts what both of them make under a new name.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from contracts.errors import MalformedMedia, ObjectDamaged
from pipeline.replay.fragment_index import index_fragment
from storage.commit import FragmentRecord
from storage.names import fragment_name, piece_name, take_prefix
from storage.reading import content
from workers.archive.fragment_file import joined
from workers.archive.reading import fragment_objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from contracts.position import Position
    from contracts.take import TakeKey
    from pipeline.grid import Grid
    from pipeline.replay.fragment_index import FragmentIndex
    from storage.commit import TakeCommit
    from storage.objects import Objects

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Joined:
    """A fragment as it is committed; `record` and `index` are None where nobody can read anything of it.

    `damaged` are reasons for what is missing.
    """

    record: FragmentRecord | None
    index: FragmentIndex | None
    damaged: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fragment:
    """The fragment of a take that begins with segment `first`, or would."""

    key: TakeKey
    rendition: str
    first: int
    grid: Grid

    @property
    def name(self) -> str:
        """What is put first is called so."""
        return fragment_name(self.key, self.rendition, self.first)

    def piece(self, data: bytes) -> str:
        """What other bytes of it are called."""
        return piece_name(self.key, self.rendition, self.first, sha256(data).hexdigest())


def read_joined(objects: Objects, fragment: Fragment, names: Sequence[str]) -> Joined:
    """Read what there is of a fragment; of several objects, put what they make. Raises StorageUnavailable."""
    found: dict[str, tuple[bytes, FragmentIndex]] = {}
    damaged = []
    for name in names:
        try:
            there = content(objects, name)
            if there is not None:  # else deleted meanwhile; the tombstone is looked for before a commit
                found[name] = there.data, index_fragment(there.data, fragment.grid, fragment.first)
        except (MalformedMedia, ObjectDamaged) as error:  # S3 has checksums of its own
            log.warning("an archived fragment cannot be read", object=name, reason=error.message)
            damaged.append(reason_of(fragment.key, name))
    if not found:
        return Joined(None, None, tuple(damaged))
    data, index = _join(objects, fragment, found)
    is_joined = found.get(fragment.name, (None,))[0] != data
    record = FragmentRecord(fragment.first, len(data), sha256(data).hexdigest(), joined=is_joined)
    return Joined(record, index, tuple(damaged))


def reason_of(key: TakeKey, name: str) -> str:
    """Why samples are missing that the object `name` had."""
    return f"the archived fragment {name.removeprefix(take_prefix(key))} is damaged"


def unlisted(objects: Objects, commit: TakeCommit) -> Iterator[tuple[str, bool]]:
    """Objects of fragments that a finished take's record does not name; whether it has that fragment."""
    key = commit.story.key
    for rendition in commit.story.header.settings.renditions:
        listed = {record.msn: record for record in commit.fragments.get(rendition.name, ())}
        for msn, names in fragment_objects(objects, key, rendition.name).items():
            record = listed.get(msn)
            for name in names:
                if record is None or name != record.name(key, rendition.name):
                    yield name, record is not None


def remove_pieces(objects: Objects, commit: TakeCommit) -> None:
    """Remove what joined fragments were made of, and what came too late to be joined."""
    names = [name for name, has_fragment in unlisted(objects, commit) if has_fragment]
    if names:
        objects.delete(names)


def _join(
    objects: Objects, fragment: Fragment, found: dict[str, tuple[bytes, FragmentIndex]]
) -> tuple[bytes, FragmentIndex]:
    """All parts that there are; of one that is there twice, as it was put first."""
    parts: dict[Position, bytes] = {}
    for data, index in found.values():
        for part in index.parts:
            parts.setdefault(part.position, data[part.start : part.stop])
    whole = joined(parts)
    for data, index in found.values():
        if data == whole:
            return data, index
    objects.put_new(fragment.piece(whole), whole)
    return whole, index_fragment(whole, fragment.grid, fragment.first)
