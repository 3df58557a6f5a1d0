"""How far one Redis has got with a take, and what it gets next."""

import pytest

from contracts.take import TakeEvent
from pipeline.grid import FRAME, LOOKAHEAD_FRAMES, Grid
from storage.event_log import event_json
from tests.bus_writing import blocks, new_key, pcm
from tests.takes import header
from workers.memory_bus import EVENTS_HELD, MemoryTakeBus
from workers.redis_bus.entries import Ended, Gap, Happened, Silence, Sound
from workers.redis_bus.take_cursor import HELD, Answer, Batch, TakeCursor


def _bus(stop: int = 0, *, first: int = 0, held: int = HELD) -> MemoryTakeBus:
    bus = MemoryTakeBus(new_key(), header(), first, sound_held=held)
    for at, sound in blocks(first, stop):
        bus.append(at, sound)
    return bus


def _has(top: int, events: int = 0, outcome: bytes = b"done") -> Answer:
    return Answer(outcome, top, events, 1)


def _cursor(bus: MemoryTakeBus, top: int = -1, events: int = 0) -> TakeCursor:
    cursor = TakeCursor(bus)
    cursor.asserted(_has(top, events))
    return cursor


def _batch(cursor: TakeCursor) -> Batch:
    batch = cursor.batch()
    assert batch is not None
    return batch


def test_nothing_is_written_before_redis_has_said_what_it_has() -> None:
    cursor = TakeCursor(_bus(4800))
    assert cursor.due
    assert not cursor.known
    assert cursor.batch() is None


def test_an_empty_stream_begins_where_memory_does() -> None:
    batch = _batch(_cursor(_bus(4800, first=2400)))
    assert (batch.start, batch.entries) == (2400, (Sound(2400, 4800, pcm(2400, 4800)),))


def test_an_empty_stream_begins_a_minute_back_at_most() -> None:
    bus = _bus()
    bus.append_silence(0, HELD + 48_000)
    batch = _batch(_cursor(bus))
    assert (batch.start, batch.forget_below) == (48_000, 48_000)


def test_a_stream_goes_on_at_its_top() -> None:
    cursor = _cursor(_bus(9600), 4800)
    batch = _batch(cursor)
    assert batch.entries == (Sound(4800, 9600, pcm(4800, 9600)),)
    assert cursor.lag == 4800
    assert cursor.appended(batch, _has(9600))
    assert cursor.batch() is None
    assert cursor.lag == 0


def test_what_memory_has_dropped_is_a_gap_that_is_declared() -> None:
    bus = _bus(96_000, held=9600)
    batch = _batch(_cursor(bus, 4800))
    assert batch.start == 4800
    assert batch.entries == (Gap(4800, bus.first), Sound(bus.first, 96_000, pcm(bus.first, 96_000)))


def test_a_redis_that_is_ahead_keeps_what_it_has() -> None:
    bus = _bus(4800)
    cursor = _cursor(bus, 7200)
    assert cursor.batch() is None
    for at, sound in blocks(4800, 9600):
        bus.append(at, sound)
    assert _batch(cursor).entries == (Sound(7200, 9600, pcm(7200, 9600)),)


def test_after_an_answer_that_was_lost_the_take_goes_on_behind_it() -> None:
    bus = _bus(4800)
    bus.append_event(TakeEvent(0, 0, "join", speakers=("a",)))
    cursor = _cursor(bus)
    assert len(_batch(cursor).entries) == 2
    cursor.lost_touch()
    assert cursor.batch() is None
    cursor.asserted(_has(4800, events=1))
    assert cursor.batch() is None


def test_a_redis_that_has_lost_writes_gets_them_again() -> None:
    bus = _bus(9600)
    for n in range(3):
        bus.append_event(TakeEvent(0, n, "join", speakers=("a",)))
    cursor = _cursor(bus)
    batch = _batch(cursor)
    cursor.appended(batch, _has(9600, events=3))
    assert not cursor.appended(Batch(9600, 3, (), 9600), _has(4800, events=2, outcome=b"elsewhere"))
    assert not cursor.known
    assert cursor.asks_for_events
    cursor.asserted(_has(4800, events=2), [event_json(event) for event in bus.events_from(0)[:2]])
    again = _batch(cursor)
    assert (again.start, again.events) == (4800, 2)
    assert again.entries == (
        Happened(TakeEvent(0, 2, "join", speakers=("a",))),
        Sound(4800, 9600, pcm(4800, 9600)),
    )


def test_a_redis_that_comes_back_empty_gets_every_event() -> None:
    bus = _bus(4800)
    bus.append_event(TakeEvent(0, 0, "join", speakers=("a",)))
    cursor = _cursor(bus)
    cursor.appended(_batch(cursor), _has(4800, events=1))
    cursor.asserted(_has(-1))
    assert [type(entry) for entry in _batch(cursor).entries] == [Happened, Sound]


def test_events_that_nobody_holds_any_more_do_not_hold_up_the_others() -> None:
    bus = _bus(4800)
    for n in range(EVENTS_HELD + 100):
        bus.append_event(TakeEvent(0, n, "join", speakers=("a",)))
    cursor, told = _cursor(bus), list[int]()
    while batch := cursor.batch():
        told += [entry.event.n for entry in batch.entries if isinstance(entry, Happened)]
        cursor.appended(batch, _has(batch.stop, events=len(told)))
        assert len(told) <= EVENTS_HELD
    assert told == list(range(100, EVENTS_HELD + 100))


