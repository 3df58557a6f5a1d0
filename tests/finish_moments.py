"""Work on takes that is stopped, or crossed by other work, at any moment."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from contracts.errors import LongwaveError, NotFound, StillLive
from storage.entry import ReplayEntry
from storage.names import (
    META,
    deleted_name,
    entry_name,
    take_object,
)
from storage.objects import Objects
from tests.over_takes import KEY, Memory, Watched, archive, everything, header
from workers.archive.finish import Finisher
from workers.archive.orphans import Orphans

NOW = 1_767_300_000.0
TITLE = "An edited title, as long!"
"""As long as the one that it takes the place of: a file made with it is of the same size."""
SAMPLES = 2 * 96_000
"""Short: nothing here depends on the length."""

Work = Callable[[Finisher], None]


class Killed(BaseException):
    """The process is gone: nothing that it would have done is done."""


def finisher(objects: Objects) -> Finisher:
    return Finisher(objects, None, clock=lambda: NOW)


def finish(work: Finisher) -> None:
    work.finish(KEY)


def delete(work: Finisher) -> None:
    work.delete(KEY)


def retitle(work: Finisher) -> None:
    work.edit(KEY, lambda meta: replace(meta, title=TITLE))


def unpublish(work: Finisher) -> None:
    work.edit(KEY, lambda meta: replace(meta, published=False))


class Ground:
    """Copies of one take: over, or finished."""

    def __init__(self) -> None:
        over = Memory()
        over.now = NOW
        archive(over, header(), SAMPLES)
        finished = over.copy()
        finish(finisher(finished))
        self._states = {"over": over, "finished": finished}

    def copy(self, state: str) -> Memory:
        return self._states[state].copy()

    def moments(self, state: str, work: Work) -> Iterator[tuple[Memory, int]]:
        """A fresh copy for every moment at which `work` can be stopped or crossed."""
        count = Moment(0, lambda: None)
        work(finisher(count.watch(self.copy(state))))
        assert count.passed > 5
        for n in range(1, count.passed + 1):
            yield self.copy(state), n


class Moment:
    """Calls `then` at the n-th moment."""

    def __init__(self, n: int, then: Callable[[], None]) -> None:
        self._n = n
        self._then = then
        self.passed = 0

    def watch(self, objects: Objects) -> Watched:
        return Watched(objects, self.step, self.step)

    def step(self, what: str, _name: str) -> None:
        if what == "written":
            return
        self.passed += 1
        if self.passed == self._n:
            self._then()


def die() -> None:
    raise Killed


def run(work: Work, objects: Objects, n: int, then: Callable[[], None]) -> None:
    """Do `work`, and `then` at its n-th moment; what was to be deleted or edited may be gone by then."""
    with contextlib.suppress(Killed, NotFound, StillLive):
        work(finisher(Moment(n, then).watch(objects)))


def sweep(objects: Objects, at: float = NOW + 10) -> None:
    Orphans(objects, finisher(objects), lambda _: False, shared=False).sweep(at)


def title(objects: Objects) -> str:
    return ReplayEntry.from_json(json.loads(objects.read(entry_name(KEY)).data)).title


def assert_deleted(objects: Objects) -> None:
    assert [*everything(objects)] == [deleted_name(KEY), take_object(KEY, META)]


class Straggler:
    """Works up to the n-th moment, when the take is deleted, changes one thing more, and dies."""

    def __init__(self, objects: Objects, n: int) -> None:
        self._objects = objects
        self._n = n
        self._passed = 0

    def run(self, work: Work) -> None:
        with contextlib.suppress(Killed, LongwaveError):
            work(finisher(Watched(self._objects, self._before, self._after)))

    def _before(self, _what: str, _name: str) -> None:
        self._passed += 1
        if self._passed == self._n:
            delete(finisher(self._objects))

    def _after(self, _what: str, _name: str) -> None:
        if self._passed >= self._n:
            raise Killed
        self._passed += 1
        if self._passed == self._n:
            delete(finisher(self._objects))


class Crossed:
    """Crossed by `other` at the n-th moment, and killed as soon as `when` says so after that."""

    def __init__(
        self, objects: Objects, n: int, other: Callable[[], None], when: Callable[[str, str, str], bool]
    ) -> None:
        self._objects = objects
        self._n = n
        self._other = other
        self._when = when
        self._passed = 0

    def run(self, work: Work) -> None:
        before = partial(self._pass, "before")
        after = partial(self._pass, "after")
        with contextlib.suppress(Killed, StillLive):
            work(finisher(Watched(self._objects, before, after)))

    def _pass(self, side: str, what: str, name: str) -> None:
        if self._passed >= self._n and self._when(side, what, name):
            raise Killed
        if what == "written":
            return  # who dies between here and the next moment leaves what only a digest tells
        self._passed += 1
        if self._passed == self._n:
            with contextlib.suppress(StillLive):
                self._other()
