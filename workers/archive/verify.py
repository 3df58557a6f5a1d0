"""Reads everything of a finished take again and compares it with what its documents say.

The documents are checked against each other as well: what is in no fragment is in a gap and nothing else is,
and each file that was derived holds what the fragments hold.
"""

from __future__ import annotations

from itertools import pairwise

from contracts.errors import MalformedMedia, NotFound, ObjectDamaged
from contracts.take import Rendition, TakeKey
from pipeline.boxes import init_segment
from pipeline.grid import Grid
from pipeline.replay.coverage import missing
from pipeline.replay.fragment_index import FragmentIndex, index_fragment
from storage.commit import FragmentRecord, TakeCommit
from storage.documents import to_bytes
from storage.names import INIT, RECORD, STORY, entry_name, take_object
from storage.objects import Objects
from storage.reading import content
from workers.archive.commit import union
from workers.archive.joining import reason_of, unlisted
from workers.archive.reading import read_commit, read_fragment, read_story
from workers.archive.steps import Progress, Steps
from workers.archive.verify_derived import DerivedObjects
from workers.archive.verify_findings import Findings, Report


def verify(objects: Objects, key: TakeKey, progress: Progress | None = None) -> Report:
    """Check a finished take, byte for byte; nothing is changed.

    Raises NotFound where there is no such take, or it is not finished, and StorageUnavailable.
    """
    name = take_object(key, RECORD)
    if objects.head(name) is None and objects.head(entry_name(key)) is None:
        raise NotFound(f"{key.room}/{key.take}: no such replay, or not finished yet")
    return _Verification(objects, key, Steps(progress)).run()


class _Verification:
    """One take's."""

    def __init__(self, objects: Objects, key: TakeKey, steps: Steps) -> None:
        self._objects = objects
        self._key = key
        self._steps = steps
        self._findings = Findings(objects, key)
        self._indexes: dict[str, list[FragmentIndex]] = {}

    def run(self) -> Report:
        """Everything, in the order in which it was made."""
        commit = self._findings.document(RECORD, read_commit)
        if commit is None:
            return self._findings.report(None)
        self._check_form(RECORD, commit.to_json())
        self._check_story(commit)
        for rendition in commit.story.header.settings.renditions:
            self._check_rendition(commit, rendition)
        self._check_gaps(commit)
        self._check_unlisted(commit)
        if commit.story.samples:
            DerivedObjects(self._objects, self._key, self._steps, self._findings).check(commit, self._indexes)
        return self._findings.report(commit)

    def _check_story(self, commit: TakeCommit) -> None:
        story = self._findings.document(STORY, read_story)
        # None: it was finished without one.
        if story is not None:
            self._check_form(STORY, story.to_json())
            if story != commit.story:
                self._findings.problem(take_object(self._key, RECORD), f"tells another story than {STORY}")
        spans = [gap.span for gap in commit.gaps]
        edges = [0, *(edge for span in spans for edge in span), commit.story.samples]
        if any(after < before for before, after in pairwise(edges)) or any(a == b for a, b in spans):
            self._findings.problem(
                take_object(self._key, RECORD), "gaps: not in order, or not within the take"
            )

    def _check_form(self, name: str, told: dict[str, object]) -> None:
        """Whether a document says just what was read of it: some of it is said for people alone."""
        full = take_object(self._key, name)
        found = content(self._objects, full)
        if found is None or found.data != to_bytes(told):
            self._findings.problem(full, "some of it is not what was stored")

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
            self._findings.problem(name, "it is not there")
            return
        self._findings.read(len(found.data))
        if found.data != right:
            self._findings.problem(name, "not the header that follows from the take's settings")

    def _index(self, rendition: Rendition, record: FragmentRecord, grid: Grid) -> FragmentIndex | None:
        """A fragment's index; None, and a problem, where it is not what was stored."""
        name = record.name(self._key, rendition.name)
        self._findings.fragment()
        try:
            data = read_fragment(self._objects, self._key, rendition.name, record)
            self._findings.read(len(data))
            return index_fragment(data, grid, record.msn)
        except ObjectDamaged as error:
            self._findings.damaged(name, error)
        except MalformedMedia as error:
            self._findings.problem(name, error.message)
        finally:
            self._steps.done()
        return None

    def _check_gaps(self, commit: TakeCommit) -> None:
        """Whether exactly that is said to be lost which is in no fragment."""
        if self._findings.problems:
            return  # of what cannot be read it is not known what it holds
        lost = union(
            span for indexes in self._indexes.values() for span in missing(indexes, commit.story.samples)
        )
        told = union(gap.span for gap in commit.gaps)
        name = take_object(self._key, RECORD)
        for start, stop in sorted({*lost} ^ {*told}):
            if (start, stop) in told:
                self._findings.problem(name, f"a gap from {start} to {stop}, but not all of it is lost")
            else:
                self._findings.problem(name, f"samples {start} to {stop} are lost, and it is not said")

    def _check_unlisted(self, commit: TakeCommit) -> None:
        """Whether there are fragments of which no document speaks: they came when the take was finished."""
        told = {gap.why for gap in commit.gaps}
        for name, _ in unlisted(self._objects, commit):
            if reason_of(self._key, name) not in told:
                self._findings.problem(name, f"not in {RECORD}: it came too late")
