"""How many listen through an edge, against simulated crowds whose number is known."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple

import pytest

from contracts.position import Position
from longwave.edge import crowd
from longwave.edge.crowd import BLOCKED_SECONDS, MAX_ROOMS, PLAIN_SECONDS, SETTLE_SECONDS, Crowds
from longwave.edge.lines import Access, Segment

STEP = 0.25
PARTS = 5
PART_SECONDS = 2.0 / PARTS
LINE = "20260101T000000Z-abc234/64k"


class Event(NamedTuple):
    at: float
    access: Access


def playlist(
    asked: Position | Segment | None = None, room: str = "room", line: str = LINE, status: int = 200
) -> Access:
    kind = "playlist" if asked is None else "blocking_playlist"
    return Access(status, "hit", kind, room, line, asked)


def tune_in(at: float, room: str = "room") -> Iterator[Event]:
    yield Event(at, Access(200, "hit", "multivariant", room, "", None))
    yield Event(at + 0.02, playlist(room=room))


def low_latency(arrives: float, leaves: float, room: str = "room", *, late: float = 0.0) -> Iterator[Event]:
    """A listener who is answered for each part when it comes, `late` by so much."""
    yield from tune_in(arrives, room)
    for number in count(int(arrives / PART_SECONDS) + 1):
        at = number * PART_SECONDS
        if at >= leaves:
            return
        yield Event(at + late, playlist(Position(*divmod(number, PARTS)), room))


def by_segment(arrives: float, leaves: float) -> Iterator[Event]:
    """A listener who waits for whole segments."""
    yield from tune_in(arrives)
    for msn in range(int(arrives / 2) + 1, int(leaves / 2)):
        yield Event(msn * 2.0, playlist(Segment(msn)))


def plain(arrives: float, leaves: float, seed: int = 0) -> Iterator[Event]:
    """A listener who reloads each target duration, as exactly as timers and networks are."""
    jitter = random.Random(seed)
    yield from tune_in(arrives)
    at = arrives + 2.0
    while at < leaves:
        yield Event(at, playlist())
        at += 2.0 + jitter.uniform(0.0, 0.06)


def followed(events: Iterable[Event], until: float, spread: float = 0.0) -> dict[float, dict[str, int]]:
    """What is counted after each step."""
    crowds = Crowds(spread)
    rest = sorted(events, key=lambda event: event.at)
    counted: dict[float, dict[str, int]] = {}
    now, index = 0.0, 0
    while now < until:
        now += STEP
        while index < len(rest) and rest[index].at <= now:
            crowds.add(rest[index].access, 1, now)
            index += 1
        counted[now] = crowds.sizes(now)
    return counted


def sizes(counted: dict[float, dict[str, int]], start: float, stop: float, room: str = "room") -> set[int]:
    return {each.get(room, 0) for at, each in counted.items() if start <= at < stop}


@pytest.mark.parametrize("listeners", [1, 7, 400])
def test_steady_low_latency_listeners_are_counted_exactly(listeners: int) -> None:
    late = random.Random(listeners)
    events = [
        event
        for _ in range(listeners)
        for event in low_latency(late.uniform(0, 2), 60, late=late.uniform(0.0, 0.5))
    ]
    assert sizes(followed(events, 40), 6, 40) == {listeners}


@pytest.mark.parametrize("parts", [True, False])
def test_listeners_of_whom_some_are_told_seconds_later_are_counted_exactly(parts: bool) -> None:
    late = random.Random(5)
    events = []
    for number in range(60):
        lateness = late.uniform(0.0, 4.5)
        listener = low_latency(0.0, 60) if parts else by_segment(number * 0.01, 60)
        events += [Event(event.at + lateness, event.access) for event in listener]
    assert sizes(followed(events, 50, spread=5.0), 20, 50) == {60}


def test_listeners_who_wait_for_whole_segments_are_counted_exactly() -> None:
    events = [event for number in range(50) for event in by_segment(number * 0.04, 60)]
    assert sizes(followed(events, 40), 12, 40) == {50}


def test_plain_listeners_are_counted_within_a_fifth() -> None:
    random_ = random.Random(3)
    for listeners in (1, 5, 100):
        events = [event for n in range(listeners) for event in plain(random_.uniform(0, 4), 60, n)]
        counted = sizes(followed(events, 40), 14, 40)
        assert min(counted) >= listeners * 0.8
        assert max(counted) <= listeners * 1.2 + 0.5


def test_both_kinds_in_one_room_add_up() -> None:
    random_ = random.Random(5)
    events = [event for _ in range(30) for event in low_latency(random_.uniform(0, 2), 60)]
    events += [event for n in range(30) for event in plain(random_.uniform(0, 2), 60, n)]
    counted = sizes(followed(events, 40), 14, 40)
    assert 30 + 24 <= min(counted) <= max(counted) <= 30 + 36


def test_who_comes_and_goes_is_followed_within_seconds() -> None:
    events = [event for _ in range(100) for event in low_latency(20.0, 40.0)]
    events += [event for _ in range(10) for event in low_latency(0.0, 60.0)]
    counted = followed(events, 55)
    whole = BLOCKED_SECONDS + SETTLE_SECONDS + PART_SECONDS + STEP
    assert sizes(counted, 10, 20) == {10}
    assert sizes(counted, 20 + whole, 40) == {110}
    # A quarter of the time brings a quarter of them, or so: nobody waits to be seen at all.
    assert min(sizes(counted, 22.5, 40)) > 30
    assert sizes(counted, 40 + whole, 55) == {10}


def test_who_leaves_without_anybody_left_is_gone() -> None:
    events = [event for _ in range(20) for event in low_latency(0.0, 20.0)]
    events += [event for n in range(20) for event in plain(0.0, 20.0, n)]
    counted = followed(events, 60)
    assert sizes(counted, 20 + PLAIN_SECONDS + 2 * STEP, 60) == {0}
    assert "room" not in counted[60.0]


def test_many_who_tune_in_are_no_plain_listeners() -> None:
    """A hundred a second who wait for parts from then on: no more than are there."""
    events = [event for n in range(1000) for event in low_latency(n * 0.01, 60)]
    counted = followed(events, 25)
    assert all(each["room"] <= min(1000, at * 100) + 5 for at, each in counted.items() if "room" in each)
    assert sizes(counted, 16, 25) == {1000}


def test_who_is_late_for_a_part_does_not_make_the_others_fewer() -> None:
    """Every position is asked for again, by one, when it is long gone."""
    events = [event for _ in range(100) for event in low_latency(0.0, 60)]
    events += [Event(event.at + 6, event.access) for event in low_latency(0.0, 50)]
    counted = sizes(followed(events, 40), 12, 40)
    assert counted == {100}


@pytest.mark.parametrize("a_second", [5, 100])
def test_who_asks_for_parts_that_never_were_does_not_make_the_others_fewer(a_second: int) -> None:
    """Parts beyond a segment's last one are answered at once."""
    events = [event for _ in range(100) for event in low_latency(0.0, 60)]
    events += [
        Event(n / a_second, playlist(Position(int(n / a_second / 2), 100 + n))) for n in range(60 * a_second)
    ]
    assert sizes(followed(events, 40), 12, 40) == {100}


