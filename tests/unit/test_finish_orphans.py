"""Takes that nobody works on: who may take them up, when, and what is done about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from contracts.errors import StorageUnavailable
from contracts.take import TakeKey
from storage.documents import to_bytes
from storage.meta import TakeMeta
from storage.names import DERIVED, META, STORY, deleted_name, entry_name, open_name, take_object
from storage.objects import Objects
from tests.over_takes import KEY, Memory, Watched, archive, everything, header
from workers.archive.finish import Finisher
from workers.archive.orphans import Action, Orphan, Orphans, decide
from workers.archive.verify import verify

NOW = 1_767_300_000.0
MINUTE = 60.0
LOST = {("64k", msn, part) for msn in range(15, 18) for part in range(5)}


def nobody(_: TakeKey) -> bool:
    return False


def orphans(
    objects: Objects, kept_here: Callable[[TakeKey], bool] = nobody, *, shared: bool = True
) -> Orphans:
    return Orphans(objects, Finisher(objects, None, clock=lambda: NOW), kept_here, shared=shared)


@pytest.fixture
def objects() -> Memory:
    memory = Memory()
    memory.now = NOW
    return memory


TOLD = Orphan(KEY, NOW, story=True, complete=True)
CUT_OFF = Orphan(KEY, NOW, story=True)
UNTOLD = Orphan(KEY, NOW)
COMMITTED = Orphan(KEY, NOW, committed=True)
DELETED = Orphan(KEY, NOW, deleted=True)


@pytest.mark.parametrize(
    ("take", "minutes", "action"),
    [
        (TOLD, 0.9, Action.LEAVE),
        (TOLD, 1, Action.FINISH),
        (CUT_OFF, 14.9, Action.LEAVE),
        (CUT_OFF, 15, Action.FINISH),
        (UNTOLD, 29.9, Action.LEAVE),
        (UNTOLD, 30, Action.FINISH_WITHOUT_STORY),
        (COMMITTED, 0.9, Action.LEAVE),
        (COMMITTED, 1, Action.DERIVE),
        (DELETED, 0, Action.CLEAR),
    ],
)
def test_in_a_shared_storage_what_is_new_is_let_alone(take: Orphan, minutes: float, action: Action) -> None:
    assert decide(take, NOW + minutes * MINUTE, steady_since=0, shared=True) is action


@pytest.mark.parametrize(
    ("take", "action"),
    [
        (TOLD, Action.FINISH),
        (CUT_OFF, Action.FINISH),
        (UNTOLD, Action.FINISH_WITHOUT_STORY),
        (COMMITTED, Action.DERIVE),
        (DELETED, Action.CLEAR),
    ],
)
def test_on_a_disk_of_ones_own_nobody_else_is_at_work(take: Orphan, action: Action) -> None:
    assert decide(take, NOW, steady_since=NOW, shared=False) is action


def test_who_was_cut_off_from_a_storage_has_time_from_its_return_on() -> None:
    back = NOW + 60 * MINUTE
    for take, minutes in ((CUT_OFF, 15), (UNTOLD, 30)):
        assert decide(take, back + (minutes - 1) * MINUTE, back, shared=True) is Action.LEAVE
        assert decide(take, back + minutes * MINUTE, back, shared=True) is not Action.LEAVE


def test_a_take_that_is_told_and_whole_is_finished(objects: Memory) -> None:
    archive(objects, header("64k", "32k"))
    swept = orphans(objects)
    assert swept.sweep(NOW) == {}
    assert swept.sweep(NOW + MINUTE) == {KEY: Action.FINISH}
    assert verify(objects, KEY).problems == ()
    assert swept.sweep(NOW + 2 * MINUTE) == {}


def test_what_is_missing_at_the_end_is_waited_for(objects: Memory) -> None:
    archive(objects, header(), lost=LOST)
    swept = orphans(objects)
    assert swept.sweep(NOW) == {}
    assert swept.sweep(NOW + 14 * MINUTE) == {}
    assert swept.sweep(NOW + 15 * MINUTE) == {KEY: Action.FINISH}


def test_a_fragment_that_comes_begins_the_time_anew(objects: Memory) -> None:
    archive(objects, header(), lost=LOST)
    swept = orphans(objects)
    swept.sweep(NOW)
    objects.now = NOW + 10 * MINUTE
    objects.put_new(take_object(KEY, "64k/30.mp4"), b"later")
    assert swept.sweep(NOW + 20 * MINUTE) == {}


def test_a_take_without_a_story_is_finished_without_one(objects: Memory) -> None:
    archive(objects, header(), told=False)
    assert orphans(objects, shared=False).sweep(NOW) == {KEY: Action.FINISH_WITHOUT_STORY}
    assert verify(objects, KEY).problems == ()


def test_what_is_kept_here_is_let_alone(objects: Memory) -> None:
    archive(objects, header())
    assert orphans(objects, lambda key: key == KEY, shared=False).sweep(NOW) == {}
    assert objects.head(open_name(KEY)) is not None


def test_a_take_with_its_commit_mark_and_no_entry_gets_one(objects: Memory) -> None:
    archive(objects, header())
    mark = objects.read(open_name(KEY)).data
    Finisher(objects, None, clock=lambda: NOW).finish(KEY)
    whole = everything(objects)
    objects.delete([entry_name(KEY), take_object(KEY, DERIVED)])
    objects.put_new(open_name(KEY), mark)
    assert orphans(objects, shared=False).sweep(NOW) == {KEY: Action.DERIVE}
    assert everything(objects) == whole


def test_what_stragglers_write_of_a_deleted_take_is_removed_for_an_hour(objects: Memory) -> None:
    archive(objects, header())
    finisher = Finisher(objects, None, clock=lambda: NOW)
    finisher.finish(KEY)
    finisher.delete(KEY)
    swept = orphans(objects)
    assert swept.sweep(NOW) == {}
    objects.put_new(take_object(KEY, "64k/30.mp4"), b"late")
    assert swept.sweep(NOW + 59 * MINUTE) == {KEY: Action.CLEAR}
    assert [*everything(objects)] == [deleted_name(KEY), take_object(KEY, META)]
    swept.sweep(NOW + 60 * MINUTE)
    assert [*everything(objects)] == [take_object(KEY, META)]


def test_a_mark_that_comes_late_brings_nothing_back(objects: Memory) -> None:
    objects.put_new(take_object(KEY, META), to_bytes(TakeMeta(deleted_at="2026-01-01T00:00:00Z").to_json()))
    archive(objects, header())
    assert orphans(objects).sweep(NOW) == {KEY: Action.CLEAR}
    assert [*everything(objects)] == [take_object(KEY, META)]


def test_a_take_that_cannot_be_finished_is_said_once_and_others_are_finished(
    objects: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(objects, header())
    broken = TakeKey("a-room", KEY.take)
    objects.put_new(open_name(broken), to_bytes(header().to_json()))
    objects.put_new(take_object(broken, STORY), b"?")
    swept = orphans(objects, shared=False)
    assert swept.sweep(NOW) == {KEY: Action.FINISH}
    assert "cannot be finished" in capsys.readouterr().out
    swept.sweep(NOW)
    assert "cannot be finished" not in capsys.readouterr().out
    objects.now += 1
    objects.write(take_object(broken, STORY), [b"??"])
    swept.sweep(NOW)
    assert "cannot be finished" in capsys.readouterr().out


def test_an_error_of_ours_over_one_take_does_not_end_the_sweep(
    objects: Memory, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(objects, header())

    def fail(what: str, _name: str) -> None:
        if what == "write":
            raise IndexError("a mistake")

    watched = Watched(objects, fail)
    swept = orphans(watched, shared=False)
    assert swept.sweep(NOW) == {}
    assert "IndexError" in capsys.readouterr().out
    watched.hook = lambda _what, _name: None
    objects.now += 1
    objects.put_new(take_object(KEY, "64k/30.mp4"), b"anything")
    assert swept.sweep(NOW) == {KEY: Action.DERIVE}


def test_names_that_are_no_takes_are_passed_over(objects: Memory) -> None:
    objects.put_new("open/README", b"")
    objects.put_new("open/a b/c", b"")
    assert orphans(objects, shared=False).sweep(NOW) == {}


def test_a_storage_that_gives_no_answer_ends_the_sweep_and_its_return_begins_the_time_anew(
    objects: Memory,
) -> None:
    archive(objects, header(), lost=LOST)
    gone = False

    def fail(_what: str, _name: str) -> None:
        if gone:
            raise StorageUnavailable("no answer")

    swept = orphans(Watched(objects, fail))
    assert swept.sweep(NOW) == {}
    gone = True
    assert swept.sweep(NOW + 10 * MINUTE) == {}
    gone = False
    assert swept.sweep(NOW + 20 * MINUTE) == {}
    assert swept.sweep(NOW + 34 * MINUTE) == {}
    assert swept.sweep(NOW + 35 * MINUTE) == {KEY: Action.FINISH}


def test_what_a_thread_here_works_on_is_let_alone(objects: Memory) -> None:
    archive(objects, header())
    inner: list[dict[TakeKey, Action]] = []

    def meanwhile(what: str, _name: str) -> None:
        if what == "write" and not inner:
            inner.append({})
            inner[0] = swept.sweep(NOW)

    watched = Watched(objects, meanwhile)
    finisher = Finisher(watched, None, clock=lambda: NOW)
    swept = Orphans(watched, finisher, nobody, shared=False)
    finisher.finish(KEY)
    assert inner == [{}]


def test_a_deleted_take_is_only_cleared_and_a_committed_one_only_derived() -> None:
    both = replace(TOLD, committed=True, deleted=True)
    assert decide(both, NOW, 0, shared=True) is Action.CLEAR
    assert decide(replace(both, deleted=False), NOW, 0, shared=False) is Action.DERIVE
