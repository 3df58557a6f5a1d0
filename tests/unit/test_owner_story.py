"""The owner of a take in virtual time: who speaks, what happened, and what its host orders."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.access import Grant
from contracts.errors import Forbidden, UnknownRoom
from pipeline.mix.sound import AS_IT_IS, VOICE
from tests.owner_room import BLOCK, KEY, LOUD, TICK, ZERO, Room
from workers.guest_list import HostOrders
from workers.intake import START_BUFFER
from workers.take_clock import real_samples


def test_who_speaks_is_said_before_the_sound_and_once() -> None:
    room = Room()
    room.tick(2)
    ada = room.speaker("Ada")
    room.owner.join(ada)
    room.tick(2)
    room.say(ada, LOUD, START_BUFFER)
    room.tick(11)
    room.owner.leave(ada)
    room.tick(60)
    room.joined(None, LOUD)  # somebody without a name
    room.tick(60)
    ((begin, first), (end, last)) = room.said()
    assert (first, last) == (("Ada",), ())
    assert 4 <= begin <= 5  # dated back over the looks that it takes to know a voice
    assert end == begin + 50  # and is said for a second


def test_all_who_speak_are_said_together() -> None:
    room = Room()
    room.joined("Eve", LOUD, 60 * BLOCK)
    room.tick(55)
    room.joined("Ada", LOUD, 60 * BLOCK)
    room.tick(150)
    assert [names for _, names in room.said()] == [("Eve",), ("Ada", "Eve"), ("Ada",), ()]


def test_who_speaks_stays_said_for_a_second() -> None:
    room = Room()
    for name, pause in (("Ada", 5), ("Ada", 5), ("Bo", 5), ("Ada", 60)):
        speaker = room.joined(name, LOUD, START_BUFFER)
        room.tick(10)
        room.owner.leave(speaker)
        room.tick(pause)
    # Bo, who was heard from block 30 to 40 only, came and went within Ada's second.
    assert [names for _, names in room.said()] == [("Ada",), ()]


def test_the_story_tells_who_came_spoke_and_went() -> None:
    room = Room()
    ada = room.joined("Ada", LOUD, 40 * BLOCK)
    room.tick(10)
    bo = room.joined("Bo", 1)  # there, and quiet
    room.tick(70)
    room.owner.leave(ada)
    room.tick()
    room.owner.leave(bo)
    room.tick(60)
    assert room.story() == [
        (0, "join", "Ada"),
        (0, "start", "Ada"),
        (11, "join", "Bo"),
        (40, "stop", "Ada"),  # dated back over the half second in which it might have gone on
        (80, "leave", "Ada"),
        (81, "leave", "Bo"),
    ]


def test_no_two_events_of_a_take_have_one_name() -> None:
    room = Room()
    for name in "abcdef":
        room.joined(name, LOUD)
    room.tick(5)
    for title in ("One", "Two"):
        room.owner.chapter(title)
    room.owner.mute("a")
    room.owner.end()
    ids = [event.id for event in room.bus.events_from(0)]
    assert len(ids) == len(set(ids)) > 20


def test_a_reconnection_is_no_coming_and_going() -> None:
    room = Room()
    room.joined("Ada", LOUD)
    room.tick(20)
    room.joined("Ada", LOUD)
    room.tick(20)
    assert [what for _, what, _ in room.story()].count("join") == 1
    assert "leave" not in [what for _, what, _ in room.story()]


def test_the_end_of_a_take_closes_its_story() -> None:
    room = Room()
    room.joined("Ada", LOUD)
    room.tick(20)
    room.owner.end()
    assert room.story()[-2:] == [(20, "stop", "Ada"), (20, "leave", "Ada")]


def test_a_chapter_begins_where_the_bus_is() -> None:
    room = Room()
    room.tick(3)
    assert room.owner.chapter("Weather").sample == 3 * BLOCK
    assert room.story() == [(3, "chapter", "Weather")]


def test_the_host_mutes_and_unmutes_without_a_click() -> None:
    room = Room()
    room.joined("Ada", LOUD)
    room.tick(10)
    room.owner.mute("Ada")
    room.owner.mute("Ada")
    room.tick(10)
    room.owner.unmute("Ada")
    room.tick(10)
    assert room.heard() == [(LOUD, 11), (0, 10), (LOUD, 9)]
    around_the_end = abs(room.bus.read(10 * BLOCK, 11 * BLOCK)[-24:])
    around_the_beginning = abs(room.bus.read(21 * BLOCK, 22 * BLOCK)[:24])
    assert max(around_the_end.max(), around_the_beginning.max()) < LOUD / 10
    told = [(what, who) for _, what, who in room.story() if what != "start"]
    assert told == [("join", "Ada"), ("mute", "Ada"), ("stop", "Ada"), ("unmute", "Ada")]


def test_who_is_muted_stays_so_on_another_connection() -> None:
    room = Room()
    room.joined("Ada", 7)
    room.tick(5)
    room.owner.mute("Ada")
    room.joined("Ada", 7)
    room.tick(10)
    assert room.heard()[-1] == (0, 9)
    assert room.owner.live().speakers[0].muted
    assert room.owner.guests.orders == HostOrders(muted=frozenset({"Ada"}))


def test_who_is_removed_is_gone_at_once_and_does_not_come_back_under_the_name_or_with_the_token() -> None:
    room = Room()
    room.joined("Ada", 7, token="t1")
    room.joined("Bo", 500, token="t2")
    room.tick(5)
    room.owner.remove("Ada")
    room.tick(5)
    assert room.heard()[0][0] == 507
    assert room.heard()[-1] == (500, 4)
    for name, token in (("Ada", None), ("Ada", "t3"), ("Other", "t1")):
        with pytest.raises(Forbidden, match="removed"):
            room.owner.guests.check(name, Grant("speaker", "room", None, token))
    room.owner.guests.check("Bo", Grant("speaker", "room", None, "t2"))
    room.owner.guests.check(None, Grant("admin"))
    assert (6, "leave", "Ada") not in room.story()
    assert (5, "leave", "Ada") in room.story()


def test_orders_hold_after_a_restart() -> None:
    orders = HostOrders(frozenset({"Ada"}), frozenset({"Eve"}), frozenset({"t1"}))
    room = Room(first=96_000, now=ZERO + 100 * TICK, orders=HostOrders.from_json(orders.to_json()))
    room.joined("Ada", 7)
    room.tick(3)
    assert room.heard() == [(0, 3)]
    with pytest.raises(Forbidden):
        room.owner.guests.check("Eve", Grant("admin"))
    room.owner.unmute("Ada")
    room.tick(3)
    assert room.heard()[-1][0] == 7


@pytest.mark.parametrize("order", ["mute", "unmute", "remove"])
def test_orders_for_nobody_are_refused(order: str) -> None:
    room = Room()
    room.joined("Ada", 7)
    with pytest.raises(UnknownRoom, match="nobody"):
        getattr(room.owner, order)("Eve")
    assert room.owner.guests.orders == HostOrders()


@pytest.mark.parametrize(("part", "method"), [("source", "pull"), ("strip", "_treated")])
def test_a_source_or_a_strip_that_breaks_takes_only_its_speaker_out(
    monkeypatch: pytest.MonkeyPatch, part: str, method: str
) -> None:
    room = Room()
    ada, bo = room.joined("Ada", 7), room.joined("Bo", 500)
    room.tick(3)

    def broken(_: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(getattr(ada, part), method, broken)
    room.tick(5)
    assert room.heard()[-1] == (500, 4)
    ((speaker, error),) = room.owner.take_failed()
    assert speaker is ada
    assert isinstance(error, RuntimeError)
    assert room.owner.take_failed() == []
    assert [speaker.name for speaker in room.owner.live().speakers] == [bo.name]


def test_a_voice_is_filtered_and_a_programme_is_not() -> None:
    room = Room()
    for sound, name in ((AS_IT_IS, "programme"), (VOICE, "voice")):
        speaker = room.speaker(name, sound=sound)
        room.owner.join(speaker)
        speaker.feed(np.full(START_BUFFER, 500, "<i2").tobytes(), real_samples(room.now))
        room.tick(11)
        room.owner.leave(speaker)
        room.tick(5)
    assert room.heard()[0] == (500, 10)
    assert abs(room.bus.read(20 * BLOCK, 26 * BLOCK)).max() < 50  # DC is rumble


def test_what_a_host_sees_of_the_take() -> None:
    room = Room()
    room.joined("Ada", LOUD)
    room.joined("Bo", 1)
    room.joined(None, 1, 10)
    room.tick(30)
    live = room.owner.live()
    assert (live.key, live.sample) == (KEY, 30 * BLOCK)
    rows = [(row.name, row.kind, row.speaking, row.joined) for row in live.speakers]
    assert rows == [("Ada", "pcm", True, 0), ("Bo", "pcm", False, 0), (None, "pcm", False, None)]
    assert live.integrated is not None
    assert -16 < live.integrated < -8
    told = live.to_json()
    assert told["loudness"] == {"integrated": round(live.integrated, 1), "short_term": None}
    assert told["speakers"][2] == {  # type: ignore[index]
        "name": None,
        "kind": "pcm",
        "speaking": False,
        "muted": False,
        "joined": None,
        "samples": 0,
        "silence": 0,
        "dropped": 0,
    }


def test_after_a_restart_the_names_of_before_are_taken_back() -> None:
    room = Room(first=96_000, now=ZERO + 200 * TICK, named=True)
    assert room.owner.named
    room.tick()
    assert [names for _, names in room.said()] == [()]
    assert not room.owner.named
