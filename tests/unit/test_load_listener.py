"""One simulated listener of a server that serves: what it asks for and when, and what it hears."""

from __future__ import annotations

import pytest

from contracts.position import Position
from longwave.load.crowd import Crowd
from pipeline.grid import Grid
from pipeline.take_window import TakeWindow
from tests.load_stage import FRONT, LINE, VARIANTS, WAITING, Stage, listed, take_of
from tests.takes import play


def test_a_plain_listener_reloads_after_a_target_duration_and_half_of_it_when_nothing_was_new(
    plain_listener: Stage,
) -> None:
    assert len(plain_listener.lines) == 1, "one connection"
    plain_listener.at(1001.9)
    assert plain_listener.asked == []
    plain_listener.at(1002.1)
    assert b'\r\nIf-None-Match: "ten"\r\n' in plain_listener.request(f"{LINE}/index.m3u8")
    plain_listener.answer(f"{LINE}/index.m3u8", b"", 304)
    # From when it was meant to be loaded: 1002, not 1002.1.
    plain_listener.at(1002.99)
    assert plain_listener.asked == []
    plain_listener.at(1003.0)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(11)), etag='"eleven"')
    assert plain_listener.asked == [f"{LINE}/10.m4s"], "what is new, once"
    plain_listener.media("10.m4s")
    plain_listener.at(1004.99)
    assert plain_listener.asked == []
    plain_listener.at(1005.0)
    assert plain_listener.asked == [f"{LINE}/index.m3u8"]
    assert plain_listener.crowd.tally.time("latency.playlist").largest == pytest.approx(100_000, abs=1)
    assert plain_listener.count("stalls") == 0


def test_latency_counts_from_the_intended_instant(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.at(1007.5)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(11)))
    took = plain_listener.crowd.tally.time("latency.playlist")
    # 5.5 s, and what two more reloads that were due would have waited.
    assert took.number == 1 + 3
    assert took.total / 1e6 == pytest.approx(5.5 + 3.5 + 1.5)


def test_an_idle_connection_that_was_closed_is_opened_again_without_an_error(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.fail(f"{LINE}/index.m3u8", untouched=True)
    assert plain_listener.asked == [f"{LINE}/index.m3u8"]
    assert plain_listener.count("reopened") == 1
    assert plain_listener.crowd.tally.under("error") == {}


def test_the_end_of_a_take_is_heard_to_its_end(plain_listener: Stage) -> None:
    take = take_of(11)
    take.end(Grid(5).start_sample(Position(11, 0)))
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take))
    plain_listener.media("10.m4s")
    plain_listener.at(1007.9)
    assert plain_listener.count("finished") == 0
    plain_listener.at(1008.1)
    assert (plain_listener.count("finished"), plain_listener.count("stalls")) == (1, 0)
    plain_listener.at(1100.0)
    assert plain_listener.asked == []


def test_whoever_leaves_closes_everything_and_its_silence_counts(plain_listener: Stage) -> None:
    plain_listener.at(1009.0)
    assert plain_listener.count("stalls") == 1
    plain_listener.listener.leave(1010.0)
    plain_listener.now = 1010.0
    assert plain_listener.listener.gone
    assert all(line.closed for line in plain_listener.lines)
    assert plain_listener.crowd.wire.in_flight == {}
    assert plain_listener.count("left") == 1
    assert plain_listener.crowd.tally.time("stall").number == 1


def test_the_hinted_part_and_the_next_playlist_are_waited_for_on_two_connections(
    fast_listener: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast_listener
    assert len(stage.lines) == 2
    assert sorted(stage.asked) == sorted([WAITING, f"{LINE}/10.0.m4s"])
    play(take, (10, 0), (10, 1))
    stage.at(1000.4)
    stage.answer(WAITING, listed(take))
    stage.media("10.0.m4s")
    assert sorted(stage.asked) == sorted([WAITING.replace("part=0", "part=1"), f"{LINE}/10.1.m4s"])
    assert stage.count("status.part.200") == 5, "nothing was asked for twice"


def test_a_hinted_part_is_played_when_the_playlist_says_how_long_it_is(
    fast_listener: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast_listener
    play(take, (10, 0), (10, 1))
    stage.media("10.0.m4s")
    before = stage.listener._playback._buffer.end
    stage.answer(WAITING, listed(take))
    assert stage.listener._playback._buffer.end - before == pytest.approx(18 * 1024 / 48_000)
    assert f"{LINE}/10.0.m4s" not in stage.asked
    assert stage.count("jumps") == 0


def test_after_a_long_silence_the_parts_that_are_no_longer_listed_are_jumped_over(
    fast_listener: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast_listener
    stage.fail(f"{LINE}/10.0.m4s")
    for msn in range(10, 16):
        play(take, (msn, 0), (msn + 1, 0))
    stage.at(1012.5)
    stage.at(1013.5)
    stage.answer(f"{LINE}/index.m3u8", listed(take))
    assert stage.asked.count(f"{LINE}/10.m4s") == 1, "whole segments, where their parts are gone"
    assert stage.count("stalls") == 1


def quiet(crowd: Crowd) -> None:
    """It has armed a timer of the real loop."""
    assert crowd._waking is not None
    crowd._waking.cancel()


async def test_the_beats_of_a_crowd_measure_it_and_let_who_has_gone_go() -> None:
    stage = Stage()
    stage.answer(FRONT, VARIANTS)
    stage.answer(f"{LINE}/index.m3u8", listed(take_of(10)))
    stage.media("init.mp4", "6.m4s", "7.m4s", "8.m4s", "9.m4s")
    stage.crowd._next_beat = stage.now
    stage.now += 1.0
    stage.crowd._wake()
    quiet(stage.crowd)
    assert stage.crowd.tally.time("distance").number == 1
    lag = stage.crowd.tally.time("lag.loop")
    assert (lag.number, lag.largest) == (101, 1_000_000), "every beat that was missed, each by how much"
    stage.at(1002.0)
    stage.now = 1013.0
    stage.crowd._wake()
    quiet(stage.crowd)
    assert stage.crowd.tally.under("error") == {"playlist.timeout": 1}
    stage.listener.leave(stage.now)
    stage.now += 1.0
    stage.crowd._wake()
    assert stage.crowd.listeners == []
    quiet(stage.crowd)
