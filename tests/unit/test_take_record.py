from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.take import EventKind, TakeEvent, TakeKey
from storage.take_record import Ending, Loudness, SpeakerRecord, TakeRecord, take_record
from tests.takes import header

KEY = TakeKey("town-hall", "20260101T000000Z-abc234")
SECOND = 48_000
END = 100 * SECOND
_numbers = itertools.count()


def said(second: float, kind: EventKind, name: str) -> TakeEvent:
    return TakeEvent(int(second * SECOND), next(_numbers), kind, speakers=(name,))


def record(*events: TakeEvent, samples: int = END) -> TakeRecord:
    return take_record(KEY, header(), samples, events)


def spans(*seconds: tuple[float, float]) -> tuple[tuple[int, int], ...]:
    return tuple((int(start * SECOND), int(stop * SECOND)) for start, stop in seconds)


def test_a_speaker_joins_speaks_is_muted_and_leaves() -> None:
    made = record(
        said(1, "join", "Ann"),
        said(2, "start", "Ann"),
        said(3, "stop", "Ann"),
        said(4, "mute", "Ann"),
        said(5, "unmute", "Ann"),
        said(6, "start", "Ann"),
        said(8, "stop", "Ann"),
        said(9, "leave", "Ann"),
    )
    assert made.speakers == (
        SpeakerRecord("Ann", joined=spans((1, 9)), spoke=spans((2, 3), (6, 8)), muted=spans((4, 5))),
    )


def test_speakers_stand_in_the_order_of_their_first_appearance() -> None:
    made = record(said(5, "join", "Ann"), said(2, "join", "Bo"), said(3, "start", "Cy"))
    assert [speaker.name for speaker in made.speakers] == ["Bo", "Cy", "Ann"]


def test_what_is_open_at_the_end_ends_there() -> None:
    made = record(said(1, "join", "Ann"), said(2, "start", "Ann"), said(3, "mute", "Ann"))
    assert made.speakers == (
        SpeakerRecord("Ann", joined=spans((1, 100)), spoke=spans((2, 100)), muted=spans((3, 100))),
    )


def test_who_leaves_speaks_no_more_but_stays_muted() -> None:
    made = record(
        said(1, "join", "Ann"),
        said(2, "start", "Ann"),
        said(3, "mute", "Ann"),
        said(4, "leave", "Ann"),
        said(7, "unmute", "Ann"),
    )
    assert made.speakers == (
        SpeakerRecord("Ann", joined=spans((1, 4)), spoke=spans((2, 4)), muted=spans((3, 7))),
    )


def test_who_joins_again_without_having_left_was_there_all_the_time() -> None:
    made = record(said(1, "join", "Ann"), said(5, "join", "Ann"), said(9, "leave", "Ann"))
    assert made.speakers[0].joined == spans((1, 9))


def test_what_took_no_time_or_never_began_is_no_span() -> None:
    made = record(
        said(1, "join", "Ann"), said(1, "leave", "Ann"), said(2, "stop", "Ann"), said(200, "start", "Ann")
    )
    assert made.speakers == (SpeakerRecord("Ann"),)


def test_all_who_speak_together_are_nobody_in_particular() -> None:
    assert not record(TakeEvent(0, 0, "speakers", speakers=("Ann", "Bo"))).speakers


def test_chapters_are_those_within_the_take() -> None:
    one, two = TakeEvent(0, 0, "chapter", title="One"), TakeEvent(END - 1, 0, "chapter", title="Two")
    after = TakeEvent(END, 0, "chapter", title="After the end")
    made = record(after, two, one)
    assert made.chapters == (one, two)
    assert made.events == (one, two, after)


def test_events_in_any_order_and_twice_make_the_same_record() -> None:
    events = [said(1, "join", "Ann"), said(2, "start", "Ann"), said(3, "stop", "Ann")]
    assert record(*reversed(events), *events) == record(*events)


def test_the_record_as_json() -> None:
    chapter = TakeEvent(480, 1, "chapter", title="Hällo 🎙")
    join = TakeEvent(0, 0, "join", speakers=("Ann",))
    ending = Ending(Loudness(-19.04321), "Town hall", published=False)
    made = take_record(KEY, header("64k", "32k"), 96_256, [join, chapter], ending)
    assert made.to_json() == {
        "room": "town-hall",
        "take": "20260101T000000Z-abc234",
        "room_title": "Town hall",
        "published": False,
        "started_at": "2026-01-01T00:00:00.000Z",
        "epoch_us": 1_767_225_600_000_000,
        "samples": 96_256,
        "seconds": 2.00533,
        "channels": 1,
        "parts": 5,
        "renditions": ["64k", "32k"],
        "encoder": "0" * 64,
        "speakers": [{"name": "Ann", "joined": [[0, 96_256]], "spoke": [], "muted": []}],
        "chapters": [{"sample": 480, "title": "Hällo 🎙"}],
        "loudness": {"integrated": -19.04},
        "events": [
            {"sample": 0, "n": 0, "kind": "join", "speakers": ["Ann"]},
            {"sample": 480, "n": 1, "kind": "chapter", "title": "Hällo 🎙"},
        ],
    }


def test_what_was_written_is_read_again() -> None:
    chapter = TakeEvent(480, 1, "chapter", title="Hällo 🎙")
    join = TakeEvent(0, 0, "join", speakers=("Ann",))
    ending = Ending(Loudness(-19.04), "Town hall", published=False)
    made = take_record(KEY, header("64k", "32k"), 96_256, [join, chapter], ending)
    assert TakeRecord.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("loudness", "expected"),
    [(None, None), (Loudness(-23.0), {"integrated": -23.0})],
)
def test_loudness_that_is_not_known_is_null(loudness: Loudness | None, expected: object) -> None:
    assert take_record(KEY, header(), 0, [], Ending(loudness)).to_json()["loudness"] == expected


KINDS: tuple[EventKind, ...] = ("join", "leave", "start", "stop", "mute", "unmute")


@given(st.lists(st.tuples(st.integers(0, 50), st.sampled_from(KINDS), st.sampled_from("AB"))))
def test_spans_of_one_kind_never_overlap_nor_leave_the_take(story: list[tuple[int, EventKind, str]]) -> None:
    events = [TakeEvent(at, n, kind, speakers=(name,)) for n, (at, kind, name) in enumerate(story)]
    for speaker in take_record(KEY, header(), 40, events).speakers:
        for found in (speaker.joined, speaker.spoke, speaker.muted):
            edges = [sample for span in found for sample in span]
            assert edges == sorted(edges)
            assert all(0 <= start < stop <= 40 for start, stop in found)
