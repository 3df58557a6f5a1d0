"""The mirror of a take: from one Redis or two, whatever they bring, lack and repeat."""

from __future__ import annotations

import asyncio

import pytest

from contracts.take import TakeEvent
from tests.mirroring import SECOND, Links, holds, sound
from workers.bus import SamplesLost
from workers.redis_bus.entries import Ended, Gap, Happened, Silence


def test_what_comes_first_is_taken_and_the_rest_changes_nothing() -> None:
    links = Links("a", "b")
    assert all(links.brings("a", sound(0, 4800)))
    # The other one cuts it differently.
    assert all(links.brings("b", sound(0, 960), sound(960, 7200)))
    assert all(links.brings("a", sound(4800, 9600)))
    assert links.mirror.top == 9600
    assert holds(links.mirror, 0, 9600)


def test_the_first_entry_may_begin_before_the_first_sample_that_is_needed() -> None:
    links = Links("a", first=6000)
    assert links.brings("a", sound(4800, 9600)) == [True]
    assert (links.mirror.first, links.mirror.top) == (6000, 9600)
    assert holds(links.mirror, 6000, 9600)


def test_silence_and_the_end_arrive() -> None:
    links = Links("a")
    assert all(links.brings("a", sound(0, 960), Silence(960, 96_000), Ended(96_000)))
    assert links.mirror.ended == 96_000
    assert not links.mirror.read(960, 96_000).any()
    assert not links.mirror.wants("a")


def test_an_event_that_several_bring_happened_once() -> None:
    links = Links("a", "b")
    event = TakeEvent(960, 0, "chapter", title="One")
    for link in ("a", "b"):
        links.brings(link, sound(0, 960), Happened(event))
    assert links.mirror.events_from(0) == (event,)


def test_of_what_happened_before_the_first_sample_only_what_lasts_is_recalled() -> None:
    links = Links("a", first=SECOND)
    old, new = (TakeEvent(number, 0, "chapter", title=str(number)) for number in (10, 20))
    talk = TakeEvent(15, 0, "speakers", speakers=("Ada",))
    joined = TakeEvent(16, 0, "join", speakers=("Ada",))
    ahead = TakeEvent(2 * SECOND, 0, "chapter", title="comes with its sound")
    for _ in range(2):
        links.mirror.recall([old, talk, joined, new, ahead])
    assert links.mirror.events_from(0) == (talk, new)


# ---------------------------------------------------------------- holes


def test_what_the_only_link_lacks_is_lost_at_once_and_the_mirror_goes_on_behind_it() -> None:
    links = Links("a")
    event = TakeEvent(0, 0, "chapter", title="One")
    assert links.brings("a", Happened(event), sound(0, 4800), sound(9600, 14_400)) == [True, True, False]
    assert not links.mirror.wants("a")
    links.mirror.read(0, 4800)
    asyncio.run(_settled_while_a_reader_waits(links))
    assert (links.mirror.first, links.mirror.top) == (9600, 9600)
    assert links.mirror.wants("a")
    assert links.brings("a", sound(9600, 14_400)) == [True]
    assert holds(links.mirror, 9600, 14_400)
    with pytest.raises(SamplesLost):
        links.mirror.read(4800, 9600)
    assert links.mirror.events_from(0) == (event,)


async def _settled_while_a_reader_waits(links: Links) -> None:
    waiting = asyncio.ensure_future(links.mirror.wait(links.mirror.top + 1))
    await asyncio.sleep(0)
    links.mirrors.settle()
    await asyncio.wait_for(waiting, 5)


def test_what_is_here_is_read_before_a_jump_drops_it() -> None:
    links = Links("a")
    links.brings("a", sound(0, 4800), sound(9600, 14_400))
    links.later(5, "a")
    assert holds(links.mirror, 0, 4800)
    asyncio.run(_settled_while_a_reader_waits(links))
    assert links.mirror.first == 9600


def test_a_reader_that_never_comes_does_not_keep_a_jump_from_happening() -> None:
    links = Links("a")
    links.brings("a", sound(0, 4800), sound(9600, 14_400))
    links.later(11, "a")
    assert links.mirror.top == 9600


def test_what_one_link_lacks_another_one_brings() -> None:
    links = Links("a", "b")
    assert links.brings("a", sound(9600, 14_400)) == [False]
    links.later(1, "a", "b")
    assert links.mirror.top == 0
    assert links.mirror.wants("b")
    assert all(links.brings("b", sound(0, 4800), sound(4800, 12_000)))
    assert links.mirror.wants("a")
    assert links.brings("a", sound(9600, 14_400)) == [True]
    assert holds(links.mirror, 0, 14_400)


def test_what_both_lack_is_lost_at_once_and_no_more_of_it_than_both_lack() -> None:
    links = Links("a", "b")
    links.brings("a", sound(9600, 14_400))
    links.brings("b", sound(4800, 9600))
    links.mirrors.settle()
    assert links.mirror.top == 4800


def test_a_redis_in_a_failover_is_waited_for_and_one_that_is_gone_is_not() -> None:
    links = Links("a", "b")
    links.brings("a", sound(9600, 14_400))
    links.later(4.5, "a")
    assert links.mirror.top == 0
    links.later(1, "a")
    assert links.mirror.top == 9600


def test_a_redis_that_answers_and_brings_nothing_is_not_waited_for_long() -> None:
    links = Links("a", "b")
    links.brings("a", sound(0, 960), sound(9600, 14_400))
    links.mirror.read(0, 960)
    links.later(4.5, "a", "b")
    links.brings("b", sound(960, 1920))
    links.mirror.read(960, 1920)
    links.later(4.5, "a", "b")
    assert links.mirror.top == 1920
    links.later(6, "a", "b")
    assert links.mirror.top == 9600


def test_a_gap_of_the_owner_is_a_hole_that_another_redis_may_fill() -> None:
    links = Links("a", "b")
    assert links.brings("a", sound(0, 960), Gap(960, 4800), sound(4800, 9600))[1] is False
    assert links.brings("b", sound(0, 4800)) == [True]
    assert links.brings("a", Gap(960, 4800), sound(4800, 9600)) == [True, True]
    assert holds(links.mirror, 0, 9600)


def test_a_link_that_failed_may_have_something_else_afterwards() -> None:
    links = Links("a")
    links.brings("a", sound(0, 960), sound(9600, 14_400))
    links.mirror.forget("a")
    links.later(20, "a")
    assert links.mirror.top == 960
    assert links.mirror.wants("a")
