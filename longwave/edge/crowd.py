"""How many listen through an edge, from the playlists that it answered. Pure: time is an argument.

Low-latency players ask for each part (or each segment) once, and are all answered when it comes: the requests
for one position are the listeners. The mean over the positions of the last `BLOCKED_SECONDS` is exact while
nobody comes or goes. Who comes or goes is there in full after `BLOCKED_SECONDS` + `SETTLE_SECONDS`.

Plain players reload once a target duration (rfc8216bis 6.3.4): what they ask in `PLAIN_SECONDS` is divided by
how often one of them does. Whoever begins asks for the multivariant playlist once and for a media playlist
without directives, whatever comes then; so these two are set off against each other.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from contracts.position import Position
from longwave.edge.lines import Access, Segment
from pipeline.playlist import TARGET_DURATION

SETTLE_SECONDS: Final = 0.75
"""Until all who waited for a position have been answered and written down: nginx lets some wait for 0.5 s."""
BLOCKED_SECONDS: Final = 3.0
"""Longer than a segment, so that there is always one that was waited for."""
PLAIN_SECONDS: Final = 4.0 * TARGET_DURATION
FORGOTTEN_SECONDS: Final = 30.0
MAX_ROOMS: Final = 4_096
MAX_LINES: Final = 64
"""Renditions of a room's takes, in the time until they are forgotten."""
_MAX_POSITIONS: Final = 128
# Who asks for what is longer ago is late, and has been counted where others were.
_LATE_SEGMENTS: Final = 1


class _Seen(NamedTuple):
    since: float
    requests: int


class _Positions:
    """Requests for positions of one rendition, all for parts or all for segments."""

    def __init__(self) -> None:
        self._seen: dict[Position | Segment, _Seen] = {}
        self._newest = -1

    def add(self, asked: Position | Segment, requests: int, now: float) -> None:
        before = self._seen.get(asked)
        if before is not None:
            self._seen[asked] = before._replace(requests=before.requests + requests)
        elif asked.msn >= self._newest - _LATE_SEGMENTS and len(self._seen) < _MAX_POSITIONS:
            self._newest = max(self._newest, asked.msn)
            self._seen[asked] = _Seen(now, requests)

    def size(self, now: float) -> float:
        oldest = now - SETTLE_SECONDS - BLOCKED_SECONDS
        self._seen = {asked: seen for asked, seen in self._seen.items() if seen.since > oldest}
        settled = [seen.requests for seen in self._seen.values() if seen.since <= now - SETTLE_SECONDS]
        if settled:
            return sum(settled) / len(settled)
        # They have just begun.
        return float(max((seen.requests for seen in self._seen.values()), default=0))


class _Line:
    def __init__(self, now: float) -> None:
        self.parts = _Positions()
        self.segments = _Positions()
        self.last = now


class _Reloads(NamedTuple):
    at: float
    reloads: int


class _Room:
    """One room: its renditions, and what is asked in it without a position."""

    def __init__(self, now: float) -> None:
        self.last = now
        self._lines: dict[str, _Line] = {}
        self._reloads: deque[_Reloads] = deque()

    def add(self, access: Access, requests: int, now: float) -> None:
        self.last = now
        if access.asked is None:
            # A tune-in is one of each, and none of them a reload.
            self._count(-requests if not access.line else requests, now)
            return
        line = self._lines.get(access.line)
        if line is None:
            if len(self._lines) >= MAX_LINES:
                return
            line = self._lines[access.line] = _Line(now)
        line.last = now
        positions = line.parts if isinstance(access.asked, Position) else line.segments
        positions.add(access.asked, requests, now)

    def _count(self, reloads: int, now: float) -> None:
        if self._reloads and self._reloads[-1].at == now:
            reloads += self._reloads.pop().reloads
        self._reloads.append(_Reloads(now, reloads))

    def size(self, now: float) -> int:
        self._lines = {
            name: line for name, line in self._lines.items() if now - line.last < FORGOTTEN_SECONDS
        }
        while self._reloads and self._reloads[0].at <= now - PLAIN_SECONDS:
            self._reloads.popleft()
        plain = max(0, sum(each.reloads for each in self._reloads)) / (PLAIN_SECONDS / TARGET_DURATION)
        blocked = (line.parts.size(now) + line.segments.size(now) for line in self._lines.values())
        return int(plain + sum(blocked) + 0.5)


class Crowds:
    """The listeners of all rooms of an edge. Times are in seconds, of any clock that is monotonic.

    What it holds is bounded: rooms beyond `MAX_ROOMS` are not counted until others are forgotten.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}

    def add(self, access: Access, requests: int, now: float) -> None:
        """`access` was answered so many times, up to `now`."""
        if not access.listens:
            return
        room = self._rooms.get(access.room)
        if room is None:
            if len(self._rooms) >= MAX_ROOMS:
                return
            room = self._rooms[access.room] = _Room(now)
        room.add(access, requests, now)

    def sizes(self, now: float) -> dict[str, int]:
        """How many listen to each room in which somebody does."""
        self._rooms = {
            name: room for name, room in self._rooms.items() if now - room.last < FORGOTTEN_SECONDS
        }
        sizes = ((name, room.size(now)) for name, room in self._rooms.items())
        return {name: size for name, size in sizes if size}
