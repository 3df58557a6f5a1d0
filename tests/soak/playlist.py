"""The little of a media playlist that a recording client needs to know."""

from __future__ import annotations

import re
from dataclasses import dataclass

Position = tuple[int, int]

_PART = re.compile(r"(\d+)\.(\d+)\.m4s")
_SEGMENT = re.compile(r"(\d+)\.m4s")
_ATTRIBUTE_URI = re.compile(r'URI="([^"]+)"')


@dataclass(frozen=True)
class Listed:
    """What one playlist lists: whole segments, gaps, parts, and the part it hints at."""

    sequence: int
    segments: tuple[int, ...]
    gaps: frozenset[int]
    parts: tuple[Position, ...]
    hint: Position | None
    ended: bool

    @property
    def edge(self) -> Position:
        """The position after everything that is listed: grows, or the server took something back."""
        whole = (self.segments[-1] + 1, 0) if self.segments else (self.sequence, 0)
        if self.parts:
            msn, part = self.parts[-1]
            return max(whole, (msn, part + 1))
        return whole


def parse(text: str) -> Listed:
    """Raises ValueError when a URI does not say the sequence number that its place in the list says."""
    sequence, ended, hint = 0, False, None
    segments: list[int] = []
    parts: list[Position] = []
    gaps: set[int] = set()
    gap = False
    for line in text.splitlines():
        if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            sequence = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-PART:"):
            parts.append(_position(line))
        elif line.startswith("#EXT-X-PRELOAD-HINT:"):
            hint = _position(line)
        elif line == "#EXT-X-GAP":
            gap = True
        elif line == "#EXT-X-ENDLIST":
            ended = True
        elif line and not line.startswith("#"):
            segments.append(_segment(line, sequence + len(segments)))
            if gap:
                gaps.add(segments[-1])
            gap = False
    return Listed(sequence, tuple(segments), frozenset(gaps), tuple(parts), hint, ended)


def _position(line: str) -> Position:
    uri = _ATTRIBUTE_URI.search(line)
    found = _PART.fullmatch(uri[1]) if uri else None
    if not found:
        raise ValueError(f"no part in {line}")
    return int(found[1]), int(found[2])


def _segment(uri: str, expected: int) -> int:
    found = _SEGMENT.fullmatch(uri)
    if not found or int(found[1]) != expected:
        raise ValueError(f"segment {uri} stands where {expected} belongs")
    return expected
