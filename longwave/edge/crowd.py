"""How many listen through an edge, from the playlists that it answered. Pure: time is an argument.

Low-latency players ask for each part (or each segment) once, and are all answered when it comes: the requests
for one position are the listeners. The mean over the positions of the last `BLOCKED_SECONDS` is exact while
nobody comes or goes; those that hardly anybody asks for are left out. Who comes or goes is there in full
after `BLOCKED_SECONDS` + `SETTLE_SECONDS`, and in part a moment (or a segment) after they came.

Plain players reload once a target duration (rfc8216bis 6.3.4): what they ask in `PLAIN_SECONDS` is divided by
how often one of them does (`contracts/counting.py`). Whoever begins asks for the multivariant playlist and
then for a media playlist without directives, whatever comes after; so for each of the first, one of the
second is no reload.

Nobody is told from anybody else. So one who asks for each part a hundred times is a hundred. But what is
asked for a great deal, and a moment later is not, is nobody: neither a burst for one or two parts, nor one of
plain requests.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Final, NamedTuple

from contracts.counting import INTERVALS, Reloads, steady_mean
from contracts.position import Position
from longwave.edge.lines import Access, Segment
from pipeline.playlist import TARGET_DURATION

SETTLE_SECONDS: Final = 1.0
"""Until all who waited for a position are answered, and told of: nginx lets some wait for 0.5 s longer."""
BLOCKED_SECONDS: Final = 3.0
"""Longer than a segment, so that there is always one that was waited for."""
PLAIN_SECONDS: Final = INTERVALS * TARGET_DURATION
"""Until plain players are there in full."""
TUNE_IN_SECONDS: Final = 3.0
"""From the multivariant playlist to the first media playlist, for most."""
FORGOTTEN_SECONDS: Final = 30.0
MAX_ROOMS: Final = 4_096
MAX_LINES: Final = 64
"""Renditions of a room's takes, in the time until they are forgotten."""
_MAX_POSITIONS: Final = 128
# Who asks for what is longer ago is late, and has been counted where others were.
_LATE_SEGMENTS: Final = 1
# What fewer than one in so many ask for is no part that all waited for: anybody can ask for parts beyond
# the last of a segment, which are answered at once, and a hundred of those must not make of a thousand ten.
_ODD: Final = 10
# A crowd is still there so long after it was there for the first time; before that it may be a burst.
_BURST_SECONDS: Final = 0.7
# Players may wait for whole segments: two of them are remembered at any time.
_MEMORY_SECONDS: Final = 6.0


class _Seen(NamedTuple):
    since: float
    requests: int


class _Positions:
    """Requests for positions of one rendition, all for parts or all for segments."""

    def __init__(self, spread: float) -> None:
        self._spread = spread
        self._late_segments = _LATE_SEGMENTS + ceil(spread / TARGET_DURATION)
        self._seen: dict[Position | Segment, _Seen] = {}
        self._newest = -1

    def add(self, asked: Position | Segment, requests: int, now: float) -> None:
        before = self._seen.get(asked)
        if before is not None:
            self._seen[asked] = before._replace(requests=before.requests + requests)
        elif asked.msn >= self._newest - self._late_segments:
            self._newest = max(self._newest, asked.msn)
            self._seen[asked] = _Seen(now, requests)
            if len(self._seen) > _MAX_POSITIONS:
                del self._seen[min(self._seen, key=lambda each: self._seen[each].requests)]

    def size(self, now: float) -> float:
        """The largest crowd that there is for longer than a burst."""
        oldest = now - self._spread - _MEMORY_SECONDS
        self._seen = {asked: seen for asked, seen in self._seen.items() if seen.since > oldest}
        ordered = sorted(self._seen.values(), key=lambda seen: -seen.requests)
        for most in ordered:
            crowd = [seen for seen in ordered if seen.requests * _ODD >= most.requests]
            there = [seen.since for seen in crowd]
            if max(there) - min(there) >= _BURST_SECONDS and (lately := _lately(crowd, now - self._spread)):
                return steady_mean(seen.requests for seen in lately)
        return 0.0


