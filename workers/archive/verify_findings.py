"""What is found while a finished take is checked: how much was read, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from contracts.errors import ObjectDamaged
from contracts.take import TakeKey
from storage.commit import TakeCommit
from storage.names import STORY, take_object
from storage.objects import Objects

T = TypeVar("T")


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


class Findings:
    """Of the take `key`; `problems` is what was found so far."""

    def __init__(self, objects: Objects, key: TakeKey) -> None:
        self.problems: list[Problem] = []
        self._objects = objects
        self._key = key
        self._checked = 0
        self._fragments = 0
        self._size = 0

    def problem(self, name: str, what: str) -> None:
        """`name` is wrong, and how: the whole name of an object."""
        self.problems.append(Problem(name, what))

    def damaged(self, name: str, error: ObjectDamaged) -> None:
        """`name` is not what was stored."""
        self.problem(name, error.message.removeprefix(f"{name}: "))

    def read(self, size: int) -> None:
        """One more object was read, of `size` bytes, or of none where these are not of interest."""
        self._checked += 1
        self._size += size

    def fragment(self) -> None:
        """One more fragment should be there."""
        self._fragments += 1

    def document(self, name: str, read: Callable[[Objects, TakeKey], T | None]) -> T | None:
        """A document; None, and a problem, where it is damaged, or missing although it has to be there."""
        full = take_object(self._key, name)
        try:
            found = read(self._objects, self._key)
        except ObjectDamaged as error:
            self.damaged(full, error)
            return None
        if found is not None:
            self.read(0)
        elif name != STORY:
            self.problem(full, "it is not there")
        return found

    def report(self, commit: TakeCommit | None) -> Report:
        """All of it, of a take of which `commit` tells."""
        return Report(
            key=self._key,
            objects=self._checked,
            fragments=self._fragments,
            size=self._size,
            samples=commit.story.samples if commit else 0,
            lost=sum(gap.span[1] - gap.span[0] for gap in commit.gaps) if commit else 0,
            problems=tuple(self.problems),
        )
