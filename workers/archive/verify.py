"""Reads everything of a finished take again and compares it with what its documents say.

The documents are checked against each other as well: what is in no fragment is in a gap and nothing else is,
and each file that was derived holds what the fragments hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Final, TypeVar

from contracts.errors import MalformedMedia, NotFound, ObjectDamaged
from contracts.take import Rendition, TakeKey
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.replay.coverage import missing
from pipeline.replay.fragment_index import FragmentIndex, index_fragment
from storage.commit import FragmentRecord, TakeCommit
from storage.derived import BLOCK, Derived, DerivedObject, Digester
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import (
    DERIVED,
    INIT,
    META,
    RECORD,
    REPLAY_M4A,
    STORY,
    entry_name,
    take_object,
)
from storage.objects import ObjectMissing, Objects
from storage.reading import content
from workers.archive.commit import union
from workers.archive.derive import entry_of
from workers.archive.joining import reason_of, unlisted
from workers.archive.make import derived_names
from workers.archive.reading import (
    Stored,
    read_commit,
    read_derived,
    read_entry,
    read_fragment,
    read_meta,
    read_story,
)
from workers.archive.steps import Progress, Steps
from workers.archive.verify_contents import Contents

T = TypeVar("T")
_READ: Final = 16 * BLOCK
"""Bytes of a derived object that are read at once."""


@dataclass(frozen=True, slots=True)
class Problem:
    """`name` is the object that is damaged, missing or contradicts the others; `what` says how."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """What was checked of a take: `objects`, of them `fragments`, of `size` bytes in all.

    `samples` is its length, `lost` how many of them are in gaps. It is whole if there are no `problems`.
    """

    key: TakeKey
    objects: int
    fragments: int
    size: int
    samples: int
    lost: int
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether everything is as its documents say."""
        return not self.problems


def verify(objects: Objects, key: TakeKey, progress: Progress | None = None) -> Report:
    """Check a finished take, byte for byte; nothing is changed.

    Raises NotFound where there is no such take, or it is not finished, and StorageUnavailable.
    """
    name = take_object(key, RECORD)
    if objects.head(name) is None and objects.head(entry_name(key)) is None:
        raise NotFound(f"{key.room}/{key.take}: no such replay, or not finished yet")
    return _Verification(objects, key, Steps(progress)).run()


