"""Whether what listeners get of a finished take is what was derived from its documents and fragments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final

from contracts.take import TakeKey
from pipeline.replay.fragment_index import FragmentIndex
from storage.commit import TakeCommit
from storage.derived import BLOCK, Derived, DerivedObject, Digester
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import DERIVED, META, RECORD, REPLAY_M4A, entry_name, take_object
from storage.objects import ObjectMissing, Objects
from workers.archive.derive import entry_of
from workers.archive.make import derived_names
from workers.archive.reading import Stored, read_derived, read_entry, read_meta
from workers.archive.steps import Steps
from workers.archive.verify_contents import Contents
from workers.archive.verify_findings import Findings

_READ: Final = 16 * BLOCK
"""Bytes of a derived object that are read at once."""


class DerivedObjects:
    """The files of one finished take that were made from others; `findings` gets what is wrong with them."""

    def __init__(self, objects: Objects, key: TakeKey, steps: Steps, findings: Findings) -> None:
        self._objects = objects
        self._key = key
        self._steps = steps
        self._findings = findings

    def check(self, commit: TakeCommit, indexes: Mapping[str, Sequence[FragmentIndex]]) -> None:
        """Whether they are what was stored, follow from `commit`, and hold what the fragments hold."""
        meta = self._findings.document(META, read_meta)
        derived = self._findings.document(DERIVED, read_derived)
        if meta is None or derived is None:
            return
        if derived.value is None:
            self._findings.problem(take_object(self._key, DERIVED), "not what was stored")
            return
        if derived.value.record != sha256(to_bytes(commit.to_json())).hexdigest():
            self._findings.problem(
                take_object(self._key, RECORD), f"not the one that {DERIVED} was made from"
            )
        if derived.value.meta != meta.digest:
            self._findings.problem(take_object(self._key, DERIVED), f"of another {META} than there is")
        for name in derived_names(commit.story.header.settings) - derived.value.objects.keys():
            self._findings.problem(take_object(self._key, name), f"not in {DERIVED}")
        self._steps.expect(sum(max(1, -(-told.size // _READ)) for told in derived.value.objects.values()))
        good = {name for name, told in derived.value.objects.items() if self._check_object(name, told)}
        self._check_entry(commit, meta.value, derived)
        # What is damaged is named already.
        contents = Contents(self._objects, commit, meta.value, indexes, self._steps)
        for name in sorted(good):
            for what in contents.wrong(name, derived.value.objects[name].size):
                self._findings.problem(take_object(self._key, name), what)

    def _check_object(self, name: str, told: DerivedObject) -> bool:
        """Whether a derived object has the digests that it should have; a problem if not."""
        full = take_object(self._key, name)
        digester = Digester()
        try:
            for start in range(0, max(told.size, 1), _READ):
                digester.add(self._objects.read(full, start, start + _READ).data)
                self._steps.done()
        except ObjectMissing:
            self._findings.problem(full, "it is not there")
            return False
        except ValueError:
            self._findings.problem(full, f"shorter than the {told.size} bytes that {DERIVED} says")
            return False
        info = self._objects.head(full)
        if info is None or info.size != told.size:
            self._findings.problem(full, f"{info.size if info else 0} bytes, not {told.size}")
            return False
        self._findings.read(told.size)
        found = digester.done()
        if found == told:
            return True
        wrong = [n for n, pair in enumerate(zip(found.blocks, told.blocks, strict=False)) if len({*pair}) > 1]
        places = ", ".join(str(n * BLOCK) for n in wrong[:5])
        self._findings.problem(full, f"other bytes than were stored, in the blocks at {places or 'no place'}")
        return False

    def _check_entry(self, commit: TakeCommit, meta: TakeMeta, derived: Stored[Derived | None]) -> None:
        name = entry_name(self._key)
        entry = read_entry(self._objects, self._key)
        if entry is None:
            self._findings.problem(name, "it is not there")
        elif entry.value is None:
            self._findings.problem(name, "not what was stored")
        elif derived.value is not None and REPLAY_M4A in derived.value.objects:
            self._findings.read(0)
            if entry.value != entry_of(commit, meta, derived.value, derived.digest):
                self._findings.problem(name, "it does not say what the take's documents say")
