"""The owner of a take in virtual time: what is on the bus, and when."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.access import Grant
from contracts.errors import Forbidden, UnknownRoom
from contracts.take import TakeHeader, TakeKey, TakeSettings
from pipeline.mix.sound import AS_IT_IS, VOICE, Sound
from pipeline.mix.strip import Strip
from workers.guest_list import HostOrders
from workers.intake import READ_AHEAD, START_BUFFER, Intake
from workers.memory_bus import MemoryTakeBus
from workers.owner import Before, TakeOwner
from workers.speaker import PcmSpeaker
from workers.take_clock import TakeClock, real_samples

BLOCK = 960
TICK = 20_000_000
ZERO = 5_000_000_000
KEY = TakeKey("room", "20260131T200000Z-abc234")
LOUD = 8000


def square(value: int, samples: int, channels: int = 1) -> NDArray[np.int16]:
    """1 kHz that swings between `value` and its negative: any piece of it tells who it was."""
    signs = np.where(np.arange(samples) // 24 % 2, -1, 1)
    return np.repeat((signs * value).astype("<i2")[:, None], channels, axis=1)


class Room:
    """An owner and its clock; every speaker says a number of its own, so that one hears who it was."""

    def __init__(
        self,
        channels: int = 1,
        first: int = 0,
        now: int = ZERO,
        *,
        named: bool = False,
        orders: HostOrders | None = None,
    ) -> None:
        header = TakeHeader(0, TakeSettings(channels=channels), "f")
        self.bus = MemoryTakeBus(KEY, header, first)
        self.owner = TakeOwner(self.bus, TakeClock(ZERO), now, Before(named, orders or HostOrders()))
        self.now = now

    def speaker(
        self, name: str | None = None, channels: int = 1, sound: Sound = AS_IT_IS, token: str | None = None
    ) -> PcmSpeaker:
        wanted = self.bus.header.settings.channels
        grant = Grant("speaker", "room", name, token)
        source, strip = Intake(channels, BLOCK, wanted), Strip(wanted, sound, BLOCK)
        return PcmSpeaker("room", name, "pcm", grant, source, strip)

    def say(self, speaker: PcmSpeaker, value: int, samples: int) -> None:
        pcm = square(value, samples, speaker.intake.channels)
        speaker.feed(pcm.tobytes(), real_samples(self.now))

    def joined(self, name: str | None, value: int, samples: int = READ_AHEAD, **more: str) -> PcmSpeaker:
        """Somebody who is there and has sent that much."""
        speaker = self.speaker(name, **more)  # type: ignore[arg-type]
        self.owner.join(speaker)
        self.say(speaker, value, samples)
        return speaker

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += TICK
            self.owner.tick(self.now)

    def said(self) -> list[tuple[int, tuple[str, ...]]]:
        """(block, names) of what listeners are told of the speakers."""
        events = self.bus.events_from(0)
        return [(event.sample // BLOCK, event.speakers) for event in events if event.kind == "speakers"]

    def story(self) -> list[tuple[int, str, str]]:
        """(block, what, who) of all else that was told."""
        events = self.bus.events_from(0)
        told = [event for event in events if event.kind != "speakers"]
        return [(event.sample // BLOCK, event.kind, "".join(event.speakers) or event.title) for event in told]

    def heard(self) -> list[tuple[int, int]]:
        """(value, blocks) of everything on the bus, neighbours together."""
        runs: list[tuple[int, int]] = []
        for start in range(self.bus.first, self.bus.top, BLOCK):
            value = int(self.bus.read(start, start + BLOCK).max())
            if runs and runs[-1][0] == value:
                runs[-1] = (value, runs[-1][1] + 1)
            else:
                runs.append((value, 1))
        return runs


def test_a_block_is_written_when_it_is_over_and_not_before() -> None:
    room = Room()
    room.owner.tick(ZERO + TICK - 1)
    assert room.bus.top == 0
    room.owner.tick(ZERO + TICK)
    assert room.bus.top == BLOCK
    room.owner.tick(ZERO + TICK)
    assert room.bus.top == BLOCK
    room.owner.tick(ZERO + 4 * TICK + 1)
    assert room.bus.top == 4 * BLOCK


def test_an_hour_of_ticks_at_odd_moments_does_not_drift() -> None:
    room = Room()
    for tick in range(1, 9001):
        room.owner.tick(ZERO + tick * 399_999_937)
    assert room.bus.top == 9000 * 399_999_937 // TICK * BLOCK


def test_sample_0_of_the_take_is_the_first_sample_of_its_sound() -> None:
    room = Room()
    room.joined(None, 7, START_BUFFER)
    room.tick()
    assert np.array_equal(room.bus.read(0, BLOCK), square(7, BLOCK))


def test_where_nobody_speaks_there_is_silence() -> None:
    room = Room()
    room.tick(5)
    speaker = room.speaker()
    room.owner.join(speaker)
    room.tick(2)
    room.say(speaker, 7, START_BUFFER)
    room.tick(11)  # the first block of them is what the mixer looks ahead
    room.owner.leave(speaker)
    room.tick(3)
    assert room.heard() == [(0, 8), (7, 10), (0, 3)]
    assert room.owner.sound == 10 * BLOCK
    assert room.owner.silence == 11 * BLOCK


@pytest.mark.parametrize(("sent", "taken", "wanted"), [(2, 1, [7]), (1, 2, [7, 7])])
def test_a_sender_with_other_channels_is_remixed(sent: int, taken: int, wanted: list[int]) -> None:
    room = Room(channels=taken)
    speaker = room.speaker(channels=sent)
    room.say(speaker, 7, START_BUFFER)
    room.owner.join(speaker)
    room.tick(3)
    assert room.bus.read(2 * BLOCK, 2 * BLOCK + 1).tolist() == [wanted]


def test_two_speakers_are_heard_together_each_in_its_time() -> None:
    room = Room()
    room.joined("Ada", 500, START_BUFFER + 5 * BLOCK)
    room.tick(4)
    room.joined("Bo", 30, START_BUFFER)
    room.tick(20)
    assert room.heard() == [(500, 5), (530, 10), (0, 9)]


def test_many_loud_speakers_stay_below_full_scale() -> None:
    room = Room()
    for name in "abcdefghij":
        room.joined(name, 12_000)
    room.tick(40)
    assert room.bus.read(0, room.bus.top).max() < 32_767 * 0.9  # -1 dBTP


def test_a_connection_that_is_cut_is_heard_to_its_end() -> None:
    room = Room()
    speaker = room.joined("Ada", 7, START_BUFFER + 1)
    room.tick(4)
    room.owner.leave(speaker)
    room.tick(9)
    assert room.story() == [(0, "join", "Ada"), (11, "leave", "Ada")]
    assert np.array_equal(room.bus.read(0, START_BUFFER + 1), square(7, START_BUFFER + 1))
    assert room.heard() == [(7, 11), (0, 2)]
    assert room.owner.live().speakers == ()


def test_a_replaced_connection_is_heard_until_the_new_one_is_ready() -> None:
    room = Room()
    room.joined("Ada", 7)
    room.tick(2)
    new = room.speaker("Ada")
    room.owner.join(new)
    room.tick(3)
    room.say(new, 9, START_BUFFER)
    room.tick(10)
    assert room.heard() == [(7, 6), (9, 9)]
    assert len(room.owner.live().speakers) == 1


def test_a_successor_that_comes_to_nothing_leaves_the_old_one_to_its_end() -> None:
    room = Room()
    room.joined("Ada", 7, START_BUFFER + 5 * BLOCK)
    room.tick(2)
    for _ in range(2):
        successor = room.speaker("Ada")
        room.owner.join(successor)
        room.tick()
        room.owner.leave(successor)
    room.tick(20)
    assert room.heard() == [(7, 15), (0, 9)]
    assert [what for _, what, _ in room.story()] == ["join", "leave"]


@pytest.mark.parametrize("heard", [True, False])
def test_who_connects_again_and_again_leaves_nothing_behind(heard: bool) -> None:
    """Each time before the connection that is replaced is over; with sound, or never with any."""
    room = Room()
    connections = []
    for _ in range(6):
        speaker = room.joined("Ada", 7, START_BUFFER if heard else 0)
        connections.append(weakref.ref(speaker))
        room.tick(3)
    del speaker
    gc.collect()
    assert sum(there() is not None for there in connections) <= 2  # and the one that it stands in for


def test_a_storm_of_connections_under_one_name_costs_as_little_as_four() -> None:
    # Each leaves a second of sound behind that nobody is ready to replace: all of them would be mixed.
    room = Room()
    room.joined("Bo", 500)
    for _ in range(50):
        room.owner.leave(room.joined("Ada", 7))
        assert room.owner.crowd <= 5
    room.tick(2)
    assert room.owner.crowd <= 5
    room.say(room.joined("Ada", 9), 9, START_BUFFER)
    room.tick(3)
    assert [what for _, what, who in room.story() if who == "Ada"] == ["join"]


def test_somebody_without_a_name_replaces_nobody() -> None:
    room = Room()
    room.joined(None, 500)
    room.joined(None, 30)
    room.tick(4)
    assert room.heard() == [(530, 4)]
    assert room.story() == []


def test_what_was_fed_has_been_played_when_it_is_on_the_bus() -> None:
    room = Room()
    speaker = room.joined(None, 7, START_BUFFER)
    speaker.intake.finish()
    seen = []
    for _ in range(10):
        room.tick()
        seen.append((speaker.intake.drained, speaker.held))
    assert seen == [(False, True)] * 8 + [(True, True), (True, False)]  # the mixer has the last block
    assert room.heard() == [(7, 10)]


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


def test_patience_stops_where_a_sender_may_still_deliver() -> None:
    room = Room()
    slow, quick = room.joined("slow", 500, START_BUFFER + 100), room.joined("quick", 30)
    room.now += 20 * TICK
    assert room.owner.tick(room.now, {slow, quick}) == [slow]
    assert room.bus.top == 9 * BLOCK  # one block more is in the mixer
    assert room.owner.tick(room.now, {slow, quick}) == [slow]
    room.say(slow, 500, 30 * BLOCK)
    assert room.owner.tick(room.now, {slow, quick}) == []
    assert room.bus.top == 20 * BLOCK
    assert room.heard()[0] == (530, 20)


def test_patience_is_not_for_who_has_finished_or_was_read_dry() -> None:
    room = Room()
    done, dry = room.joined(None, 7, START_BUFFER + 100), room.joined(None, 7, START_BUFFER)
    done.intake.finish()
    room.now += 20 * TICK
    assert room.owner.tick(room.now, {done, dry}) == [dry]
    assert room.owner.tick(room.now, {done}) == []
    assert room.bus.top == 20 * BLOCK


def test_a_resumed_take_fills_the_downtime_with_silence_at_once() -> None:
    room = Room(first=96_000, now=ZERO + 1500 * TICK)
    room.tick()
    assert room.bus.first == 96_000
    assert room.heard() == [(0, 1401)]


def test_a_resumed_take_waits_until_its_clock_gets_there() -> None:
    room = Room(first=96_000, now=ZERO + 50 * TICK)
    live = room.joined(None, 7, START_BUFFER)
    for _ in range(50):
        room.say(live, 7, BLOCK)
        room.tick()
    assert room.bus.top == 96_000
    room.say(live, 7, BLOCK)
    room.tick()
    assert room.bus.top == 96_000 + BLOCK
    # What was said before the clock was there is dropped, so that the room is not late ever after.
    assert live.intake.held == START_BUFFER
    assert live.intake.dropped == 50 * BLOCK


def test_a_file_waits_with_a_resumed_take() -> None:
    room = Room(first=96_000, now=ZERO + 50 * TICK)
    file = room.joined(None, 7, READ_AHEAD)
    room.tick(60)
    assert file.intake.dropped == 0
    assert file.intake.taken == 10 * BLOCK


def test_the_end_is_where_the_bus_is() -> None:
    room = Room()
    room.tick(3)
    assert room.owner.end() == room.bus.ended == 3 * BLOCK


def test_bytes_that_are_cut_anywhere_come_together_again() -> None:
    room = Room(channels=2)
    speaker = room.speaker(channels=2)
    pcm = np.arange(1, 2 * START_BUFFER + 1).astype("<i2").reshape(-1, 2)
    data = pcm.tobytes()
    for start in range(0, len(data), 777):
        speaker.feed(data[start : start + 777], 0)
    assert speaker.odd_bytes == 0
    speaker.feed(b"\1\2\3", 0)
    assert speaker.odd_bytes == 3
    speaker.intake.finish()
    room.owner.join(speaker)
    room.tick(10)
    assert np.array_equal(room.bus.read(0, START_BUFFER), pcm)


def test_a_resumed_clock_reads_the_wall_once() -> None:
    clock = TakeClock.resumed(epoch_us=1_000_000, wall_us=3_500_000, now_ns=77)
    assert clock.blocks_over(77) == 125
    assert clock.blocks_over(77 + TICK) == 126
    assert clock.blocks_over(0) == 124
    assert TakeClock(100).blocks_over(0) == 0
