"""One simulated listener against a scripted server, in a time that the test makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from contracts.position import Position
from longwave.load.base import Base
from longwave.load.crowd import Crowd, Target
from longwave.load.http_client import Answer, Connection, Owner
from longwave.load.listener import Listener
from pipeline.grid import Grid
from pipeline.take_window import TakeWindow
from tests.takes import play, window

BASE = Base("http", "127.0.0.1", 8080)
FRONT = "/live/room/index.m3u8"
LINE = "/live/room/take/64k"
VARIANTS = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=70000\ntake/64k/index.m3u8\n"


@dataclass(eq=False)
class Line:
    """A connection of the listener's."""

    stage: Stage
    owner: Owner
    asked: bytes = b""
    closed: bool = False

    def send(self, request: bytes, *, keep: bool) -> None:
        self.asked = request

    def close(self) -> None:
        self.closed = True


class Stage:
    """A listener, a server whose answers the test gives, and a clock that stands still until it is moved."""

    def __init__(self, *, low_latency: bool = False) -> None:
        self.now = 1000.0
        self.lines: list[Line] = []
        dialer: Any = self
        self.crowd = Crowd(
            Target(BASE, FRONT.encode(), low_latency=low_latency), dialer, clock=lambda: self.now
        )
        self.listener = Listener(self.crowd, self.now)
        self.crowd.listeners.append(self.listener)
        self.listener.tune_in(self.now)
        self.connect()

    def open(self, base: Base, owner: Owner) -> Any:  # noqa: ANN401 - stands in for a Connection
        self.lines.append(Line(self, owner))
        return self.lines[-1]

    def connect(self) -> None:
        for line in [line for line in self.lines if not line.asked and not line.closed]:
            line.owner.connected(self._connection(line))

    def at(self, when: float) -> None:
        """Move the clock, and do what is due by then."""
        self.now = when
        self.crowd.timers.run(lambda: self.now)
        self.crowd.wire.expire(self.now)
        self.listener.sample(self.now)
        self.connect()

    @property
    def asked(self) -> list[str]:
        """What waits for an answer: paths with queries."""
        return [line.asked.split()[1].decode() for line in self.lines if line.asked and not line.closed]

    def request(self, path: str) -> bytes:
        return self._line(path).asked

    def answer(self, path: str, body: str | bytes = b"media", status: int = 200, etag: str = "") -> None:
        line = self._line(path)
        line.asked = b""
        data = body.encode() if isinstance(body, str) else body
        head = f"HTTP/1.1 {status} X\r\n" + (f"ETag: {etag}\r\n" if etag else "")
        line.owner.answered(self._connection(line), Answer(status, head.encode(), len(data), data))
        self.connect()

    def fail(self, path: str, *, untouched: bool = False) -> None:
        line = self._line(path)
        line.asked, line.closed = b"", True
        line.owner.failed(self._connection(line), "closed", untouched=untouched)
        self.connect()

    def media(self, *names: str) -> None:
        for name in names:
            self.answer(f"{LINE}/{name}")

    def count(self, name: str) -> int:
        return self.crowd.tally.counts[name]

    @staticmethod
    def _connection(line: Line) -> Connection:
        return cast("Connection", line)

    def _line(self, path: str) -> Line:
        found = [
            line for line in self.lines if line.asked.startswith(f"GET {path} ".encode()) and not line.closed
        ]
        assert found, (path, self.asked)
        return found[0]


def take_of(segments: int, *, parts: int = 5) -> TakeWindow:
    made = window(parts=parts)
    play(made, (0, 0), (segments, 0))
    return made


def listed(take: TakeWindow) -> str:
    return take.media_playlist("64k")


@pytest.fixture
def plain() -> Iterator[Stage]:
    """A plain listener of segments 0 to 9, at 1000 exactly six seconds behind their end."""
    stage = Stage()
    stage.answer(FRONT, VARIANTS)
    stage.answer(f"{LINE}/index.m3u8", listed(take_of(10)), etag='"ten"')
    stage.media("init.mp4", "6.m4s", "7.m4s", "8.m4s", "9.m4s")
    assert stage.count("tuned_in") == 1
    yield stage
    stage.listener.end(stage.now)


