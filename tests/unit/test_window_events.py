import pytest

from contracts.errors import BytesConflict, MalformedMedia, OverLimit
from contracts.take import TakeEvent
from pipeline.window import Put
from pipeline.window.events import MAX_EVENTS, EventTimeline

SECOND = 48_000


def chapter(sample: int, title: str = "t", n: int = 0) -> TakeEvent:
    return TakeEvent(sample, n, "chapter", title=title)


def speakers(sample: int, *names: str) -> TakeEvent:
    return TakeEvent(sample, 9, "speakers", speakers=names)


@pytest.fixture
def timeline() -> EventTimeline:
    return EventTimeline(epoch_us=0)


def test_an_event_is_listed_once_a_part_ends_after_it(timeline: EventTimeline) -> None:
    event = chapter(SECOND)
    assert timeline.put(event) is Put.NEW
    assert not timeline.advance(0, SECOND)
    assert not timeline.listed
    assert timeline.advance(0, SECOND + 1)
    assert [*timeline.listed] == [event]
    assert not timeline.advance(0, SECOND + 2)


def test_classes_are_listed_together_in_the_order_of_time(timeline: EventTimeline) -> None:
    events = [chapter(0), speakers(SECOND, "Ann"), chapter(2 * SECOND), speakers(3 * SECOND)]
    for event in reversed(events):
        timeline.put(event)
    timeline.advance(0, 9 * SECOND)
    assert timeline.listed == tuple(events)


def test_a_range_leaves_when_the_next_of_its_class_begins_before_the_window(timeline: EventTimeline) -> None:
    old, new, talk = chapter(0), chapter(5 * SECOND), speakers(0, "Ann")
    for event in (old, new, talk):
        timeline.put(event)
    timeline.advance(0, 10 * SECOND)
    assert not timeline.advance(5 * SECOND - 1, 10 * SECOND)
    assert timeline.advance(5 * SECOND, 10 * SECOND)
    assert timeline.listed == (talk, new)  # the speakers have no following range: they still speak
    timeline.advance(500 * SECOND, 501 * SECOND)
    assert timeline.listed == (talk, new)


def test_an_event_put_again_is_the_same_and_another_is_refused(timeline: EventTimeline) -> None:
    timeline.put(chapter(7, "one"))
    assert timeline.put(chapter(7, "one")) is Put.SAME
    with pytest.raises(BytesConflict):
        timeline.put(chapter(7, "two"))
    with pytest.raises(BytesConflict):
        timeline.put(TakeEvent(7, 0, "speakers", speakers=("Ann",)))


def test_no_range_begins_between_a_listed_one_and_its_following_one(timeline: EventTimeline) -> None:
    first, last, talk = chapter(SECOND), chapter(3 * SECOND), speakers(2 * SECOND, "Ann")
    for event in (first, last):
        timeline.put(event)
    timeline.advance(0, 10 * SECOND)
    assert timeline.put(chapter(2 * SECOND)) is Put.IGNORED
    assert timeline.put(talk) is Put.NEW
    assert timeline.put(chapter(0)) is Put.NEW  # before all others: nothing that is listed changes
    timeline.advance(0, 10 * SECOND)
    assert timeline.listed == (chapter(0), first, talk, last)


def test_two_ranges_that_begin_in_one_millisecond_would_overlap(timeline: EventTimeline) -> None:
    timeline.put(chapter(SECOND, "one"))
    timeline.put(chapter(SECOND, "two", n=1))
    timeline.put(chapter(SECOND + 47, "three"))
    timeline.put(chapter(SECOND + 48, "four"))
    timeline.advance(0, 10 * SECOND)
    assert [event.title for event in timeline.listed] == ["one", "four"]


def test_what_has_left_does_not_come_back(timeline: EventTimeline) -> None:
    for second in range(3):
        timeline.put(chapter(second * SECOND))
    timeline.advance(2 * SECOND, 10 * SECOND)
    listed = timeline.listed
    assert timeline.put(chapter(0)) is Put.IGNORED
    assert not timeline.advance(2 * SECOND, 10 * SECOND)
    assert timeline.listed is listed == (chapter(2 * SECOND),)


def test_events_are_bounded(timeline: EventTimeline) -> None:
    for second in range(MAX_EVENTS):
        timeline.put(chapter(second * SECOND))
    with pytest.raises(OverLimit):
        timeline.put(chapter(MAX_EVENTS * SECOND))
    timeline.advance(SECOND, 2 * SECOND)  # one has ended
    assert timeline.put(chapter(MAX_EVENTS * SECOND)) is Put.NEW


def test_an_event_in_the_far_future_waits(timeline: EventTimeline) -> None:
    timeline.put(chapter(9 * 10**18))
    assert not timeline.advance(0, 10**9)
    assert timeline.listed == ()


def test_a_range_is_new_for_twelve_seconds_from_the_part_that_brought_it(timeline: EventTimeline) -> None:
    early, late = chapter(SECOND), speakers(SECOND + 48, "Ann")
    timeline.put(late)
    timeline.advance(0, 20 * SECOND)
    timeline.put(early)  # it comes late: what counts is when it came, not when it happened
    timeline.advance(0, 22 * SECOND)
    assert [*timeline.added] == [early, late]
    timeline.advance(0, 32 * SECOND)
    assert [*timeline.added] == [early, late]
    timeline.advance(0, 32 * SECOND + 1)
    assert [*timeline.added] == [early]
    timeline.advance(0, 34 * SECOND + 1)
    assert not timeline.added
    assert [*timeline.listed] == [early, late]


def test_a_range_that_left_is_told_for_twelve_seconds(timeline: EventTimeline) -> None:
    old, new = chapter(0), chapter(5 * SECOND)
    for event in (old, new):
        timeline.put(event)
    timeline.advance(0, 10 * SECOND)
    assert not timeline.removed
    timeline.advance(5 * SECOND, 11 * SECOND)
    assert [*timeline.removed] == [old]
    assert [*timeline.added] == [new]
    timeline.advance(5 * SECOND, 23 * SECOND)
    assert [*timeline.removed] == [old]
    assert not timeline.advance(5 * SECOND, 23 * SECOND + 1)
    assert not timeline.removed


def test_only_what_playlists_tell_is_a_date_range(timeline: EventTimeline) -> None:
    with pytest.raises(MalformedMedia, match="join"):
        timeline.put(TakeEvent(SECOND, 0, "join", speakers=("Ann",)))
