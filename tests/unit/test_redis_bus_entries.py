"""Entries of a take's stream, as fields and back."""

import pytest

from contracts.take import TakeEvent
from workers.redis_bus.entries import Ended, Gap, Happened, Silence, Sound, decode, item
from workers.runs import Run, joined

_EVENT = TakeEvent(4800, 1, "join", speakers=("Zoë",))


def test_entries_are_told_by_their_kind() -> None:
    assert decode(b"960-0", {b"kind": b"pcm", b"start": b"480", b"pcm": b"ab"}) == Sound(480, 960, b"ab")
    assert decode(b"960-0", {b"kind": b"silence", b"start": b"0"}) == Silence(0, 960)
    assert decode(b"960-0", {b"kind": b"gap", b"start": b"240"}) == Gap(240, 960)
    assert decode(b"960-2", {b"kind": b"end", b"start": b"960"}) == Ended(960)


def test_an_event_comes_back_as_it_was() -> None:
    kind, _, payload = item(Happened(_EVENT))
    assert kind == b"event"
    assert decode(b"4800-1", {b"kind": b"event", b"event": payload}) == Happened(_EVENT)


def test_items_say_where_they_stop() -> None:
    assert item(Sound(0, 240, b"ab")) == (b"pcm", 240, b"ab")
    assert item(Silence(0, 240)) == (b"silence", 240, b"")
    assert item(Gap(0, 240)) == (b"gap", 240, b"")
    assert item(Ended(240)) == (b"end", 240, b"")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"kind": b"video", b"start": b"0"},
        {b"kind": b"pcm", b"start": b"0"},
        {b"kind": b"silence", b"start": b"960"},
        {b"kind": b"silence", b"start": b"-1"},
        {b"kind": b"event", b"event": b"{}"},
    ],
)
def test_what_is_no_entry_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        decode(b"960-0", fields)


def test_neighbours_of_sound_become_one_run() -> None:
    runs = [Run(0, 2, b"aabb"), Run(2, 4, b"ccdd"), Run(4, 9, None), Run(9, 10, b"ee")]
    assert joined(runs, 0, 100, 2) == [Run(0, 4, b"aabbccdd"), Run(4, 9, None), Run(9, 10, b"ee")]


def test_runs_begin_at_a_sample_in_their_middle() -> None:
    assert joined([Run(0, 2, b"aabb"), Run(2, 4, b"ccdd")], 1, 100, 2) == [Run(1, 4, b"bbccdd")]
    assert joined([Run(0, 9, None)], 4, 100, 2) == [Run(4, 9, None)]


def test_runs_end_where_there_is_enough_sound_and_silence_counts_nothing() -> None:
    runs = [Run(0, 2, b"aabb"), Run(2, 900, None), Run(900, 902, b"ccdd")]
    assert joined(runs, 0, 3, 2) == [Run(0, 2, b"aabb"), Run(2, 900, None), Run(900, 901, b"cc")]
    assert joined(runs, 0, 2, 2) == [Run(0, 2, b"aabb"), Run(2, 900, None)]
