"""The commit mark: every archived fragment read once, digested and indexed, and `take.json` put.

What is in no fragment is a gap, and said to be one. Whoever comes second takes what the first one wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from contracts.errors import LongwaveError
from contracts.take import TakeHeader, TakeKey
from pipeline.grid import FRAME, Grid, first_sample
from pipeline.replay.coverage import missing
from pipeline.replay.fragment_index import FragmentIndex, index_fragment
from storage.commit import FragmentRecord, Gap, TakeCommit
from storage.documents import to_bytes
from storage.names import FRAGMENT_SEGMENTS, RECORD, take_object
from storage.objects import Objects
from storage.take_record import Span, TakeRecord, take_record
from workers.archive.joining import Fragment, read_joined
from workers.archive.notes import ArchiveNotes
from workers.archive.reading import (
    Deleted,
    fragment_objects,
    read_commit,
    read_fragment,
    read_header,
    read_story,
    refuse_deleted,
)
from workers.archive.steps import Steps

Indexes = Mapping[str, Sequence[FragmentIndex]]
"""By rendition, in the order of time."""
_UNKNOWN: Final = "not archived"


class StoryMissing(LongwaveError):
    """The take's owner has not told yet what happened in it. Handled inside: wait, and try again."""


@dataclass(frozen=True, slots=True)
class Committed:
    """A finished take, and the indexes of its fragments where they were read just now."""

    commit: TakeCommit
    indexes: Indexes | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of one rendition; `damaged` are spans of fragments that nobody can read."""

    records: tuple[FragmentRecord, ...]
    indexes: tuple[FragmentIndex, ...]
    damaged: tuple[tuple[Span, str], ...]


def commit_take(
    objects: Objects, key: TakeKey, notes: ArchiveNotes, steps: Steps, *, without_story: bool = False
) -> Committed | None:
    """See that the take has its commit mark; None for one of which there is nothing at all.

    Raises StoryMissing, Deleted, StorageUnavailable, and ObjectDamaged for a story that cannot be read.
    """
    refuse_deleted(objects, key)
    commit = read_commit(objects, key)
    if commit is not None:
        return Committed(commit)
    story = read_story(objects, key)
    header = story.header if story is not None else None
    if header is None and without_story:
        header = read_header(objects, key)
    if header is None:
        raise StoryMissing(f"{key.room}/{key.take}: nobody has told yet what happened in it")

    found = _read(objects, key, header, steps)
    if story is None:
        samples = max((_end(each.indexes) for each in found.values()), default=0)
        if not samples:
            return None
        story = take_record(key, header, samples, ())
    return _put(objects, story, found, notes)


def index_take(objects: Objects, commit: TakeCommit, rendition: str, steps: Steps) -> list[FragmentIndex]:
    """The indexes of a finished take's fragments. Raises ObjectDamaged, which names the fragment."""
    grid = Grid(commit.story.header.settings.parts)
    indexes = []
    for record in commit.fragments.get(rendition, ()):
        data = read_fragment(objects, commit.story.key, rendition, record)
        indexes.append(index_fragment(data, grid, record.msn))
        steps.done()
    return indexes


def label(gaps: Sequence[Span], reasons: Sequence[tuple[Span, str]]) -> tuple[Gap, ...]:
    """Gaps cut where the reason changes; of several reasons for a sample the first one holds."""
    labelled: list[Gap] = []
    for start, stop in gaps:
        edges = {edge for span, _ in reasons for edge in span if start < edge < stop}
        for begin, end in pairwise(sorted({start, stop} | edges)):
            why = next((why for span, why in reasons if span[0] <= begin < span[1]), _UNKNOWN)
            if labelled and labelled[-1].span[1] == begin and labelled[-1].why == why:
                begin = labelled.pop().span[0]  # noqa: PLW2901 - one gap, of one reason
            labelled.append(Gap((begin, end), why))
    return tuple(labelled)


def union(spans: Iterable[Span]) -> list[Span]:
    """Spans that may overlap, as spans that do not and do not touch, in order."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return joined


def _read(objects: Objects, key: TakeKey, header: TakeHeader, steps: Steps) -> dict[str, _Found]:
    there = {
        rendition.name: fragment_objects(objects, key, rendition.name)
        for rendition in header.settings.renditions
    }
    steps.expect(sum(map(len, there.values())))
    grid = Grid(header.settings.parts)
    found = {}
    for rendition, names in there.items():
        fragments = ((Fragment(key, rendition, msn, grid), each) for msn, each in names.items())
        found[rendition] = _read_rendition(objects, fragments, steps)
    return found


def _read_rendition(
    objects: Objects, fragments: Iterable[tuple[Fragment, Sequence[str]]], steps: Steps
) -> _Found:
    records, indexes, damaged = [], [], []
    for fragment, names in fragments:
        found = read_joined(objects, fragment, names)
        span = first_sample(fragment.first), first_sample(fragment.first + FRAGMENT_SEGMENTS)
        damaged += [(span, why) for why in found.damaged]
        if found.record is not None and found.index is not None:
            records.append(found.record)
            indexes.append(found.index)
        steps.done()
    return _Found(tuple(records), tuple(indexes), tuple(damaged))


def _put(objects: Objects, story: TakeRecord, found: Mapping[str, _Found], notes: ArchiveNotes) -> Committed:
    gaps = union(gap for each in found.values() for gap in missing(each.indexes, story.samples))
    damaged = tuple(reason for each in found.values() for reason in each.damaged)
    commit = TakeCommit(
        story,
        label(gaps, (*damaged, *notes.lost)),
        {rendition: each.records for rendition, each in found.items()},
    )
    key = story.key
    refuse_deleted(objects, key)
    objects.put_new(take_object(key, RECORD), to_bytes(commit.to_json()))
    # Whatever it answers: somebody else may have been first, and have found less or more.
    there = read_commit(objects, key)
    if there is None:
        raise Deleted(f"{key.room}/{key.take}: deleted")
    if there.fragments != commit.fragments:
        return Committed(there)
    return Committed(there, {rendition: each.indexes for rendition, each in found.items()})


def _end(indexes: Sequence[FragmentIndex]) -> int:
    """The sample after the last part there is."""
    return max(
        ((part.first_frame + part.frames) * FRAME for index in indexes for part in index.parts), default=0
    )
