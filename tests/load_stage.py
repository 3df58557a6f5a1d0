"""One simulated listener against a scripted server, in a time that the test makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from longwave.load.base import Base
from longwave.load.crowd import Crowd, Target
from longwave.load.http_client import Answer, Connection, Owner
from longwave.load.listener import Listener
from pipeline.take_window import TakeWindow
from tests.takes import play, window

BASE = Base("http", "127.0.0.1", 8080)
FRONT = "/live/room/index.m3u8"
LINE = "/live/room/take/64k"
WAITING = f"{LINE}/index.m3u8?_HLS_msn=10&_HLS_part=0&_HLS_skip=YES"
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

    def __init__(self, *, low_latency: bool = False, listen: str = "") -> None:
        self.now = 1000.0
        self.lines: list[Line] = []
        dialer: Any = self
        target = Target(BASE, FRONT.encode(), low_latency=low_latency, listen=listen.encode())
        self.crowd = Crowd(target, dialer, clock=lambda: self.now)
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


def tuned() -> Stage:
    """A plain listener that has a playlist of segments 0 to 9, and asks for what it begins with."""
    stage = Stage()
    stage.answer(FRONT, VARIANTS)
    stage.answer(f"{LINE}/index.m3u8", listed(take_of(10)), etag='"ten"')
    return stage


def six_seconds_behind() -> Stage:
    """A plain listener of segments 0 to 9, at 1000 exactly six seconds behind their end."""
    stage = tuned()
    stage.media("init.mp4", "6.m4s", "7.m4s", "8.m4s", "9.m4s")
    assert stage.count("tuned_in") == 1
    return stage


def at_the_edge() -> tuple[Stage, TakeWindow]:
    """A low-latency listener at the edge of segments 0 to 9, who waits for part 0 of segment 10."""
    stage, take = Stage(low_latency=True), take_of(10)
    stage.answer(FRONT, VARIANTS)
    stage.answer(f"{LINE}/index.m3u8", listed(take))
    stage.media("init.mp4", "9.1.m4s", "9.2.m4s", "9.3.m4s", "9.4.m4s")
    assert stage.count("tuned_in") == 1
    return stage, take