def test_a_plain_listener_reloads_after_a_target_duration_and_half_of_it_when_nothing_was_new(
    plain: Stage,
) -> None:
    assert len(plain.lines) == 1, "one connection"
    plain.at(1001.9)
    assert plain.asked == []
    plain.at(1002.1)
    assert b'\r\nIf-None-Match: "ten"\r\n' in plain.request(f"{LINE}/index.m3u8")
    plain.answer(f"{LINE}/index.m3u8", b"", 304)
    # From when it was meant to be loaded: 1002, not 1002.1.
    plain.at(1002.99)
    assert plain.asked == []
    plain.at(1003.0)
    plain.answer(f"{LINE}/index.m3u8", listed(take_of(11)), etag='"eleven"')
    assert plain.asked == [f"{LINE}/10.m4s"], "what is new, once"
    plain.media("10.m4s")
    plain.at(1004.99)
    assert plain.asked == []
    plain.at(1005.0)
    assert plain.asked == [f"{LINE}/index.m3u8"]
    assert plain.crowd.tally.time("latency.playlist").largest == pytest.approx(100_000, abs=1)
    assert plain.count("stalls") == 0


def test_latency_counts_from_the_intended_instant(plain: Stage) -> None:
    plain.at(1002.0)
    plain.at(1007.5)
    plain.answer(f"{LINE}/index.m3u8", listed(take_of(11)))
    took = plain.crowd.tally.time("latency.playlist")
    # 5.5 s, and what two more reloads that were due would have waited.
    assert took.number == 1 + 3
    assert took.total / 1e6 == pytest.approx(5.5 + 3.5 + 1.5)


def test_an_idle_connection_that_was_closed_is_opened_again_without_an_error(plain: Stage) -> None:
    plain.at(1002.0)
    plain.fail(f"{LINE}/index.m3u8", untouched=True)
    assert plain.asked == [f"{LINE}/index.m3u8"]
    assert plain.count("reopened") == 1
    assert plain.crowd.tally.under("error") == {}


def test_an_answer_that_never_comes_is_given_up_and_asked_for_again(plain: Stage) -> None:
    plain.at(1002.0)
    plain.at(1011.9)
    assert plain.crowd.tally.under("error") == {}
    plain.at(1012.0)
    assert plain.crowd.tally.under("error") == {"playlist.timeout": 1}
    assert plain.lines[0].closed
    assert plain.count("stalls") == 1
    plain.at(1013.0)
    plain.answer(f"{LINE}/index.m3u8", listed(take_of(15)))
    # It stopped where its media ended and goes on there: nothing is left out.
    plain.media("10.m4s")
    assert plain.crowd.tally.time("stall").number == 1
    assert plain.asked == [f"{LINE}/11.m4s"]
    assert plain.count("jumps") == 0


def test_a_segment_that_cannot_be_had_is_left_out_after_three_tries(plain: Stage) -> None:
    plain.at(1002.0)
    plain.answer(f"{LINE}/index.m3u8", listed(take_of(12)))
    plain.answer(f"{LINE}/10.m4s", b"", 404)
    plain.media("11.m4s")
    ahead = 1000.0 + 6.0
    for again in (1003.0, 1004.0):
        assert plain.count("skipped") == 0
        plain.at(again)
        if again == 1004.0:
            # On the same connection, and due before.
            plain.answer(f"{LINE}/index.m3u8", b"", 304)
        plain.answer(f"{LINE}/10.m4s", b"", 404)
    assert plain.count("skipped") == 1
    assert plain.crowd.tally.under("error") == {"segment.status 404": 3}
    plain.at(ahead + 3.9)
    assert plain.count("stalls") == 0, "and the one behind it is played"


def test_media_that_comes_late_is_waited_for_in_its_place(plain: Stage) -> None:
    plain.at(1002.0)
    plain.answer(f"{LINE}/index.m3u8", listed(take_of(12)))
    plain.answer(f"{LINE}/10.m4s", b"", 503)
    plain.media("11.m4s")
    plain.at(1003.0)
    plain.at(1008.0)
    assert plain.count("stalls") == 1, "11 is there, 10 is not"
    plain.answer(f"{LINE}/10.m4s")
    assert plain.crowd.tally.time("stall").total / 1e6 == pytest.approx(2.0, abs=0.02)


def test_the_end_of_a_take_is_heard_to_its_end(plain: Stage) -> None:
    take = take_of(11)
    take.end(Grid(5).start_sample(Position(11, 0)))
    plain.at(1002.0)
    plain.answer(f"{LINE}/index.m3u8", listed(take))
    plain.media("10.m4s")
    plain.at(1007.9)
    assert plain.count("finished") == 0
    plain.at(1008.1)
    assert (plain.count("finished"), plain.count("stalls")) == (1, 0)
    plain.at(1100.0)
    assert plain.asked == []


def test_a_take_that_is_gone_is_left_for_the_next_one(plain: Stage) -> None:
    plain.at(1002.0)
    for again in (1003.0, 1004.0, 1005.0):
        plain.answer(f"{LINE}/index.m3u8", b"", 404)
        plain.at(again)
    assert plain.asked == [FRONT]
    plain.at(1007.0)
    plain.answer(FRONT, VARIANTS.replace("take", "next"))
    plain.answer("/live/room/next/64k/index.m3u8", listed(take_of(3)))
    for name in ("init.mp4", "0.m4s", "1.m4s", "2.m4s"):
        plain.answer(f"/live/room/next/64k/{name}")
    assert plain.count("retuned") == 1
    assert plain.count("tuned_in") == 1
    # The first take was heard to 1006; from there to 1007 was silence.
    assert plain.crowd.tally.time("stall").total / 1e6 == pytest.approx(1.0, abs=0.02)


