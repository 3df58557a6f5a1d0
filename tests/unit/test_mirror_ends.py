"""The mirror of a take: its end, its owners, and how much it holds."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from contracts.take import TakeEvent
from tests.mirroring import HEADER, KEY, OTHER, SECOND, Links, holds, is_over, sound
from workers.redis_bus.entries import Ended, Gap, Happened, Silence, Sound
from workers.redis_bus.mirror import AHEAD
from workers.redis_bus.mirrors import Mirrors

# ---------------------------------------------------------------- holes


def test_an_end_that_is_known_is_waited_for_and_then_jumped_to() -> None:
    links = Links("a")
    links.brings("a", sound(0, 4800))
    links.mirror.read(0, 4800)
    seen = links.mirrors.version
    for _ in range(3):
        links.mirrors.ended(KEY, 96_000)
    links.later(4, "a")
    assert links.mirror.ended is None
    links.brings("a", sound(4800, 9600))
    links.later(4, "a")
    assert links.mirror.ended is None
    links.later(7, "a")
    assert [links.mirror.ended, links.mirror.top, links.mirror.first] == [96_000] * 3
    assert links.mirrors.version == seen + 1


def test_an_end_that_is_known_is_not_jumped_to_while_no_redis_answers() -> None:
    links = Links("a")
    links.mirrors.ended(KEY, 96_000)
    links.later(60)
    assert links.mirror.ended is None


def test_what_happened_at_the_last_sample_is_read_before_a_take_is_over() -> None:
    links = Links("a")
    links.brings("a", sound(0, 9600))
    # Whoever looks at takes is faster than the reader.
    links.mirrors.ended(KEY, 9600)
    links.later(1, "a")
    assert not is_over(links)
    last = TakeEvent(9600, 1, "chapter", title="The end")
    assert links.brings("a", Happened(last), Ended(9600)) == [True, True]
    assert is_over(links)
    assert list(links.mirror.events_from(0)) == [last]


@pytest.mark.parametrize("answering", [("a",), ()])
def test_an_end_whose_sound_is_here_needs_no_entry_in_the_end(answering: tuple[str, ...]) -> None:
    links = Links("a")
    links.brings("a", sound(0, 9600))
    links.mirrors.ended(KEY, 9600)
    links.later(4.5, *answering)
    assert not is_over(links)
    links.later(1, *answering)
    assert links.mirror.ended == 9600
    assert links.mirror.first == 0


# ---------------------------------------------------------------- owners that were deposed


def test_what_a_deposed_owner_says_after_its_successor_is_ignored() -> None:
    links = Links("a", "b")
    links.brings("a", sound(0, 4800))
    links.brings("b", Silence(4800, 9600), generation=2)
    assert links.brings("a", sound(4800, 9600)) == [True]
    assert links.brings("a", sound(9600, 14_400)) == [False]
    assert not links.mirror.wants("a")
    links.later(4, "a", "b")
    assert links.mirror.top == 9600
    assert not links.mirror.read(4800, 9600).any()
    # Its successor goes on beyond it: what it had said is no hole.
    links.brings("b", Silence(9600, 19_200), generation=2)
    assert links.mirror.wants("a")
    assert links.brings("a", sound(9600, 14_400), Ended(14_400)) == [True, True]
    links.later(20, "a")
    assert links.mirror.ended is None
    assert not links.mirror.read(9600, 19_200).any()


def test_where_only_a_lower_generation_still_writes_a_mirror_goes_on_with_it() -> None:
    links = Links("a")
    links.brings("a", sound(0, 4800), generation=5)
    # Redis lost its memory, and with it the owner's disk was lost: it is generation 1 that goes on.
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            links.mirror.forget("a")
            assert links.brings("a", sound(4800, 9600), generation=1) == [False]
            links.later(1, "a")
            assert not links.mirror.wants("a")
        links.later(2.5, "a")
    assert [log["log_level"] for log in logs] == ["warning", "error"]
    assert links.mirror.wants("a")
    assert links.brings("a", sound(4800, 9600), generation=1) == [True]
    assert holds(links.mirror, 0, 9600)


# ---------------------------------------------------------------- limits


def test_a_mirror_holds_five_seconds_that_were_not_read_and_drops_none_of_them() -> None:
    links = Links("a")
    entries = [sound(start, start + 4800) for start in range(0, 30 * SECOND, 4800)]
    taken = links.brings("a", *entries)
    assert sum(taken) == AHEAD // 4800
    assert not links.mirror.wants("a")
    read = 0
    for _ in range(40):
        if links.mirror.top > read:
            read = min(links.mirror.top, read + 96_000)
            assert holds(links.mirror, max(0, read - 96_000), read)
        links.brings("a", *[each for each in entries if each.stop > links.mirror.top])
        assert links.mirror.top - links.mirror.first <= 10 * SECOND
        # The segment before can be encoded again.
        assert links.mirror.first <= max(0, read - 3 * SECOND)
    assert read == 30 * SECOND


def test_a_long_silence_is_not_dropped_unread() -> None:
    links = Links("a")
    links.brings("a", sound(0, 960), Silence(960, 200 * SECOND))
    assert links.mirror.first == 0
    assert holds(links.mirror, 0, 960)


def test_a_full_mirror_is_no_sign_that_nobody_brings_anything() -> None:
    links = Links("a", "b")
    for start in range(0, AHEAD, SECOND):
        links.brings("b", sound(start, start + SECOND))
    links.brings("a", sound(AHEAD + SECOND, AHEAD + 2 * SECOND))
    links.later(12, "a", "b")
    links.mirror.read(0, AHEAD)
    links.later(1, "a", "b")
    assert links.brings("b", sound(AHEAD, AHEAD + SECOND)) == [True]


async def test_who_waits_for_more_without_reading_gets_it() -> None:
    links = Links("a")
    links.brings("a", *[sound(start, start + SECOND) for start in range(0, AHEAD, SECOND)])
    assert links.mirror.full
    waiting = asyncio.ensure_future(links.mirror.wait(AHEAD + SECOND))
    await asyncio.sleep(0)
    assert links.mirror.wants("a")
    assert links.brings("a", sound(AHEAD, AHEAD + SECOND)) == [True]
    await asyncio.wait_for(waiting, 5)


def test_the_edge_is_where_a_link_has_brought_all_that_it_has() -> None:
    links = Links("a", "b")
    told = [links.mirror.at_edge]
    links.mirror.brought("a", all_of_it=False)
    links.mirror.brought("b", all_of_it=True)
    told.append(links.mirror.at_edge)
    links.mirror.forget("b")
    assert [*told, links.mirror.at_edge] == [False, True, False]


# ---------------------------------------------------------------- all that are carried


async def test_what_is_carried_is_news() -> None:
    mirrors = Mirrors()
    seen = mirrors.version
    one = mirrors.follow(KEY, HEADER, 0)
    assert mirrors.follow(KEY, HEADER, 960) is one
    mirrors.follow(OTHER, HEADER, 0)
    assert [each.key for each in mirrors.live()] == [KEY, OTHER]
    mirrors.drop(KEY)
    mirrors.drop(KEY)
    mirrors.close(OTHER)
    assert [*mirrors.live()] == []
    assert await mirrors.changed(seen) == seen + 4
    assert mirrors.delivered == {OTHER}
    assert mirrors.follow(KEY, HEADER, 0) is not one


# ---- what cannot be ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("far", [2**60, 25 * 3600 * SECOND])
def test_a_sample_that_lies_further_ahead_than_time_went_is_refused(far: int) -> None:
    links = Links("a")
    links.brings("a", sound(0, SECOND))
    for entry in (Silence(SECOND, far), Gap(SECOND, far), Ended(far)):
        with pytest.raises(ValueError, match="further ahead"):
            links.brings("a", entry, generation=9)
    links.mirrors.ended(KEY, far)
    links.later(20, "a")
    assert (links.mirror.top, links.mirror.ended) == (SECOND, None)
    # Nor was its generation believed.
    assert links.brings("a", sound(SECOND, 2 * SECOND)) == [True]
    assert links.mirror.top == 2 * SECOND


def test_after_a_day_and_a_half_without_redis_a_take_goes_on() -> None:
    links = Links("a")
    links.brings("a", sound(0, SECOND))
    links.now += 36 * 3600
    start = 36 * 3600 * SECOND
    assert links.brings("a", Silence(start, start + SECOND)) == [False]
    links.mirror.read(0, SECOND)
    links.later(11, "a")
    assert links.mirror.first == links.mirror.top == start


def test_sound_that_is_refused_makes_nobody_the_owner() -> None:
    links = Links("a")
    with pytest.raises(ValueError, match="bytes"):
        links.brings("a", Sound(0, SECOND, b"odd"), generation=9)
    assert links.brings("a", sound(0, SECOND), generation=1) == [True]
    assert links.mirror.top == SECOND