@pytest.mark.parametrize("listeners", [10, 100])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_burst_of_requests_for_a_part_is_nobody(listeners: int, parts: int) -> None:
    """One who asks a thousand times for a part that is there, and for the next one, is not the crowd."""
    events = [event for _ in range(listeners) for event in low_latency(0.0, 60)]
    burst = [Event(20.1 + n * PART_SECONDS, playlist(Position(10, n))) for n in range(parts)] * 1000
    assert sizes(followed(events + burst, 40), 12, 40) == {listeners}


def test_a_burst_in_a_room_where_nobody_else_waits_is_nobody() -> None:
    burst = [Event(20.1 + n * PART_SECONDS, playlist(Position(10, n))) for n in range(2)] * 1000
    events = [event for n in range(5) for event in plain(n * 0.1, 60, n)]
    assert max(sizes(followed(events + burst, 40), 12, 40)) <= 6


def test_a_crowd_that_has_just_begun_is_there_within_a_second() -> None:
    counted = followed([event for _ in range(50) for event in low_latency(10.0, 60)], 20)
    assert sizes(counted, 11.5, 20) == {50}


def test_a_burst_of_plain_requests_is_nobody() -> None:
    events = [event for n in range(40) for event in plain(n * 0.05, 60, n)]
    counted = sizes(followed(events + [Event(20.0, playlist())] * 4000, 40), 14, 40)
    assert 0.8 * 40 <= min(counted) <= max(counted) <= 1.2 * 40


def test_a_crowd_that_comes_at_once_is_there_within_two_seconds() -> None:
    """Ten times as many as were there before: a crowd goes on asking, a burst does not."""
    events = [event for _ in range(10) for event in low_latency(0.0, 60)]
    events += [event for _ in range(1000) for event in low_latency(20.0, 60)]
    counted = followed(events, 30)
    assert sizes(counted, 20 + SETTLE_SECONDS + 1.2 + STEP, 30) == {1010}


def test_who_skips_every_other_part_counts_for_what_he_asks() -> None:
    """Where all ask for the same half of them, each is one."""
    events = [
        event
        for _ in range(40)
        for event in low_latency(0.0, 60)
        if not isinstance(event.access.asked, Position) or event.access.asked.part % 2
    ]
    assert sizes(followed(events, 40), 12, 40) == {40}


def test_rooms_and_renditions_are_kept_apart_and_added_up() -> None:
    events = [event for _ in range(5) for event in low_latency(0.0, 60, "one")]
    for event in low_latency(0.0, 60, "two"):
        events += [event, event, Event(event.at, event.access)]
        other = event.access
        if other.line:
            events.append(Event(event.at, playlist(other.asked, "two", LINE.replace("64k", "32k"))))
        else:
            events.append(event)
    last = followed(events, 20)[20.0]
    assert last == {"one": 5, "two": 4}


def test_who_is_refused_does_not_listen() -> None:
    events = [Event(at * 0.1, playlist(Position(at, 0), status=503)) for at in range(100)]
    events += [Event(at * 0.1, playlist(status=404)) for at in range(100)]
    assert followed(events, 10)[10.0] == {}


def test_what_is_remembered_is_bounded() -> None:
    crowds = Crowds()
    for msn in (0, 1):
        for number in range(MAX_ROOMS + 100):
            crowds.add(playlist(Position(msn, 0), room=f"r{number}"), 2, float(msn))
    assert len(crowds.sizes(1.0)) == MAX_ROOMS
    for number in range(10_000):
        crowds.add(playlist(Position(number, 0), "r0", f"{LINE}{number % 1000}"), 1, 1.0)
    for number in range(10_000):
        crowds.add(playlist(Position(number, 0), "r1"), 1, 1.0)
    lines = [line for room in crowds._rooms.values() for line in room._lines.values()]
    assert max(len(room._lines) for room in crowds._rooms.values()) <= crowd.MAX_LINES
    assert all(len(line.parts._seen) <= crowd._MAX_POSITIONS for line in lines)
    # Others have their turn when these are forgotten.
    crowds.sizes(1.0 + crowd.FORGOTTEN_SECONDS)
    for msn in (1, 2):
        crowds.add(playlist(Position(msn, 0), room="new"), 2, 40.0 + msn)
    assert crowds.sizes(42.0) == {"new": 2}
