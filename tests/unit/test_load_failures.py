"""One simulated listener of a server that fails: what it asks for again, and what of that is counted."""

from __future__ import annotations

import json

import pytest

from pipeline.take_window import TakeWindow
from tests.load_stage import FRONT, LINE, VARIANTS, WAITING, Stage, listed, take_of
from tests.takes import play


def test_an_answer_that_never_comes_is_given_up_and_asked_for_again(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.at(1011.9)
    assert plain_listener.crowd.tally.under("error") == {}
    plain_listener.at(1012.0)
    assert plain_listener.crowd.tally.under("error") == {"playlist.timeout": 1}
    assert plain_listener.lines[0].closed
    assert plain_listener.count("stalls") == 1
    plain_listener.at(1013.0)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(15)))
    # It stopped where its media ended and goes on there: nothing is left out.
    plain_listener.media("10.m4s")
    assert plain_listener.crowd.tally.time("stall").number == 1
    assert plain_listener.asked == [f"{LINE}/11.m4s"]
    assert plain_listener.count("jumps") == 0
    took = plain_listener.crowd.tally.time("latency.playlist")
    # Due at 1002, there at 1013; and five more reloads that were due meanwhile. The first took no time.
    assert (took.largest, took.number) == (11_000_000, 1 + 1 + 5)
    assert took.total / 1e6 == pytest.approx(11 + 9 + 7 + 5 + 3 + 1)
    plain_listener.media("11.m4s", "12.m4s", "13.m4s", "14.m4s")
    plain_listener.at(1014.9)
    assert plain_listener.asked == []
    plain_listener.at(1015.0)
    assert plain_listener.asked == [f"{LINE}/index.m3u8"], "a target duration after it was asked for again"


def test_media_that_comes_late_is_waited_for_in_its_place(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(12)))
    plain_listener.answer(f"{LINE}/10.m4s", b"", 503)
    plain_listener.media("11.m4s")
    plain_listener.at(1003.0)
    plain_listener.at(1008.0)
    assert plain_listener.count("stalls") == 1, "11 is there, 10 is not"
    plain_listener.answer(f"{LINE}/10.m4s")
    assert plain_listener.crowd.tally.time("stall").total / 1e6 == pytest.approx(2.0, abs=0.02)


def test_a_take_that_is_gone_is_left_for_the_next_one(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    for again in (1003.0, 1004.0, 1005.0):
        plain_listener.answer(f"{LINE}/index.m3u8", b"", 404)
        plain_listener.at(again)
    assert plain_listener.asked == [FRONT]
    plain_listener.at(1007.0)
    plain_listener.answer(FRONT, VARIANTS.replace("take", "next"))
    plain_listener.answer("/live/room/next/64k/index.m3u8", listed(take_of(3)))
    for name in ("init.mp4", "0.m4s", "1.m4s", "2.m4s"):
        plain_listener.answer(f"/live/room/next/64k/{name}")
    assert plain_listener.count("retuned") == 1
    assert plain_listener.count("tuned_in") == 1
    # The lost playlist was due at 1002 and given up at 1005, when the front was asked for.
    assert plain_listener.count("abandoned.playlist") == 1
    took = plain_listener.crowd.tally.time("latency.playlist")
    # And so was another reload; the two takes' first playlists took no time.
    assert (took.largest, took.total, took.number) == (3_000_000, 4_000_000, 4)
    assert plain_listener.crowd.tally.time("latency.multivariant").largest == 2_000_000
    # The first take was heard to 1006; from there to 1007 was silence.
    assert plain_listener.crowd.tally.time("stall").total / 1e6 == pytest.approx(1.0, abs=0.02)


def test_nonsense_instead_of_a_playlist_is_an_error_and_asked_for_again(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", "<html>")
    assert plain_listener.crowd.tally.under("error") == {"playlist.malformed": 1}
    plain_listener.at(1003.0)
    assert b"If-None-Match" not in plain_listener.request(f"{LINE}/index.m3u8")


def test_what_a_listener_still_waits_for_when_it_leaves_counts_for_as_long_as_it_has_waited(
    plain_listener: Stage,
) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(12)))
    plain_listener.answer(f"{LINE}/10.m4s", b"", 503)
    plain_listener.at(1002.5)
    plain_listener.listener.leave(1002.5)
    # One in hand, one to be asked for again.
    took = plain_listener.crowd.tally.time("latency.segment")
    assert (took.number, took.total, plain_listener.count("abandoned.segment")) == (4 + 2, 1_000_000, 2)
    plain_listener.at(1010.0)
    assert plain_listener.asked == [], "and nothing is asked for again"