def test_nonsense_instead_of_a_playlist_is_an_error_and_asked_for_again(plain: Stage) -> None:
    plain.at(1002.0)
    plain.answer(f"{LINE}/index.m3u8", "<html>")
    assert plain.crowd.tally.under("error") == {"playlist.malformed": 1}
    plain.at(1003.0)
    assert b"If-None-Match" not in plain.request(f"{LINE}/index.m3u8")


def test_whoever_leaves_closes_everything_and_its_silence_counts(plain: Stage) -> None:
    plain.at(1009.0)
    assert plain.count("stalls") == 1
    plain.listener.leave(1010.0)
    plain.now = 1010.0
    assert plain.listener.gone
    assert all(line.closed for line in plain.lines)
    assert plain.crowd.wire.in_flight == {}
    assert plain.count("left") == 1
    assert plain.crowd.tally.time("stall").number == 1


# ---- low latency ------------------------------------------------------------------------------------------


@pytest.fixture
def fast() -> Iterator[tuple[Stage, TakeWindow]]:
    """A low-latency listener at the edge of segments 0 to 9, who waits for part 0 of segment 10."""
    stage, take = Stage(low_latency=True), take_of(10)
    stage.answer(FRONT, VARIANTS)
    stage.answer(f"{LINE}/index.m3u8", listed(take))
    stage.media("init.mp4", "9.1.m4s", "9.2.m4s", "9.3.m4s", "9.4.m4s")
    assert stage.count("tuned_in") == 1
    yield stage, take
    stage.listener.end(stage.now)


WAITING = f"{LINE}/index.m3u8?_HLS_msn=10&_HLS_part=0&_HLS_skip=YES"


def test_the_hinted_part_and_the_next_playlist_are_waited_for_on_two_connections(
    fast: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast
    assert len(stage.lines) == 2
    assert sorted(stage.asked) == sorted([WAITING, f"{LINE}/10.0.m4s"])
    play(take, (10, 0), (10, 1))
    stage.at(1000.4)
    stage.answer(WAITING, listed(take))
    stage.media("10.0.m4s")
    assert sorted(stage.asked) == sorted([WAITING.replace("part=0", "part=1"), f"{LINE}/10.1.m4s"])
    assert stage.count("status.part.200") == 5, "nothing was asked for twice"


def test_a_hinted_part_is_played_when_the_playlist_says_how_long_it_is(
    fast: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast
    play(take, (10, 0), (10, 1))
    stage.media("10.0.m4s")
    before = stage.listener._playback._buffer.end
    stage.answer(WAITING, listed(take))
    assert stage.listener._playback._buffer.end - before == pytest.approx(18 * 1024 / 48_000)
    assert f"{LINE}/10.0.m4s" not in stage.asked
    assert stage.count("jumps") == 0


def test_a_hinted_part_that_fails_is_asked_for_when_it_is_listed(fast: tuple[Stage, TakeWindow]) -> None:
    stage, take = fast
    stage.answer(f"{LINE}/10.0.m4s", b"", 503)
    play(take, (10, 0), (10, 1))
    stage.answer(WAITING, listed(take))
    assert f"{LINE}/10.0.m4s" in stage.asked


def test_a_refused_wait_becomes_a_plain_reload(fast: tuple[Stage, TakeWindow]) -> None:
    stage, take = fast
    stage.answer(WAITING, b"", 503)
    stage.at(1001.0)
    assert f"{LINE}/index.m3u8" in stage.asked
    play(take, (10, 0), (10, 2))
    stage.answer(f"{LINE}/index.m3u8", listed(take))
    assert WAITING.replace("part=0", "part=2") in stage.asked


def test_what_was_asked_of_the_last_take_is_not_taken_for_the_next(fast: tuple[Stage, TakeWindow]) -> None:
    stage, _ = fast
    stage.answer(WAITING, b"", 404)
    for again in (1001.0, 1002.0):
        stage.at(again)
        stage.answer(f"{LINE}/index.m3u8", b"", 404)
    stage.at(1003.0)
    # The hinted part of the last take has the number of the next one's.
    assert stage.asked == [FRONT]


def test_after_a_long_silence_the_parts_that_are_no_longer_listed_are_jumped_over(
    fast: tuple[Stage, TakeWindow],
) -> None:
    stage, take = fast
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
