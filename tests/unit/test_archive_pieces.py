"""Fragments of which two workers had different parts: nothing of either is lost, and nothing is replaced."""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import sha256

import pytest

from contracts.position import Position
from origin.replay import load_replay
from pipeline.grid import Grid
from storage.commit import TakeCommit
from storage.names import RECORD, entry_name, fragment_name, piece_name, take_object
from tests.over_takes import KEY, SAMPLES, Memory, archive, fragments, header, part
from tests.takes import positions
from workers.archive.deposit import Deposit, Finished, put_fragment
from workers.archive.finish import Finisher
from workers.archive.joining import Fragment
from workers.archive.verify import verify

HEADER = header("64k", "32k")
GRID = Grid(5)
FIRST = Fragment(KEY, "64k", 0, GRID)
WHOLE = {(name, first): data for name, first, data in fragments(HEADER, SAMPLES)}
ALL = frozenset(positions(GRID, Position(0, 0), Position(15, 0)))
EARLY = frozenset(positions(GRID, Position(0, 0), Position(9, 3)))
LATE = frozenset(positions(GRID, Position(6, 0), Position(15, 0)))


def put(objects: Memory, there: Collection[Position]) -> Deposit:
    return put_fragment(objects, FIRST, {position: part("64k", GRID, position) for position in there})


def finish(objects: Memory) -> TakeCommit:
    Finisher(objects, None, clock=lambda: 0.0).finish(KEY)
    return TakeCommit.from_json(json.loads(objects.read(take_object(KEY, RECORD)).data))


def names(objects: Memory) -> list[str]:
    """The objects of the fragment."""
    return [info.name for info in objects.list(take_object(KEY, "64k/0"))]


@pytest.fixture
def objects() -> Memory:
    """A take whose first fragment in one rendition nobody has put yet."""
    memory = Memory()
    rest = [(name, first, data) for (name, first), data in WHOLE.items() if (name, first) != ("64k", 0)]
    archive(memory, HEADER, made=rest)
    return memory


@pytest.mark.parametrize("order", [(EARLY, LATE), (LATE, EARLY)])
def test_a_take_is_whole_when_two_workers_had_different_parts_of_a_fragment(
    objects: Memory, order: tuple[frozenset[Position], frozenset[Position]]
) -> None:
    first, second = order
    assert put(objects, first) == ("stored", first)
    assert put(objects, second) == ("beside", ALL)
    assert put(objects, second) == ("beside", ALL)  # a try whose answer was lost
    commit = finish(objects)
    assert commit.gaps == ()
    record = commit.fragments["64k"][0]
    assert record.name(KEY, "64k") == piece_name(KEY, "64k", 0, sha256(WHOLE["64k", 0]).hexdigest())
    assert objects.read(record.name(KEY, "64k")).data == WHOLE["64k", 0]
    assert names(objects) == [record.name(KEY, "64k")]
    assert verify(objects, KEY).problems == ()
    replay, _ = load_replay(objects, KEY, objects.read(entry_name(KEY)).data)
    assert replay.fragment("64k", 0).name == record.name(KEY, "64k")
    assert replay.fragment("64k", 15).name == fragment_name(KEY, "64k", 15)


def test_a_fragment_is_as_it_would_have_been_of_one_worker(objects: Memory) -> None:
    alone = objects.copy()
    put(alone, ALL)
    put(objects, LATE)
    put(objects, EARLY)
    one, two = finish(alone), finish(objects)
    assert one.fragments["64k"][0].to_json().keys() == {"msn", "bytes", "sha256"}
    assert one.fragments["64k"][0].sha256 == two.fragments["64k"][0].sha256
    m4a = take_object(KEY, "replay.m4a")
    assert alone.read(m4a).data == objects.read(m4a).data


def test_who_has_less_than_is_stored_puts_nothing(objects: Memory) -> None:
    put(objects, ALL)
    assert put(objects, LATE) == ("same", ALL)
    assert names(objects) == [FIRST.name]


def test_a_piece_stands_for_a_fragment_that_was_damaged(objects: Memory) -> None:
    put(objects, ALL)
    data = bytearray(objects.read(FIRST.name).data)
    data[50] ^= 1
    objects.write(FIRST.name, [bytes(data)])
    assert put(objects, ALL) == ("beside", ALL)
    commit = finish(objects)
    assert commit.gaps == ()
    assert verify(objects, KEY).problems == ()


def test_what_is_put_after_the_commit_is_taken_back(objects: Memory) -> None:
    put(objects, EARLY)
    before = objects.copy()
    commit = finish(objects)
    record = objects.read(take_object(KEY, RECORD)).data

    class Crossing(Memory):
        """The take is finished when somebody else has looked whether it is."""

        def put_new(self, name: str, data: bytes) -> bool:
            self.write(take_object(KEY, RECORD), [record])
            return super().put_new(name, data)

    crossing = Crossing(dict(before._there))
    with pytest.raises(Finished):
        put(crossing, LATE)
    assert names(crossing) == [FIRST.name]
    assert commit.fragments["64k"][0].name(KEY, "64k") == FIRST.name


def test_what_was_in_time_stays_also_if_the_take_is_finished_before_that_is_said(objects: Memory) -> None:
    class Crossing(Memory):
        """The take is finished as soon as its last fragment is there."""

        def put_new(self, name: str, data: bytes) -> bool:
            new = super().put_new(name, data)
            if name == FIRST.name:
                Finisher(self, None, clock=lambda: 0.0).finish(KEY)
            return new

    crossing = Crossing(dict(objects._there))
    assert put(crossing, ALL).outcome == "stored"
    assert verify(crossing, KEY).problems == ()


def test_a_fragment_that_no_document_names_is_named_by_verification(objects: Memory) -> None:
    finish(objects)
    objects.write(FIRST.name, [WHOLE["64k", 0]])
    late = piece_name(KEY, "32k", 0, "0" * 64)
    objects.write(late, [WHOLE["32k", 0]])
    assert {problem.name for problem in verify(objects, KEY).problems} == {FIRST.name, late}


def test_a_damaged_fragment_that_is_told_of_is_no_problem(objects: Memory) -> None:
    objects.write(FIRST.name, [b"damaged"])
    commit = finish(objects)
    assert [gap.why for gap in commit.gaps] == ["the archived fragment 64k/0.mp4 is damaged"]
    assert names(objects) == [FIRST.name]
    assert verify(objects, KEY).problems == ()


def test_pieces_that_a_dead_finisher_left_are_removed_by_the_next(objects: Memory) -> None:
    put(objects, EARLY)
    put(objects, LATE)
    pieces = {name: objects.read(name).data for name in names(objects)}
    finish(objects)
    left = names(objects)
    for name, data in pieces.items():
        objects.write(name, [data])
    Finisher(objects, None, clock=lambda: 0.0).derive(KEY)
    assert names(objects) == left
