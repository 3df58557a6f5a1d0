"""Lines as they come, many of them equal: counted as bytes first, and read once each when somebody looks.

Thousands who wait for one part make thousands of equal lines. So a line costs a look into a dictionary, and
what is parsed grows with what is listened to, not with how many do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from longwave.edge.lines import said

MAX_DISTINCT: Final = 20_000
"""Lines between two looks; what is new beyond them is dropped and counted."""
_MAX_LINE: Final = 4_096


class Gathering:
    """Lines since the last `take`. Never holds more than `MAX_DISTINCT` of them, of 4 kB at most."""

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()
        self.dropped = 0
        """Lines that were not counted since the start: too many at once, or too long."""

    def add(self, lines: Iterable[bytes]) -> None:
        """Lines as they are read, with or without what a logger puts before them."""
        counts = self._counts
        for line in lines:
            text = said(line)
            if text in counts:
                counts[text] += 1
            elif len(text) > _MAX_LINE or len(counts) >= MAX_DISTINCT:
                self.dropped += 1
            elif text:
                counts[text] = 1

    def take(self) -> Counter[bytes]:
        """What has come since the last time, by line."""
        taken, self._counts = self._counts, Counter()
        return taken