def test_a_segment_that_fails_at_first_is_late_since_it_was_first_asked_for(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(11)))
    plain_listener.at(1002.25)
    plain_listener.fail(f"{LINE}/10.m4s")
    plain_listener.at(1003.5)
    plain_listener.media("10.m4s")
    took = plain_listener.crowd.tally.time("latency.segment")
    assert (took.largest, plain_listener.count("abandoned.segment")) == (1_500_000, 0)


def test_a_hinted_part_that_fails_is_asked_for_when_it_is_listed(
    fast_listener: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast_listener
    stage.answer(f"{LINE}/10.0.m4s", b"", 503)
    play(take, (10, 0), (10, 1))
    stage.answer(WAITING, listed(take))
    assert f"{LINE}/10.0.m4s" in stage.asked


def test_a_refused_wait_becomes_a_plain_reload(fast_listener: tuple[Stage, TakeWindow]) -> None:
    stage, take = fast_listener
    stage.answer(WAITING, b"", 503)
    stage.at(1001.0)
    assert f"{LINE}/index.m3u8" in stage.asked
    play(take, (10, 0), (10, 2))
    stage.answer(f"{LINE}/index.m3u8", listed(take))
    assert stage.crowd.tally.time("latency.playlist").largest == 1_000_000, "since it was first asked for"
    assert WAITING.replace("part=0", "part=2") in stage.asked


def test_what_is_held_is_not_abandoned_when_its_listener_leaves(
    fast_listener: tuple[Stage, TakeWindow],
) -> None:
    stage, _ = fast_listener
    stage.at(1000.3)
    stage.listener.leave(stage.now)
    assert stage.crowd.tally.under("abandoned") == {}


def test_a_piece_of_the_last_take_that_failed_is_not_asked_for_in_the_next(
    fast_listener: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast_listener
    play(take, (10, 0), (10, 1))
    stage.answer(WAITING, listed(take))
    waiting = WAITING.replace("part=0", "part=1")
    stage.answer(waiting, b"", 404)
    for again in (1001.0, 1002.0):
        stage.at(again)
        stage.answer(f"{LINE}/index.m3u8", b"", 404)
    # To be asked for again at 1003.5, when the take is left already.
    stage.at(1002.5)
    stage.answer(f"{LINE}/10.0.m4s", b"", 404)
    stage.at(1003.0)
    stage.at(1003.5)
    assert stage.asked == [FRONT]
    assert stage.crowd.tally.under("abandoned") == {"part": 1, "playlist": 1}


def test_what_was_asked_of_the_last_take_is_not_taken_for_the_next(
    fast_listener: tuple[Stage, TakeWindow],
) -> None:
    stage, _ = fast_listener
    stage.answer(WAITING, b"", 404)
    for again in (1001.0, 1002.0):
        stage.at(again)
        stage.answer(f"{LINE}/index.m3u8", b"", 404)
    stage.at(1003.0)
    # The hinted part of the last take has the number of the next one's.
    assert stage.asked == [FRONT]


# ---- tiers ------------------------------------------------------------------------------------------------


def told(tier: str = "origin") -> str:
    return json.dumps({"tier": tier, "bases": [""], "playlist": FRONT, "ask_again": 5})


def test_a_question_for_the_tier_that_fails_is_asked_again_and_late_since_the_first() -> None:
    stage = Stage(listen="/listen/room.json")
    stage.answer("/listen/room.json", b"", 503)
    stage.at(1000.9)
    assert stage.asked == []
    stage.at(1001.0)
    stage.answer("/listen/room.json", "nonsense")
    stage.at(1002.0)
    stage.fail("/listen/room.json")
    stage.at(1003.0)
    stage.answer("/listen/room.json", told())
    errors = {"listen.closed": 1, "listen.malformed": 1, "listen.status 503": 1}
    assert stage.crowd.tally.under("error") == errors
    assert stage.crowd.tally.time("latency.listen").largest == 3_000_000
    assert stage.asked == [FRONT]
    stage.at(1007.9)
    assert stage.asked == [FRONT], "five seconds from when it was asked for the last time"
    stage.at(1008.0)
    stage.answer("/listen/room.json", told())
    stage.listener.leave(stage.now)
    stage.at(1030.0)
    assert stage.asked == [], "who has left asks no more"
