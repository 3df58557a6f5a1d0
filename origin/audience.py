"""How many listen to one rendition: an estimate from what is asked, without cookies, sessions or addresses.

Low-latency players have one playlist request waiting nearly all the time; whoever waits when a part comes is
one listener. Plain players ask for the playlist about once a target duration (rfc8216bis 6.3.4).

How good it is. Low-latency listeners are counted exactly, but for those who were late for every part of the
last `PEAK_SECONDS`; one who leaves, or changes to another rendition, is counted for so long after. Plain ones
come within `PLAIN_SECONDS` to the number that they are, give or take a fifth. The first request of a
low-latency player is plain too, and is a quarter of a listener at most for `PLAIN_SECONDS`. An edge is no
listener: what it asks for, it asks for many, and counts them itself (`origin/edges.py`).

Nobody is told from anybody else. So one who waits on a hundred connections is a hundred, and so is one who
reloads fifty times a second; a burst of plain requests is nobody (`contracts/counting.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from contracts.counting import INTERVALS, Reloads
from pipeline.playlist import TARGET_DURATION

PEAK_SECONDS: Final = 3.0
"""Longer than a segment: who waits for whole segments waits at one part in five."""
PLAIN_SECONDS: Final = INTERVALS * TARGET_DURATION
"""Four reloads of a plain player."""


def is_listener(headers: Mapping[str, str]) -> bool:
    """Whether a request with these (case-insensitive) header fields is a listener's own.

    Edges and CDNs sign what they pass on with `CDN-Loop` (RFC 8586); a browser cannot send it by accident.
    """
    return not headers.get("CDN-Loop")


class _Sample(NamedTuple):
    at: float
    waiting: int


class Audience:
    """Counts one rendition's listeners. Times are in seconds, of any clock that is monotonic.

    `waiting` is kept by whoever makes playlist requests wait; `answers` is how many plain ones were answered
    since the rendition began. In both, what edges ask for is left out.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._samples: deque[_Sample] = deque()
        self._reloads = Reloads(TARGET_DURATION)

    def observe(self, now: float, answers: int) -> None:
        """A part has come, and nobody has been told yet."""
        samples = self._samples
        samples.append(_Sample(now, self.waiting))
        while now - samples[0].at > PEAK_SECONDS:
            samples.popleft()
        self._reloads.observe(now, answers)

    def size(self, now: float, answers: int) -> int:
        """How many listen."""
        recent = (sample.waiting for sample in self._samples if now - sample.at <= PEAK_SECONDS)
        return max(self.waiting, *recent, 0) + int(self._reloads.size(now, answers) + 0.5)