class _Verification:
    """One take's; `problems` is what was found so far."""

    def __init__(self, objects: Objects, key: TakeKey, steps: Steps) -> None:
        self._objects = objects
        self._key = key
        self._steps = steps
        self._problems: list[Problem] = []
        self._checked = 0
        self._fragments = 0
        self._size = 0
        self._indexes: dict[str, list[FragmentIndex]] = {}

    def run(self) -> Report:
        """Everything, in the order in which it was made."""
        commit = self._document(RECORD, read_commit)
        if commit is None:
            return self._report(None)
        self._check_form(RECORD, commit.to_json())
        self._check_story(commit)
        for rendition in commit.story.header.settings.renditions:
            self._check_rendition(commit, rendition)
        self._check_gaps(commit)
        self._check_unlisted(commit)
        if commit.story.samples:
            self._check_derived(commit)
        return self._report(commit)

    def _check_story(self, commit: TakeCommit) -> None:
        story = self._document(STORY, read_story)
        # None: it was finished without one.
        if story is not None:
            self._check_form(STORY, story.to_json())
            if story != commit.story:
                self._problem(take_object(self._key, RECORD), f"tells another story than {STORY}")
        spans = [gap.span for gap in commit.gaps]
        edges = [0, *(edge for span in spans for edge in span), commit.story.samples]
        if any(after < before for before, after in pairwise(edges)) or any(a == b for a, b in spans):
            self._problem(take_object(self._key, RECORD), "gaps: not in order, or not within the take")

    def _check_form(self, name: str, told: dict[str, object]) -> None:
        """Whether a document says just what was read of it: some of it is said for people alone."""
        full = take_object(self._key, name)
        found = content(self._objects, full)
        if found is None or found.data != to_bytes(told):
            self._problem(full, "some of it is not what was stored")

    def _check_rendition(self, commit: TakeCommit, rendition: Rendition) -> None:
        settings = commit.story.header.settings
        self._check_init(
            take_object(self._key, f"{rendition.name}/{INIT}"), init_segment(settings, rendition)
        )
        records = commit.fragments.get(rendition.name, ())
        self._steps.expect(len(records))
        indexes = [self._index(rendition, record, Grid(settings.parts)) for record in records]
        self._indexes[rendition.name] = [index for index in indexes if index is not None]

    def _check_init(self, name: str, right: bytes) -> None:
        """No document has its digest: it follows from the take's settings."""
        found = content(self._objects, name)
        if found is None:
            self._problem(name, "it is not there")
            return
        self._count(len(found.data))
        if found.data != right:
            self._problem(name, "not the header that follows from the take's settings")

    def _index(self, rendition: Rendition, record: FragmentRecord, grid: Grid) -> FragmentIndex | None:
        """A fragment's index; None, and a problem, where it is not what was stored."""
        name = record.name(self._key, rendition.name)
        self._fragments += 1
        try:
            data = read_fragment(self._objects, self._key, rendition.name, record)
            self._count(len(data))
            return index_fragment(data, grid, record.msn)
        except ObjectDamaged as error:
            self._problem(name, error.message.removeprefix(f"{name}: "))
        except MalformedMedia as error:
            self._problem(name, error.message)
        finally:
            self._steps.done()
        return None

    def _check_gaps(self, commit: TakeCommit) -> None:
        """Whether exactly that is said to be lost which is in no fragment."""
        if self._problems:
            return  # of what cannot be read it is not known what it holds
        lost = union(
            span for indexes in self._indexes.values() for span in missing(indexes, commit.story.samples)
        )
        told = union(gap.span for gap in commit.gaps)
        name = take_object(self._key, RECORD)
        for start, stop in sorted({*lost} ^ {*told}):
            if (start, stop) in told:
                self._problem(name, f"a gap from {start} to {stop}, but not all of it is lost")
            else:
                self._problem(name, f"samples {start} to {stop} are lost, and it is not said")

    def _check_unlisted(self, commit: TakeCommit) -> None:
        """Whether there are fragments of which no document speaks: they came when the take was finished."""
        told = {gap.why for gap in commit.gaps}
        for name, _ in unlisted(self._objects, commit):
            if reason_of(self._key, name) not in told:
                self._problem(name, f"not in {RECORD}: it came too late")

    def _check_derived(self, commit: TakeCommit) -> None:
        meta = self._document(META, read_meta)
        derived = self._document(DERIVED, read_derived)
        if meta is None or derived is None:
            return
        if derived.value is None:
            self._problem(take_object(self._key, DERIVED), "not what was stored")
            return
        if derived.value.record != sha256(to_bytes(commit.to_json())).hexdigest():
            self._problem(take_object(self._key, RECORD), f"not the one that {DERIVED} was made from")
        if derived.value.meta != meta.digest:
            self._problem(take_object(self._key, DERIVED), f"of another {META} than there is")
        for name in derived_names(commit.story.header.settings) - derived.value.objects.keys():
            self._problem(take_object(self._key, name), f"not in {DERIVED}")
        self._steps.expect(sum(max(1, -(-told.size // _READ)) for told in derived.value.objects.values()))
        good = {name for name, told in derived.value.objects.items() if self._check_object(name, told)}
        self._check_entry(commit, meta.value, derived)
        # What is damaged is named already.
        contents = Contents(self._objects, commit, meta.value, self._indexes, self._steps)
        self._problems += [
            Problem(take_object(self._key, name), what)
            for name in sorted(good)
            for what in contents.wrong(name, derived.value.objects[name].size)
        ]

    def _check_object(self, name: str, told: DerivedObject) -> bool:
        """Whether a derived object has the digests that it should have; a problem if not."""
        full = take_object(self._key, name)
        digester = Digester()
        try:
            for start in range(0, max(told.size, 1), _READ):
                digester.add(self._objects.read(full, start, start + _READ).data)
                self._steps.done()
        except ObjectMissing:
            self._problem(full, "it is not there")
            return False
        except ValueError:
            self._problem(full, f"shorter than the {told.size} bytes that {DERIVED} says")
            return False
        info = self._objects.head(full)
        if info is None or info.size != told.size:
            self._problem(full, f"{info.size if info else 0} bytes, not {told.size}")
            return False
        self._count(told.size)
        found = digester.done()
        if found == told:
            return True
        wrong = [n for n, pair in enumerate(zip(found.blocks, told.blocks, strict=False)) if len({*pair}) > 1]
        places = ", ".join(str(n * BLOCK) for n in wrong[:5])
        self._problem(full, f"other bytes than were stored, in the blocks at {places or 'no place'}")
        return False

    def _check_entry(self, commit: TakeCommit, meta: TakeMeta, derived: Stored[Derived | None]) -> None:
        name = entry_name(self._key)
        entry = read_entry(self._objects, self._key)
        if entry is None:
            self._problem(name, "it is not there")
        elif entry.value is None:
            self._problem(name, "not what was stored")
        elif derived.value is not None and REPLAY_M4A in derived.value.objects:
            self._count(0)
            if entry.value != entry_of(commit, meta, derived.value, derived.digest):
                self._problem(name, "it does not say what the take's documents say")

    def _document(self, name: str, read: Callable[[Objects, TakeKey], T | None]) -> T | None:
        """A document; None, and a problem, where it is damaged, or missing although it has to be there."""
        full = take_object(self._key, name)
        try:
            found = read(self._objects, self._key)
        except ObjectDamaged as error:
            self._problem(full, error.message.removeprefix(f"{full}: "))
            return None
        if found is not None:
            self._count(0)
        elif name != STORY:
            self._problem(full, "it is not there")
        return found

    def _count(self, size: int) -> None:
        self._checked += 1
        self._size += size

    def _problem(self, name: str, what: str) -> None:
        self._problems.append(Problem(name, what))

    def _report(self, commit: TakeCommit | None) -> Report:
        return Report(
            key=self._key,
            objects=self._checked,
            fragments=self._fragments,
            size=self._size,
            samples=commit.story.samples if commit else 0,
            lost=sum(gap.span[1] - gap.span[0] for gap in commit.gaps) if commit else 0,
            problems=tuple(self._problems),
        )
