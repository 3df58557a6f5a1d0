"""The packets that wait to be played, in the order in which they were sent."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from pipeline.grid import SAMPLE_RATE

LONGEST: Final = 2 * SAMPLE_RATE
"""Samples held at most; older ones are given up."""
_MOST: Final = 1_000
_REMEMBERED: Final = 256


@dataclass(frozen=True, slots=True)
class Waiting:
    """A packet of `samples` from `start` in the sender's time; `arrived` is in samples of local time."""

    order: int
    start: int
    samples: int
    stream: int
    arrived: int
    payload: bytes

    @property
    def end(self) -> int:
        """The sample after it."""
        return self.start + self.samples

    def goes_on_from(self, packet: Waiting) -> bool:
        """It follows `packet` without a gap, and sounds."""
        follows = self.order == packet.order + 1 and self.start == packet.end
        return follows and self.stream == packet.stream and not self.silent

    @property
    def silent(self) -> bool:
        """Nothing is said: a packet of DTX is a TOC and no more (RFC 7587 3.1.3)."""
        return len(self.payload) <= 2


class Fate(Enum):
    """What becomes of a packet that is put."""

    TAKEN = auto()
    LATE = auto()
    DUPLICATE = auto()


class PacketQueue:
    """Packets by their order. What was taken out, or passed over, is not taken in again."""

    def __init__(self) -> None:
        self.next = 0
        """The order of the packet that is played next, if nothing is lost."""
        self.end = 0
        """The sample after the last packet that ever waited, in the sender's time."""
        self._waiting: dict[int, Waiting] = {}
        self._past: deque[int] = deque(maxlen=_REMEMBERED)

    @property
    def first(self) -> Waiting | None:
        """The packet that comes next; packets before it, from `next` on, are missing."""
        if not self._waiting:
            return None
        return self._waiting.get(self.next) or self._waiting[min(self._waiting)]

    @property
    def second(self) -> Waiting | None:
        """The packet that follows the first, if none is missing between them."""
        first = self.first
        return self._waiting.get(first.order + 1) if first else None

    @property
    def next_is_here(self) -> bool:
        """The packet that is played next waits."""
        return self.next in self._waiting

    @property
    def held(self) -> int:
        """Samples of the sender's time from the first packet's start to the last one's end."""
        first = self.first
        return self.end - first.start if first is not None else 0

    def put(self, packet: Waiting) -> Fate:
        """Take a packet in, if it is still of use."""
        if packet.order in self._waiting or packet.order in self._past:
            return Fate.DUPLICATE
        if packet.order < self.next and self._past:
            return Fate.LATE
        if not self._past:
            self.next = min(self.next, packet.order)
        self.end = max(self.end, packet.end)
        self._waiting[packet.order] = packet
        return Fate.TAKEN

    def pop(self) -> Waiting:
        """Take the first packet out. Raises LookupError when there is none."""
        first = self.first
        if first is None:
            raise LookupError("no packet waits")
        del self._waiting[first.order]
        self._past.append(first.order)
        self.next = first.order + 1
        return first

    def overfull(self) -> bool:
        """More is held than anyone will play."""
        return len(self._waiting) > 1 and (self.held > LONGEST or len(self._waiting) > _MOST)
