"""The load tool's arithmetic: percentiles, buffers, timers, and what the clock of a server says."""

import json
import time

import pytest

from longwave.load.buffer import Buffer
from longwave.load.server_clock import ServerClock
from longwave.load.tally import Histogram, Tally
from longwave.load.timers import Timers


def histogram(*seconds: float) -> Histogram:
    made = Histogram()
    for each in seconds:
        made.add(each)
    return made


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.000127, 0.000128, 0.0123, 0.999999, 1.0, 59.9, 86_400.0])
def test_a_percentile_is_at_most_a_sixty_fourth_too_high(seconds: float) -> None:
    # A larger one beside it, so that the largest value of all does not cut the bucket.
    found = histogram(seconds, 1e6).quantile(0.5)
    assert found is not None
    assert seconds - 1e-6 <= found <= seconds * (1 + 1 / 64) + 1e-6


def test_percentiles_are_of_all_that_was_counted() -> None:
    found = histogram(*(number / 1000 for number in range(1, 1001)))
    assert found.quantile(0.5) == pytest.approx(0.5, rel=1 / 64)
    assert found.quantile(0.99) == pytest.approx(0.99, rel=1 / 64)
    assert found.quantile(1) == 1.0
    assert found.summary()["mean"] == pytest.approx(0.5005)


def test_nothing_has_no_percentile_and_less_than_nothing_is_nothing() -> None:
    assert Histogram().quantile(0.5) is None
    assert Histogram().summary()["max"] is None
    assert histogram(-0.004).quantile(1) == 0.0


@pytest.mark.parametrize(
    ("took", "every", "counted"),
    [
        (0.5, 2.0, [0.5]),
        (2.5, 2.0, [2.5, 0.5]),
        (6.5, 2.0, [6.5, 4.5, 2.5, 0.5]),
        (3.0, 0.0, [3.0]),
        (-0.0002, 2.0, [0.0]),
    ],
)
def test_requests_that_were_due_while_a_server_stood_still_count_too(
    took: float, every: float, counted: list[float]
) -> None:
    found, expected = Histogram(), histogram(*counted)
    found.add_with_missed(took, every)
    assert found.counts == expected.counts


def test_counts_of_processes_add_up_over_a_pipe_of_json() -> None:
    one, two = Tally(), Tally()
    for tally, status, took in ((one, "status.part.200", 0.01), (two, "status.part.200", 0.03)):
        tally.counts[status] += 2
        tally.time("latency.part").add(took)
    two.counts["status.part.404"] += 1
    total = Tally()
    for tally in (one, two):
        total.merge(Tally.from_json(json.loads(json.dumps(tally.to_json()))))
    assert total.under("status") == {"part.200": 4, "part.404": 1}
    assert total.times_under("latency")["part"]["count"] == 2
    assert total.times_under("latency")["part"]["max"] == pytest.approx(0.03)
    assert one.time("latency.part").number == 1


# ---- buffers ----------------------------------------------------------------------------------------------


def test_a_buffer_plays_in_real_time_and_tells_when_it_ran_dry() -> None:
    buffer = Buffer()
    buffer.begin(0.5)
    assert buffer.append(2.0, 100.0) == 0.0
    assert not buffer.advance(101.0)
    assert buffer.position == pytest.approx(1.5)
    assert buffer.ahead == pytest.approx(0.5)
    # Looked at late: it ran dry half a second after the last look.
    assert buffer.advance(103.0)
    assert buffer.dry_since == pytest.approx(101.5)
    assert buffer.position == 2.0
    assert not buffer.advance(104.0), "it runs dry once"
    assert buffer.append(2.0, 104.5) == pytest.approx(3.0), "from 101.5 to 104.5 nothing was heard"
    assert not buffer.advance(105.5)
    assert buffer.position == pytest.approx(3.0), "it goes on where it stopped"


def test_a_buffer_does_not_begin_with_a_crumb() -> None:
    buffer = Buffer()
    buffer.begin(1.95)
    buffer.append(2.0, 10.0)
    buffer.advance(10.5)
    assert (buffer.playing, buffer.position) == (False, 1.95)
    buffer.append(2.0, 10.5)
    assert (buffer.playing, buffer.position) == (True, 1.95)


def test_media_in_time_never_runs_dry() -> None:
    buffer = Buffer()
    buffer.begin(0.0)
    for number in range(50):
        assert buffer.append(2.0, 2.0 * number) == 0.0
        assert not buffer.advance(2.0 * number + 1.999)


def test_the_end_of_a_take_is_no_rebuffering() -> None:
    buffer = Buffer()
    buffer.begin(0.0)
    buffer.append(2.0, 0.0)
    buffer.close()
    assert not buffer.advance(5.0)
    assert buffer.dry_since is None


def test_to_begin_anew_is_dry_until_it_plays_again() -> None:
    buffer = Buffer()
    buffer.begin(0.0)
    buffer.append(2.0, 0.0)
    assert buffer.interrupt(1.0)
    buffer.begin(0.25)
    assert buffer.append(2.0, 1.75) == pytest.approx(0.75)
    buffer.advance(2.75)
    assert buffer.position == pytest.approx(1.25)


# ---- time -------------------------------------------------------------------------------------------------


def test_what_is_due_is_done_in_order_and_its_lateness_told() -> None:
    late: list[float] = []
    done: list[tuple[str, float]] = []
    timers = Timers(late.append)
    timers.at(3.0, lambda when: done.append(("third", when)))
    timers.at(1.0, lambda when: done.append(("first", when)))
    timers.at(1.0, lambda when: done.append(("second", when)))
    timers.run(lambda: 0.5)
    assert done == []
    assert timers.next == 1.0
    timers.run(lambda: 1.5)
    assert done == [("first", 1.0), ("second", 1.0)]
    assert late == [0.5, 0.5]
    assert timers.next == 3.0


def test_what_comes_to_be_due_meanwhile_is_done_too() -> None:
    done: list[float] = []
    timers = Timers(lambda _: None)
    timers.at(1.0, lambda when: timers.at(when + 1.0, done.append))
    timers.run(lambda: 2.0)
    assert done == [2.0]
    assert timers.next is None


def test_the_servers_clock_is_the_one_here_on_the_same_machine() -> None:
    clock = ServerClock(same=True)
    clock.observe(b"Thu, 01 Jan 2026 00:00:10 GMT", 100.0)
    assert clock.ahead == pytest.approx(time.time() - time.monotonic(), abs=1)


def test_the_servers_clock_is_what_the_answer_says_that_says_most() -> None:
    clock = ServerClock(same=False)
    ten = 1_767_225_610.0
    clock.observe(b"Thu, 01 Jan 2026 00:00:10 GMT", 100.9)
    assert clock.ahead == pytest.approx(ten - 100.9)
    clock.observe(b"Thu, 01 Jan 2026 00:00:11 GMT", 101.1)
    assert clock.ahead == pytest.approx(ten + 1 - 101.1)
    # Of a cache: old, and so it says nothing.
    clock.observe(b"Thu, 01 Jan 2026 00:00:05 GMT", 102.0)
    clock.observe(b"no date", 102.0)
    clock.observe(b"", 102.0)
    assert clock.ahead == pytest.approx(ten + 1 - 101.1)
