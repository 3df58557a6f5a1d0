"""A finish or an edit that others cross and that dies then: what it leaves is whole, or is found."""

from __future__ import annotations

import json
from functools import partial

import pytest

from storage.names import (
    META,
    RECORD,
    entry_name,
    fragment_name,
    open_name,
    take_object,
)
from storage.objects import Objects
from tests.finish_moments import (
    TITLE,
    Crossed,
    Ground,
    Moment,
    assert_deleted,
    delete,
    die,
    finish,
    finisher,
    retitle,
    sweep,
    title,
    unpublish,
)
from tests.over_takes import KEY, Memory, Watched, archive, fragments, header
from workers.archive.verify import verify

pytestmark = pytest.mark.usefixtures("no_pauses")


def test_a_finish_that_an_edit_has_overtaken_lays_nothing_over_it_and_dies(finish_ground: Ground) -> None:
    for objects, n in finish_ground.moments("over", finish):
        edit = partial(retitle, finisher(objects))
        Crossed(objects, n, edit, lambda side, *_: side == "after").run(finish)
        sweep(objects)
        assert verify(objects, KEY).problems == (), n


def begun(objects: Objects) -> None:
    """An edit that is killed as soon as it has changed `meta.json`."""
    changed = "after", "replace", take_object(KEY, META)
    Crossed(objects, 0, die, lambda side, what, name: (side, what, name) == changed).run(retitle)


def test_a_finish_of_which_an_edit_dies_finds_what_the_edit_has_changed(finish_ground: Ground) -> None:
    for objects, n in finish_ground.moments("over", finish):
        known = Moment(n, partial(begun, objects))
        finish(finisher(known.watch(objects)))
        sweep(objects)
        assert verify(objects, KEY).problems == (), n


def test_a_finish_that_has_removed_the_mark_of_an_edit_puts_it_back_and_dies(finish_ground: Ground) -> None:
    unmarked: list[bool] = []

    def when(_side: str, what: str, name: str) -> bool:
        if (what, name) == ("delete", open_name(KEY)):
            unmarked.append(True)
        return bool(unmarked) and what == "write"

    for objects, n in finish_ground.moments("over", finish):
        unmarked.clear()
        Crossed(objects, n, partial(begun, objects), when).run(finish)
        sweep(objects)
        assert verify(objects, KEY).problems == (), n


def test_an_edit_whose_mark_somebody_has_removed_marks_again_and_dies(finish_ground: Ground) -> None:
    changed: list[bool] = []

    def when(side: str, what: str, name: str) -> bool:
        if (side, what, name) == ("after", "replace", take_object(KEY, META)):
            changed.append(True)
        return bool(changed) and what == "read"

    for objects, n in finish_ground.moments("finished", retitle):
        changed.clear()
        Crossed(objects, n, partial(finish, finisher(objects)), when).run(retitle)
        sweep(objects)
        assert verify(objects, KEY).problems == (), n
        assert objects.head(open_name(KEY)) is None


def test_who_wrote_over_what_an_edit_has_made_makes_it_again(finish_ground: Ground) -> None:
    def cross(objects: Objects, what: str, name: str) -> None:
        if what == "written" and name not in crossed:
            crossed.add(name)
            retitle(finisher(objects))

    for _ in range(2):
        crossed: set[str] = set()
        objects = finish_ground.copy("over")
        finish(finisher(Watched(objects, partial(cross, objects))))
        assert len(crossed) > 1
        assert verify(objects, KEY).problems == ()
        assert title(objects) == TITLE


def test_what_was_unpublished_meanwhile_is_never_listed_as_published_again(finish_ground: Ground) -> None:
    for objects, n in finish_ground.moments("finished", retitle):
        listed: list[bool] = []

        def see(_what: str, name: str, objects: Objects = objects, listed: list[bool] = listed) -> None:
            if name == entry_name(KEY):
                listed.append(json.loads(objects.read(name).data)["published"])

        def cross(objects: Objects = objects, listed: list[bool] = listed) -> None:
            unpublish(finisher(objects))
            listed.clear()

        moment = Moment(n, cross)
        seen = Watched(objects, after=see)
        retitle(finisher(moment.watch(seen)))
        assert True not in listed, n


def test_nothing_is_committed_of_a_take_that_was_deleted_while_it_was_read(finish_ground: Ground) -> None:
    objects = finish_ground.copy("over")
    tried: list[str] = []

    def hook(what: str, name: str) -> None:
        if what == "put_new":
            tried.append(name)
        if what == "read" and name == fragment_name(KEY, "64k", 0):
            delete(finisher(objects))

    finish(finisher(Watched(objects, hook)))
    assert take_object(KEY, RECORD) not in tried
    assert_deleted(objects)


def test_who_found_less_than_somebody_else_has_committed_takes_what_the_other_found() -> None:
    objects = Memory()
    made = [*fragments(header(), 20 * 96_000)]
    archive(objects, header(), 20 * 96_000, made=made[:1])

    def hook(what: str, name: str) -> None:
        if (what, name) == ("put_new", take_object(KEY, RECORD)):
            objects.put_new(fragment_name(KEY, "64k", 15), made[1][2])
            committed = "after", "put_new", take_object(KEY, RECORD)
            Crossed(objects, 0, die, lambda *step: step == committed).run(finish)

    finish(finisher(Watched(objects, hook)))
    report = verify(objects, KEY)
    assert report.problems == ()
    assert (report.fragments, report.lost) == (2, 0)