def test_events_that_were_told_before_this_owner_are_not_told_again() -> None:
    bus = _bus(first=4800)
    told = [TakeEvent(0, n, "join", speakers=("a",)) for n in range(2)]
    for event in told:
        bus.append_event(event)
    cursor = TakeCursor(bus)
    assert cursor.asks_for_events
    cursor.asserted(_has(4800, events=2), [event_json(event) for event in told])
    later = TakeEvent(4800, 0, "leave", speakers=("a",))
    bus.append_event(later)
    batch = _batch(cursor)
    assert (batch.events, batch.entries) == (2, (Happened(later),))


def test_a_redis_gets_what_only_another_one_had() -> None:
    bus = _bus(first=4800)
    events = [TakeEvent(0, n, "chapter", title=str(n)) for n in range(4)]
    for event in events:
        bus.append_event(event)
    # This one was away for a while, and there for what came after that.
    has = [events[0], events[3]]
    cursor = TakeCursor(bus)
    cursor.asserted(_has(4800, events=2), [event_json(event) for event in has])
    later = TakeEvent(4800, 0, "leave", speakers=("a",))
    bus.append_event(later)
    bus.end(4800)
    batch = _batch(cursor)
    assert (batch.events, batch.entries) == (2, (*map(Happened, (*events[1:3], later)), Ended(4800)))
    cursor.appended(batch, _has(4800, events=5))
    assert cursor.complete


def test_an_owner_that_does_not_know_what_was_told_tells_what_is_new_all_the_same() -> None:
    bus = _bus(first=4800)
    cursor = _cursor(bus, 4800, events=2)
    event = TakeEvent(4800, 0, "join", speakers=("a",))
    bus.append_event(event)
    batch = _batch(cursor)
    assert (batch.events, batch.entries) == (2, (Happened(event),))
    cursor.appended(batch, _has(4800, events=3))
    assert cursor.batch() is None


def test_an_event_lies_before_the_sound_that_follows_it() -> None:
    bus = _bus(960)
    event = TakeEvent(480, 0, "join", speakers=("a",))
    between = TakeEvent(500, 0, "leave", speakers=("a",))
    bus.append_event(event)
    bus.append_event(between)
    assert _batch(_cursor(bus)).entries == (
        Sound(0, 480, pcm(0, 480)),
        Happened(event),
        Sound(480, 720, pcm(480, 720)),
        Happened(between),
        Sound(720, 960, pcm(720, 960)),
    )


def test_a_take_that_is_behind_gets_a_second_at_once_and_silence_is_free() -> None:
    bus = _bus(40_000)
    bus.append_silence(40_000, 480_000)
    for at, sound in blocks(520_000, 560_000):
        bus.append(at, sound)
    batch = _batch(_cursor(bus))
    assert [entry for entry in batch.entries if isinstance(entry, Silence)] == [Silence(40_000, 520_000)]
    assert batch.stop == 528_000
    assert batch.size == 2 * 48_000


def test_the_end_is_said_once_and_last() -> None:
    bus = _bus(60_000)
    bus.append_event(TakeEvent(60_000, 0, "leave", speakers=("a",)))
    bus.end(60_000)
    cursor = _cursor(bus)
    first = _batch(cursor)
    assert not any(isinstance(entry, Ended) for entry in first.entries)
    cursor.appended(first, _has(first.stop))
    last = _batch(cursor)
    assert isinstance(last.entries[-1], Ended)
    cursor.appended(last, _has(60_000, events=1))
    assert cursor.complete
    assert not cursor.behind
    assert not cursor.due
    assert cursor.batch() is None


@pytest.mark.parametrize("parts", [5, 10])
def test_it_is_due_when_a_part_can_leave_and_otherwise_every_tenth_of_a_second(parts: int) -> None:
    bus = MemoryTakeBus(new_key(), header(parts=parts))
    cursor, grid, reached = _cursor(bus), Grid(parts), set[int]()
    while bus.top < 500_000:
        due = cursor.due_at
        assert 0 < due - bus.top <= 4800
        reached.add(due)
        bus.append_silence(bus.top, due - bus.top)
        cursor.appended(_batch(cursor), _has(due))
        assert not cursor.due
    position = grid.position_of_sample(0)
    while (complete := grid.stop_sample(position) + LOOKAHEAD_FRAMES * FRAME) < 500_000:
        assert complete in reached
        position = grid.after(position)


def test_a_newer_owner_ends_the_writing() -> None:
    cursor = _cursor(_bus(4800))
    cursor.appended(_batch(cursor), Answer(b"generation", 4800, 0, 7))
    assert cursor.newer == 7
    assert cursor.batch() is None


def test_sound_is_cut_into_entries_that_pass_through_a_narrow_line() -> None:
    bus = _bus(48_000)
    batch = _batch(_cursor(bus))
    assert [(entry.start, entry.stop) for entry in batch.entries if isinstance(entry, Sound)] == [
        (at, at + 12_000) for at in range(0, 48_000, 12_000)
    ]
    assert batch.size == 2 * 48_000


@pytest.mark.parametrize(("most_bytes", "stop"), [(9600, 4800), (9599, 4560), (1, 240), (0, 240)])
def test_a_batch_carries_no_more_than_there_is_room_for_but_a_block(most_bytes: int, stop: int) -> None:
    batch = _cursor(_bus(48_000)).batch(most_bytes)
    assert batch is not None
    assert batch.stop == stop
    assert batch.entries == (Sound(0, stop, pcm(0, stop)),)
