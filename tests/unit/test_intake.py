"""One sender's buffer in virtual time: a tick is 960 samples, and no clock is read."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.intake import LATE, READ_AHEAD, START_BUFFER, Intake

BLOCK = 960
RATE = 48_000


class Line:
    """A sender, its line and the ticks: `arrivals[tick]` samples arrive before that tick."""

    def __init__(self, channels: int = 1) -> None:
        self.intake = Intake(channels)
        self.sent = 0
        self.now = 0
        self.out: list[bytes | None] = []

    def arrive(self, count: int) -> None:
        """The next `count` samples: every one says which it is, and none is 0."""
        index = np.arange(self.sent, self.sent + count)
        pcm = np.repeat((index % 32_000 + 1).astype("<i2")[:, None], self.intake.channels, axis=1)
        self.intake.push(pcm.tobytes(), self.now)
        self.sent += count

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now += BLOCK
            block = self.intake.pull()
            size = BLOCK * 2 * self.intake.channels
            self.out.append(None if block is None else block.tobytes().ljust(size, b"\0"))

    def steady(self, ticks: int) -> None:
        for _ in range(ticks):
            self.arrive(BLOCK)
            self.tick()

    @property
    def played(self) -> list[int]:
        """Every sample that came out, silence as 0; one channel of it."""
        size = BLOCK * 2 * self.intake.channels
        whole = b"".join(block or bytes(size) for block in self.out)
        return [int(sample) for sample in np.frombuffer(whole, "<i2")[:: self.intake.channels]]

    @property
    def sound(self) -> list[int]:
        return [sample for sample in self.played if sample]


def ramp(start: int, stop: int) -> list[int]:
    return [index % 32_000 + 1 for index in range(start, stop)]


def test_nothing_is_played_before_the_start_buffer_is_full() -> None:
    line = Line()
    for _ in range(10):
        line.arrive(BLOCK - 1)
        line.tick()
    line.arrive(10)
    line.tick()
    assert line.out[:10] == [None] * 10
    assert line.sound == ramp(0, BLOCK)
    assert line.intake.silence == 0  # it had not begun to speak


@pytest.mark.parametrize("channels", [1, 2])
def test_a_steady_sender_loses_nothing(channels: int) -> None:
    line = Line(channels)
    line.arrive(START_BUFFER)
    line.steady(200)
    assert line.played == ramp(0, 200 * BLOCK)
    assert (line.intake.silence, line.intake.dropped) == (0, 0)


def test_a_burst_at_the_start_is_kept_whole() -> None:
    line = Line()
    line.arrive(RATE // 2)
    line.steady(1000)
    assert line.played == ramp(0, 1000 * BLOCK)
    assert (line.intake.silence, line.intake.dropped, line.intake.fast) == (0, 0, False)


def test_what_is_left_is_played_to_the_last_sample_after_the_end() -> None:
    line = Line()
    line.arrive(3 * BLOCK + 7)
    line.intake.finish()
    line.tick(5)
    assert line.played == [*ramp(0, 3 * BLOCK + 7), *[0] * (2 * BLOCK - 7)]
    assert line.intake.drained
    assert (line.intake.taken, line.intake.silence) == (3 * BLOCK + 7, 0)


def test_a_sender_without_a_sample_is_drained_at_once() -> None:
    line = Line()
    line.intake.finish()
    assert line.intake.drained
    assert not line.intake.ready


def test_an_exhausted_buffer_is_silent_and_fills_again() -> None:
    line = Line()
    line.arrive(START_BUFFER + 100)
    line.tick(11)
    line.arrive(START_BUFFER - 101)
    line.tick()
    line.arrive(1)
    line.tick()
    assert [block is not None for block in line.out[-4:]] == [True, False, False, True]
    assert line.intake.silence == 2 * BLOCK


def test_a_sender_that_breaks_off_ends_with_a_whole_block() -> None:
    """The rest is heard when it goes on: padded now, it would be a step from sound to silence."""
    line = Line()
    line.arrive(START_BUFFER + 100)
    line.tick(12)
    assert line.played == [*ramp(0, START_BUFFER), *[0] * (2 * BLOCK)]
    line.arrive(START_BUFFER)
    line.tick()
    assert line.sound == ramp(0, START_BUFFER + BLOCK)


def test_after_a_stall_what_is_late_is_dropped_and_time_fits_again() -> None:
    line = Line()
    line.arrive(START_BUFFER)
    line.steady(50)
    line.tick(100)  # two seconds without a sample,
    line.arrive(100 * BLOCK)  # and then all of them
    line.steady(200)
    intake = line.intake
    assert intake.dropped == intake.silence == 90 * BLOCK
    assert line.sound == [*ramp(0, 60 * BLOCK), *ramp(150 * BLOCK, 350 * BLOCK)][: len(line.sound)]
    # Each sample sounds when it would have without the stall.
    assert line.played[-BLOCK:] == ramp(349 * BLOCK, 350 * BLOCK)


@pytest.mark.parametrize("chunk", [100, BLOCK, 32_768, 65_536])
def test_a_long_stall_is_dropped_in_whatever_pieces_it_arrives(chunk: int) -> None:
    line = Line()
    line.arrive(START_BUFFER)
    line.steady(50)
    line.tick(500)
    left = 500 * BLOCK
    while left:
        assert line.intake.room > 0  # it is read on: what is late never waits in the socket
        line.arrive(min(chunk, left))
        left -= min(chunk, left)
    line.steady(200)
    assert line.intake.dropped == line.intake.silence == 490 * BLOCK
    assert not line.intake.fast
    assert line.intake.held == START_BUFFER


def test_a_short_stall_within_the_buffer_costs_nothing() -> None:
    line = Line()
    line.arrive(START_BUFFER)
    line.tick(10)
    line.arrive(10 * BLOCK)
    line.steady(500)
    assert line.played == ramp(0, 510 * BLOCK)


def test_lateness_within_the_hysteresis_is_left_alone() -> None:
    line = Line()
    line.arrive(START_BUFFER)
    line.tick(15)  # 100 ms of silence
    line.arrive(15 * BLOCK)
    line.steady(500)
    assert line.intake.held == 15 * BLOCK < LATE
    assert line.intake.dropped == 0


def test_a_sender_of_large_chunks_finds_its_own_buffer() -> None:
    """Half a second at a time, one of them late once: one short silence, and then nothing is lost."""
    line = Line()
    line.arrive(25 * BLOCK)
    line.tick(27)  # the second chunk is 40 ms late
    for _ in range(40):
        line.arrive(25 * BLOCK)
        line.tick(25)
    assert line.intake.dropped == 0
    assert line.intake.silence == 2 * BLOCK
    assert line.sound == ramp(0, len(line.sound))


def test_a_fast_sender_is_paced_and_never_dropped() -> None:
    line = Line()
    for _ in range(300):
        while line.intake.room > 0:
            line.arrive(32_768)
        assert line.intake.held < READ_AHEAD + 32_768
        line.tick()
    assert line.intake.fast
    line.tick(100)  # the file's disk stalls
    for _ in range(300):
        while line.intake.room > 0:
            line.arrive(32_768)
        line.tick()
    line.intake.finish()
    line.tick(100)
    assert line.intake.dropped == 0
    assert line.intake.silence > 0
    assert line.sound == ramp(0, line.sent)


def test_a_pause_is_not_lateness_for_ever() -> None:
    """A sender that stops without a word, and speaks on in time: later bursts are jitter, not old debt."""
    line = Line()
    line.arrive(START_BUFFER)
    line.tick(200)
    line.arrive(START_BUFFER)
    line.steady(600)
    assert line.intake.dropped == 0
    line.arrive(RATE // 2)
    line.steady(100)
    assert line.intake.dropped == 0


def test_mute_is_silence_that_nobody_owes() -> None:
    line = Line()
    line.arrive(START_BUFFER)
    line.steady(10)
    line.arrive(7)
    line.intake.mute()
    line.arrive(BLOCK)  # said behind the hand: not heard
    line.tick(300)
    said = ramp(0, 20 * BLOCK + 7)
    assert line.sound == said  # said before: heard, to the last sample
    assert line.intake.silence == 0
    line.intake.unmute()
    line.sent = 0
    line.arrive(START_BUFFER)
    line.steady(100)
    assert line.intake.dropped == BLOCK
    assert line.sound == [*said, *ramp(0, 100 * BLOCK)]


def test_a_clock_that_stands_still_costs_a_live_sender_its_sound_and_a_fast_one_nothing() -> None:
    live, fast = Line(), Line()
    live.arrive(START_BUFFER)
    fast.arrive(READ_AHEAD)
    for _ in range(50):
        live.now += BLOCK
        live.arrive(BLOCK)
        live.intake.discard()
        fast.intake.discard()
    assert (live.intake.held, live.intake.dropped, live.intake.taken) == (START_BUFFER, 50 * BLOCK, 0)
    assert (fast.intake.held, fast.intake.dropped) == (READ_AHEAD, 0)
    assert live.intake.silence == fast.intake.silence == 0


@settings(max_examples=40)
@given(
    first=st.integers(0, 3 * READ_AHEAD),
    chunks=st.lists(st.integers(1, 3 * BLOCK), min_size=1, max_size=60),
    channels=st.sampled_from([1, 2]),
)
def test_a_sender_that_is_never_late_comes_out_as_it_went_in(
    first: int, chunks: list[int], channels: int
) -> None:
    """Any sizes of reads, a paced reader that fills the read-ahead before each tick."""
    line = Line(channels)
    line.arrive(first)
    for chunk in chunks:
        while line.intake.room > 0:
            line.arrive(chunk * 10)
        line.tick()
    line.intake.finish()
    while not line.intake.drained:
        line.tick()
    assert line.sound == ramp(0, line.sent)
    assert (line.intake.silence, line.intake.dropped) == (0, 0)
    assert line.intake.taken == line.sent


@settings(max_examples=40)
@given(
    burst=st.integers(START_BUFFER, RATE // 2),
    before=st.integers(1, 60),
    stall=st.integers(1, 400),
    pieces=st.integers(50, 70_000),
)
def test_one_stall_of_a_live_sender_costs_what_it_must(
    burst: int, before: int, stall: int, pieces: int
) -> None:
    """Output is the input minus what was dropped plus silence, in order, and the time is exact."""
    line = Line()
    line.arrive(burst)
    line.steady(before)
    line.tick(stall)
    left = stall * BLOCK
    while left:
        line.arrive(min(pieces, left))
        left -= min(pieces, left)
    line.steady(150)
    intake = line.intake
    sound = line.sound
    assert len(line.played) == (before + stall + 150) * BLOCK == intake.taken + intake.silence
    assert line.sent == intake.taken + intake.dropped + intake.held
    assert len(sound) == intake.taken
    # One silence, and at most a few cuts forward: never a sample twice or out of order.
    cuts = [(b - a - 1) % 32_000 for a, b in pairwise(sound) if (b - a - 1) % 32_000]
    assert sum(cuts) % 32_000 == intake.dropped % 32_000
    # It is late by no more than it was, or than the hysteresis leaves alone.
    assert intake.dropped <= intake.silence
    assert intake.held <= max(burst, LATE)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 30), st.sampled_from("pppmuf")), max_size=60))
def test_whatever_happens_nothing_is_invented_or_repeated(steps: list[tuple[int, int, str]]) -> None:
    line = Line()
    for count, ticks, what in steps:
        if what == "m":
            line.intake.mute()
        elif what == "u":
            line.intake.unmute()
        line.arrive(count)
        line.tick(ticks)
    line.intake.finish()
    line.tick(200)
    intake = line.intake
    assert intake.drained
    assert intake.received == line.sent
    assert len(line.sound) == intake.taken == line.sent - intake.dropped
    position = -1
    for sample in line.sound:
        step = (sample - 1 - position) % 32_000
        position += step
        assert step
    assert position < line.sent