def _lately(crowd: list[_Seen], now: float) -> list[_Seen]:
    """What of it was asked for in `BLOCKED_SECONDS`; while it has just begun, what it asked for yet."""
    settled = now - SETTLE_SECONDS
    lately = [seen for seen in crowd if settled - BLOCKED_SECONDS < seen.since <= settled]
    return lately or [seen for seen in crowd if seen.since > settled]


class _Line:
    def __init__(self, now: float, spread: float) -> None:
        self.parts = _Positions(spread)
        self.segments = _Positions(spread)
        self.last = now


class _Asked(NamedTuple):
    at: float
    times: int


class _Room:
    """One room: its renditions, and what is asked in it without a position."""

    def __init__(self, now: float, spread: float) -> None:
        self.last = now
        self._spread = spread
        self._lines: dict[str, _Line] = {}
        self._tuned_in: deque[_Asked] = deque()
        self._reloaded = 0
        self._reloads = Reloads(TARGET_DURATION)
        self._reloads.observe(now, 0)

    def add(self, access: Access, requests: int, now: float) -> None:
        self.last = now
        if not access.line:
            _remember(self._tuned_in, now, requests)
            return
        if access.asked is None:
            self._reloaded += self._beside_tuning_in(requests, now)
            return
        line = self._lines.get(access.line)
        if line is None:
            if len(self._lines) >= MAX_LINES:
                return
            line = self._lines[access.line] = _Line(now, self._spread)
        line.last = now
        positions = line.parts if isinstance(access.asked, Position) else line.segments
        positions.add(access.asked, requests, now)

    def _beside_tuning_in(self, times: int, now: float) -> int:
        """Of so many media playlists without directives those that are not of who has just tuned in."""
        _forget(self._tuned_in, now - TUNE_IN_SECONDS)
        while times and self._tuned_in:
            first = self._tuned_in.popleft()
            if first.times > times:
                self._tuned_in.appendleft(first._replace(times=first.times - times))
            times -= min(times, first.times)
        return times

    def size(self, now: float) -> int:
        self._lines = {
            name: line for name, line in self._lines.items() if now - line.last < FORGOTTEN_SECONDS
        }
        _forget(self._tuned_in, now - TUNE_IN_SECONDS)
        self._reloads.observe(now, self._reloaded)
        plain = self._reloads.size(now, self._reloaded)
        blocked = (line.parts.size(now) + line.segments.size(now) for line in self._lines.values())
        return int(plain + sum(blocked) + 0.5)


def _remember(asked: deque[_Asked], now: float, times: int) -> None:
    """One entry for each instant, so that their number is bounded."""
    if asked and asked[-1].at == now:
        times += asked.pop().times
    asked.append(_Asked(now, times))


def _forget(asked: deque[_Asked], until: float) -> None:
    while asked and asked[0].at <= until:
        asked.popleft()


class Crowds:
    """The listeners of all rooms of an edge. Times are in seconds, of any clock that is monotonic.

    What it holds is bounded: rooms beyond `MAX_ROOMS` are not counted until others are forgotten. Where some
    of those who asked for a position are told of later than others, it is by `spread` seconds.
    """

    def __init__(self, spread: float = 0.0) -> None:
        self._spread = spread
        self._rooms: dict[str, _Room] = {}

    def add(self, access: Access, requests: int, now: float) -> None:
        """`access` was answered so many times, up to `now`."""
        if not access.listens:
            return
        room = self._rooms.get(access.room)
        if room is None:
            if len(self._rooms) >= MAX_ROOMS:
                return
            room = self._rooms[access.room] = _Room(now, self._spread)
        room.add(access, requests, now)

    def sizes(self, now: float) -> dict[str, int]:
        """How many listen to each room in which somebody does."""
        self._rooms = {
            name: room for name, room in self._rooms.items() if now - room.last < FORGOTTEN_SECONDS
        }
        sizes = ((name, room.size(now)) for name, room in self._rooms.items())
        return {name: size for name, size in sizes if size}
