"""The owner of a take in virtual time: what is on the bus, and when."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.take import TakeHeader, TakeKey, TakeSettings
from workers.intake import READ_AHEAD, START_BUFFER
from workers.memory_bus import MemoryTakeBus
from workers.owner import TakeOwner
from workers.speaker import Speaker
from workers.take_clock import TakeClock, real_samples

BLOCK = 960
TICK = 20_000_000
ZERO = 5_000_000_000
KEY = TakeKey("room", "20260131T200000Z-abc234")


class Room:
    """An owner and its clock; every speaker says a number of its own, so that one hears who it was."""

    def __init__(self, channels: int = 1, first: int = 0, now: int = ZERO, *, named: bool = False) -> None:
        header = TakeHeader(0, TakeSettings(channels=channels), "f")
        self.bus = MemoryTakeBus(KEY, header, first)
        self.owner = TakeOwner(self.bus, TakeClock(ZERO), now, named=named)
        self.now = now

    def speaker(self, name: str | None = None, channels: int = 1) -> Speaker:
        return Speaker("room", name, channels, self.now)

    def say(self, speaker: Speaker, value: int, samples: int) -> None:
        pcm = np.full((samples, speaker.intake.channels), value, dtype="<i2")
        speaker.feed(pcm.tobytes(), self.now, real_samples(self.now))

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += TICK
            self.owner.tick(self.now)

    def events(self) -> list[tuple[int, int, tuple[str, ...]]]:
        """(block, n, names) of what was said of the speakers."""
        return [(event.sample // BLOCK, event.n, event.speakers) for event in self.bus.events_from(0)]

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
    speaker = room.speaker()
    room.say(speaker, 7, START_BUFFER)
    room.owner.join(speaker)
    room.tick()
    assert room.heard() == [(7, 1)]


def test_where_nobody_speaks_there_is_silence() -> None:
    room = Room()
    room.tick(5)
    speaker = room.speaker()
    room.owner.join(speaker)
    room.tick(2)
    room.say(speaker, 7, START_BUFFER)
    room.tick(10)
    room.owner.leave(speaker, room.now)
    room.tick(3)
    assert room.heard() == [(0, 7), (7, 10), (0, 3)]
    assert room.owner.sound == 10 * BLOCK
    assert room.owner.silence == 10 * BLOCK


@pytest.mark.parametrize(("sent", "taken", "wanted"), [(2, 1, [7]), (1, 2, [7, 7])])
def test_a_sender_with_other_channels_is_remixed(sent: int, taken: int, wanted: list[int]) -> None:
    room = Room(channels=taken)
    speaker = room.speaker(channels=sent)
    room.say(speaker, 7, START_BUFFER)
    room.owner.join(speaker)
    room.tick(3)
    assert room.bus.read(2 * BLOCK, 2 * BLOCK + 1).tolist() == [wanted]


def test_a_connection_that_is_cut_is_heard_to_its_end() -> None:
    room = Room()
    speaker = room.speaker()
    room.say(speaker, 7, START_BUFFER + 1)
    room.owner.join(speaker)
    room.tick(4)
    room.owner.leave(speaker, room.now)
    room.tick(9)
    assert room.heard() == [(7, 11), (0, 2)]
    assert room.owner.alone_ns == ZERO + 4 * TICK


def test_a_replaced_connection_is_heard_until_the_new_one_is_ready() -> None:
    room = Room()
    old, new = room.speaker("Ada"), room.speaker("Ada")
    room.say(old, 7, READ_AHEAD)
    room.owner.join(old)
    room.tick(2)
    room.owner.join(new)
    room.tick(3)
    room.say(new, 9, START_BUFFER)
    room.tick(10)
    room.owner.leave(old, room.now)  # its task ends late: the new one stays
    assert room.owner.speaker is new
    assert room.heard() == [(7, 5), (9, 10)]


def test_who_speaks_is_said_before_the_sound_and_once() -> None:
    room = Room()
    ada, nobody = room.speaker("Ada"), room.speaker()
    room.tick(2)
    room.owner.join(ada)
    room.tick(2)
    room.say(ada, 7, START_BUFFER)
    room.tick(10)
    room.owner.leave(ada, room.now)
    room.tick(5)
    room.owner.join(nobody)
    room.say(nobody, 7, START_BUFFER)
    room.tick(50)
    assert room.events() == [(4, 0, ("Ada",)), (54, 0, ())]


def test_who_speaks_stays_said_for_a_second() -> None:
    room = Room()
    for name, pause in (("Ada", 5), ("Ada", 5), ("Bo", 5), ("Ada", 60)):
        speaker = room.speaker(name)
        room.owner.join(speaker)
        room.say(speaker, 7, START_BUFFER)
        room.tick(10)
        room.owner.leave(speaker, room.now)
        room.tick(pause)
    # Bo, who was heard from block 30 to 40 only, came and went within Ada's second.
    assert room.events() == [(0, 0, ("Ada",)), (55, 0, ())]


def test_after_a_restart_the_names_of_before_are_taken_back() -> None:
    room = Room(first=96_000, now=ZERO + 200 * TICK, named=True)
    assert room.owner.named
    room.tick()
    assert [event.speakers for event in room.bus.events_from(0)] == [()]
    assert not room.owner.named


def test_patience_stops_where_the_sender_may_still_deliver() -> None:
    room = Room()
    speaker = room.speaker()
    room.say(speaker, 7, START_BUFFER + 100)
    room.owner.join(speaker)
    room.now += 20 * TICK
    assert room.owner.tick(room.now, patient=True)
    assert room.bus.top == 10 * BLOCK
    room.say(speaker, 7, 30 * BLOCK)
    assert not room.owner.tick(room.now, patient=True)
    assert room.heard() == [(7, 20)]


def test_patience_is_not_for_who_has_finished() -> None:
    room = Room()
    speaker = room.speaker()
    room.say(speaker, 7, START_BUFFER + 100)
    speaker.intake.finish()
    room.owner.join(speaker)
    room.now += 20 * TICK
    assert not room.owner.tick(room.now, patient=True)
    assert room.bus.top == 20 * BLOCK


def test_a_resumed_take_fills_the_downtime_with_silence_at_once() -> None:
    room = Room(first=96_000, now=ZERO + 1500 * TICK)
    room.tick()
    assert room.bus.first == 96_000
    assert room.heard() == [(0, 1401)]


def test_a_resumed_take_waits_until_its_clock_gets_there() -> None:
    room = Room(first=96_000, now=ZERO + 50 * TICK)
    live, file = room.speaker(), room.speaker()
    room.owner.join(live)
    room.say(live, 7, START_BUFFER)
    for _ in range(50):
        room.say(live, 7, BLOCK)
        room.tick()
    assert room.bus.top == 96_000
    room.say(live, 8, BLOCK)
    room.tick()
    assert room.bus.top == 96_000 + BLOCK
    # What was said before the clock was there is dropped, so that the room is not late ever after.
    assert live.intake.held == START_BUFFER
    assert live.intake.dropped == 50 * BLOCK
    room.owner.join(file)
    assert live.intake.finished


def test_a_file_waits_with_a_resumed_take() -> None:
    room = Room(first=96_000, now=ZERO + 50 * TICK)
    file = room.speaker()
    room.owner.join(file)
    room.say(file, 7, READ_AHEAD)
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
        speaker.feed(data[start : start + 777], room.now, 0)
    assert speaker.odd_bytes == 0
    speaker.feed(b"\1\2\3", room.now, 0)
    assert speaker.odd_bytes == 3
    room.owner.join(speaker)
    room.tick(10)
    assert np.array_equal(room.bus.read(0, START_BUFFER), pcm)


def test_a_resumed_clock_reads_the_wall_once() -> None:
    clock = TakeClock.resumed(epoch_us=1_000_000, wall_us=3_500_000, now_ns=77)
    assert clock.blocks_over(77) == 125
    assert clock.blocks_over(77 + TICK) == 126
    assert clock.blocks_over(0) == 124
    assert TakeClock(100).blocks_over(0) == 0
