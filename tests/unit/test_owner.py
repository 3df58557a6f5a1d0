"""The owner of a take in virtual time: what is on the bus, and when."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from tests.owner_room import BLOCK, TICK, ZERO, Room, square
from workers.intake import READ_AHEAD, START_BUFFER
from workers.take_clock import TakeClock


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
