"""What an edge says of an answered playlist: one line of text, to a value, or None where it is no such line.

    lw1 STATUS OUTCOME KIND PATH     lw1 200 hit blocking_playlist /live/room/TAKE/64k/index.m3u8?_HLS_msn=4
    lw2 STATUS[, STATUS …]           lw2 502, 200

`PATH` is the edge's cache key: no token, the directives in one order and nothing else. `lw2` is said of every
request that reached origins (nginx alone: Varnish counts those itself).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from contracts.position import Position

_ACCESS: Final = re.compile(
    rb"lw1 ([1-5][0-9]{2}) (hit|miss|pass|error) (multivariant|playlist|blocking_playlist) (/live/\S{1,2048})"
)
_PATH: Final = re.compile(
    rb"/live/([A-Za-z0-9_-]{1,64})/(?:([A-Za-z0-9-]{1,64}/[A-Za-z0-9._-]{1,64})/)?index\.m3u8(?:\?(\S*))?"
)
_MSN: Final = re.compile(rb"(?:^|&)_HLS_msn=([0-9]{1,18})(?:&|$)")
_PART: Final = re.compile(rb"(?:^|&)_HLS_part=([0-9]{1,18})(?:&|$)")
_ASKED: Final = re.compile(rb"lw2 ([1-5][0-9]{2}(?:[,: ]+[1-5][0-9]{2})*)")
_STATUS: Final = re.compile(rb"[1-5][0-9]{2}")
_ACCESS_MARK: Final = b"lw1 "
_ASKED_MARK: Final = b"lw2 "
_LISTENING: Final = frozenset({200, 304})


@dataclass(frozen=True, slots=True)
class Access:
    """A playlist that was answered.

    `line` is TAKE/RENDITION, "" for the multivariant playlist. `asked` is what a low-latency player waited
    for, a part or a whole segment; None for a plain reload.
    """

    status: int
    outcome: str
    kind: str
    room: str
    line: str
    asked: Position | Segment | None

    @property
    def listens(self) -> bool:
        """Whether it was answered with a playlist: who is refused does not listen."""
        return self.status in _LISTENING


@dataclass(frozen=True, slots=True)
class Segment:
    """A whole segment that a player waits for."""

    msn: int


def said(data: bytes) -> bytes:
    """What the edge said, without what a logger puts before it; b"" where it said nothing of ours."""
    start = max(data.find(_ACCESS_MARK), data.find(_ASKED_MARK))
    return b"" if start < 0 else data[start:].rstrip()


def parse_access(line: bytes) -> Access | None:
    """An `lw1` line."""
    found = _ACCESS.fullmatch(line)
    path = _PATH.fullmatch(found[4]) if found else None
    if found is None or path is None:
        return None
    room, where, query = path.groups()
    kind = found[3].decode()
    if (where is None) != (kind == "multivariant"):
        return None
    asked = None if where is None else _asked(query or b"")
    return Access(int(found[1]), found[2].decode(), kind, room.decode(), (where or b"").decode(), asked)


def parse_asked(line: bytes) -> list[int]:
    """What origins answered to each request that an `lw2` line tells of; none for any other line."""
    found = _ASKED.fullmatch(line)
    return [int(status) for status in _STATUS.findall(found[1])] if found else []


def _asked(query: bytes) -> Position | Segment | None:
    msn = _MSN.search(query)
    if msn is None:
        return None
    part = _PART.search(query)
    return Segment(int(msn[1])) if part is None else Position(int(msn[1]), int(part[1]))
