"""A finish that dies anywhere, or that others cross at any moment: in the end there is one outcome.

Everything here is stopped, or crossed, before every single operation on the storage, and after each that
changed something.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path

import pytest

from contracts.errors import StillLive
from storage.disk_objects import DiskObjects
from storage.entry import ReplayEntry
from storage.meta import TakeMeta
from storage.names import (
    META,
    entry_name,
    take_object,
)
from storage.objects import Objects
from tests.finish_moments import (
    SAMPLES,
    TITLE,
    Ground,
    Straggler,
    Work,
    assert_deleted,
    delete,
    die,
    finish,
    finisher,
    retitle,
    run,
    sweep,
    title,
    unpublish,
)
from tests.over_takes import KEY, archive, everything, header
from workers.archive.finish import StoryMissing
from workers.archive.verify import verify

pytestmark = pytest.mark.usefixtures("no_pauses")


def test_a_finish_killed_anywhere_is_done_by_the_next_one_byte_for_byte(finish_ground: Ground) -> None:
    whole = everything(finish_ground.copy("finished"))
    for objects, n in finish_ground.moments("over", finish):
        run(finish, objects, n, die)
        finish(finisher(objects))
        assert everything(objects) == whole, n


def test_a_finish_killed_anywhere_is_found_by_the_sweep(finish_ground: Ground) -> None:
    whole = everything(finish_ground.copy("finished"))
    for objects, n in finish_ground.moments("over", finish):
        run(finish, objects, n, die)
        sweep(objects)
        assert everything(objects) == whole, n


def test_two_finish_one_take(finish_ground: Ground) -> None:
    whole = everything(finish_ground.copy("finished"))
    for objects, n in finish_ground.moments("over", finish):
        run(finish, objects, n, lambda objects=objects: finish(finisher(objects)))  # type: ignore[misc]
        assert everything(objects) == whole, n


def test_many_finish_one_take_at_once(finish_ground: Ground, tmp_path: Path) -> None:
    objects = DiskObjects(tmp_path)
    archive(objects, header(), SAMPLES)
    one = finisher(objects)
    threads = [
        threading.Thread(target=finish, args=(each,)) for each in (one, one, *map(finisher, [objects] * 4))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert everything(objects) == everything(finish_ground.copy("finished"))


@pytest.mark.parametrize("work", [finish, retitle, unpublish])
def test_nothing_brings_back_what_was_deleted_meanwhile(finish_ground: Ground, work: Work) -> None:
    for objects, n in finish_ground.moments("over" if work is finish else "finished", work):
        run(work, objects, n, lambda objects=objects: delete(finisher(objects)))  # type: ignore[misc]
        assert_deleted(objects)


@pytest.mark.parametrize("work", [finish, retitle])
def test_what_a_straggler_wrote_after_the_delete_and_died_is_swept(finish_ground: Ground, work: Work) -> None:
    state = "over" if work is finish else "finished"
    for objects, n in finish_ground.moments(state, work):
        straggle = Straggler(objects, n)
        straggle.run(work)
        sweep(objects)
        assert_deleted(objects)
        sweep(objects, at=2e9)
        assert [*everything(objects)] == [take_object(KEY, META)]


@pytest.mark.parametrize("state", ["over", "finished"])
def test_a_delete_killed_anywhere_is_completed_by_the_sweep_or_never_was(
    finish_ground: Ground, state: str
) -> None:
    outcomes = set()
    for objects, n in finish_ground.moments(state, delete):
        run(delete, objects, n, die)
        sweep(objects)
        tombstone = TakeMeta.from_json(json.loads(objects.read(take_object(KEY, META)).data)).deleted_at
        outcomes.add(tombstone is not None)
        if tombstone is not None:
            assert_deleted(objects)
        else:
            assert verify(objects, KEY).problems == ()
    assert outcomes == {True, False}


@pytest.mark.parametrize("state", ["over", "finished"])
def test_a_finish_in_the_middle_of_a_delete_leaves_nothing(finish_ground: Ground, state: str) -> None:
    def finish_if_told(objects: Objects) -> None:
        # Its story may be removed already.
        with contextlib.suppress(StoryMissing):
            finish(finisher(objects))

    for objects, n in finish_ground.moments(state, delete):
        run(delete, objects, n, lambda objects=objects: finish_if_told(objects))  # type: ignore[misc]
        assert_deleted(objects)


def test_an_edit_in_the_middle_of_a_finish_holds_or_is_refused(finish_ground: Ground) -> None:
    outcomes = set()
    for objects, n in finish_ground.moments("over", finish):
        told: list[bool] = []

        def edit(objects: Objects = objects, told: list[bool] = told) -> None:
            try:
                retitle(finisher(objects))
                told.append(True)
            except StillLive:
                told.append(False)

        run(finish, objects, n, edit)
        outcomes.update(told)
        assert verify(objects, KEY).problems == (), n
        assert (title(objects) == TITLE) == told[0], n
    assert outcomes == {True, False}


def test_an_edit_killed_anywhere_is_derived_by_the_sweep_or_never_was(finish_ground: Ground) -> None:
    before = title(finish_ground.copy("finished"))
    found = set()
    for objects, n in finish_ground.moments("finished", retitle):
        run(retitle, objects, n, die)
        sweep(objects)
        assert verify(objects, KEY).problems == (), n
        found.add(title(objects))
    assert found == {before, TITLE}


def test_two_edits_of_different_things_both_hold(finish_ground: Ground) -> None:
    for first, second in ((retitle, unpublish), (unpublish, retitle)):
        for objects, n in finish_ground.moments("finished", first):
            run(first, objects, n, lambda objects=objects, second=second: second(finisher(objects)))  # type: ignore[misc]
            assert verify(objects, KEY).problems == (), n
            entry = ReplayEntry.from_json(json.loads(objects.read(entry_name(KEY)).data))
            assert (entry.title, entry.published) == (TITLE, False), n
