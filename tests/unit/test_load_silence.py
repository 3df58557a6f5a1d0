"""What a simulated listener does not hear: pieces that do not come, and gaps."""

from __future__ import annotations

from typing import Any

import pytest

from longwave.load import report
from longwave.load.plan import Found, LoadOptions, make_plan
from longwave.load.view import Figures
from tests.load_stage import FRONT, LINE, VARIANTS, Stage, listed, six_seconds_behind, take_of, tuned

SEGMENT = pytest.approx(2.0, abs=0.03)


def unheard(stage: Stage) -> dict[str, float]:
    return report.unheard(stage.crowd.tally)


def result(stage: Stage) -> dict[str, Any]:
    found = Found(stage.crowd.target, 2.0, 2.0, 16_000, 3_000)
    plan = make_plan(LoadOptions("http://127.0.0.1:8080/listen/room", 1), found)
    return report.report(plan, stage.crowd.tally, seconds=10.0, cpu=0.1, complete=True)


def with_gap(playlist: str, name: str) -> str:
    return playlist.replace(f"\n{name}", f"\n#EXT-X-GAP\n{name}")


def test_a_segment_that_cannot_be_had_is_left_out_after_three_tries(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(12)))
    plain_listener.answer(f"{LINE}/10.m4s", b"", 404)
    plain_listener.media("11.m4s")
    ahead = 1000.0 + 6.0
    for again in (1003.0, 1004.0):
        assert plain_listener.count("skipped") == 0
        plain_listener.at(again)
        if again == 1004.0:
            # On the same connection, and due before.
            plain_listener.answer(f"{LINE}/index.m3u8", b"", 304)
        plain_listener.answer(f"{LINE}/10.m4s", b"", 404)
    assert plain_listener.count("skipped") == 1
    assert plain_listener.crowd.tally.under("error") == {"segment.status 404": 3}
    took = plain_listener.crowd.tally.time("latency.segment")
    assert (took.largest, plain_listener.count("abandoned.segment")) == (2_000_000, 1), (
        "waited for from 1002 to 1004"
    )
    plain_listener.at(ahead + 1.9)
    assert unheard(plain_listener) == {"gaps": 0.0, "skipped": 0.0}, "until it is there"
    plain_listener.at(ahead + 3.9)
    assert plain_listener.count("stalls") == 0, "and the one behind it is played"
    assert unheard(plain_listener) == {"gaps": 0.0, "skipped": SEGMENT}
    assert plain_listener.count("unheard_listeners") == 1


def test_a_gap_is_silence_of_its_length(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", with_gap(listed(take_of(12)), "10.m4s"))
    assert plain_listener.asked == [f"{LINE}/11.m4s"]
    plain_listener.media("11.m4s")
    plain_listener.at(1006.5)
    # Of what it is in the midst of counts what it has come through.
    plain_listener.listener.leave(1006.5)
    assert unheard(plain_listener)["gaps"] == pytest.approx(0.5, abs=0.02)
    assert (plain_listener.count("gaps"), plain_listener.count("stalls")) == (1, 0)


def test_silence_that_a_new_take_cuts_short_counts_up_to_there(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", with_gap(listed(take_of(12)), "10.m4s"))
    plain_listener.media("11.m4s")
    plain_listener.at(1004.0)
    for again in (1005.0, 1006.0, 1007.0):
        plain_listener.answer(f"{LINE}/index.m3u8", b"", 404)
        plain_listener.at(again)
    plain_listener.answer(FRONT, VARIANTS)
    plain_listener.answer(f"{LINE}/index.m3u8", listed(take_of(3)))
    plain_listener.media("init.mp4", "0.m4s", "1.m4s", "2.m4s")
    plain_listener.at(1012.0)
    assert unheard(plain_listener)["gaps"] == pytest.approx(1.0, abs=0.02)


def test_whoever_never_gets_a_piece_never_tunes_in() -> None:
    stage = tuned()
    stage.answer(f"{LINE}/init.mp4")
    for _ in range(3):
        for name in ("6.m4s", "7.m4s", "8.m4s", "9.m4s"):
            stage.answer(f"{LINE}/{name}", b"", 503)
        stage.at(stage.now + 1.0)
        if stage.now == 1002.0:
            stage.answer(f"{LINE}/index.m3u8", b"", 304)
    assert (stage.count("skipped"), stage.count("abandoned.segment")) == (4, 4)
    assert stage.count("tuned_in") == 0
    assert stage.crowd.tally.time("tune_in").number == 0
    stage.at(1003.0)
    stage.answer(f"{LINE}/index.m3u8", listed(take_of(11)))
    stage.media("10.m4s")
    assert stage.count("tuned_in") == 1, "with the first that it hears"
    assert stage.listener._playback._buffer.ahead == SEGMENT, "and it begins with that"
    assert unheard(stage) == {"gaps": 0.0, "skipped": 0.0}, "it has waited, and that is its tune-in"
    assert stage.crowd.tally.time("tune_in").largest == 3_000_000
    stage.listener.end(stage.now)


def test_whoever_waited_in_vain_for_the_first_sound_is_in_the_tune_in_times() -> None:
    stage, heard = tuned(), six_seconds_behind()
    stage.at(1060.0)
    stage.listener.leave(1060.0)
    heard.listener.leave(1000.0)
    tally = stage.crowd.tally
    assert (stage.count("tuned_in"), stage.count("abandoned.tune_in")) == (0, 1)
    assert (tally.time("tune_in").number, tally.time("tune_in").largest) == (1, 60_000_000)
    stage.listener.end(1070.0)
    assert tally.time("tune_in").number == 1, "once"
    tally.merge(heard.crowd.tally)
    tally.counts["arrived"] = 3
    found = result(stage)["tune_in"]
    assert (found["count"], found["abandoned"], found["p50"], found["max"]) == (2, 1, 0.0, 60.0)
    rows = dict(Figures().rows(60.0, tally))
    assert (rows["tuned in"], rows["not yet"]) == ("1", "1"), "one of the three has gone"
    assert rows["tune-in p50 / p99"] == "0.00 / 60.00 s"


def test_nothing_is_played_before_its_init_segment() -> None:
    stage = tuned()
    for again in range(5):
        stage.answer(f"{LINE}/init.mp4", b"", 503)
        if again == 0:
            stage.media("6.m4s", "7.m4s", "8.m4s", "9.m4s")
        stage.at(stage.now + 1.0)
        if f"{LINE}/index.m3u8" in stage.asked:
            stage.answer(f"{LINE}/index.m3u8", b"", 304)
        assert stage.count("tuned_in") == 0
    stage.answer(f"{LINE}/init.mp4")
    assert (stage.count("tuned_in"), stage.count("skipped")) == (1, 0)
    assert stage.crowd.tally.time("latency.init").largest == 5_000_000
    stage.listener.end(stage.now)


def test_whatever_was_not_heard_stands_in_the_table_and_in_the_result(plain_listener: Stage) -> None:
    plain_listener.at(1002.0)
    plain_listener.answer(f"{LINE}/index.m3u8", with_gap(listed(take_of(12)), "10.m4s"))
    for again in (1003.0, 1004.0, 1004.0):
        plain_listener.answer(f"{LINE}/11.m4s", b"", 404)
        plain_listener.at(again)
        if f"{LINE}/index.m3u8" in plain_listener.asked:
            plain_listener.answer(f"{LINE}/index.m3u8", b"", 304)
    plain_listener.at(1010.5)
    found = result(plain_listener)
    assert found["rebuffering"]["unheard_listeners"] == 1
    assert found["rebuffering"]["unheard_seconds"] == {"gaps": SEGMENT, "skipped": SEGMENT}
    assert found["media"] == {"gaps": 1, "jumps": 0, "skipped": 1}
    assert found["latency"]["segment"]["abandoned"] == 1
    assert found["latency"]["segment"]["max"] == 2.0
    assert found["latency"]["playlist"]["abandoned"] == 0
    rows = dict(Figures().rows(10.0, plain_listener.crowd.tally))
    assert rows["not heard"] == "gaps 2.0 s, skipped 2.0 s of 1 listeners"
    assert rows["abandoned"] == "1"
