"""What Redis servers bring to the mirror of a take, at times that tests say."""

from __future__ import annotations

import numpy as np

from contracts.take import TakeHeader, TakeKey, TakeSettings
from workers.redis_bus.entries import Ended, Entry, Gap, Happened, Silence, Sound
from workers.redis_bus.mirror import Mirror
from workers.redis_bus.mirrors import Mirrors

KEY = TakeKey("room", "20260131T200000Z-abc234")
OTHER = TakeKey("other", "20260131T200000Z-abc235")
HEADER = TakeHeader(0, TakeSettings(), "f")
SECOND = 48_000
RAMP = (np.arange(40 * SECOND) % 60_000 - 30_000).astype("<i2")[:, None]


class Links:
    """What several Redis servers bring to one mirror, at times that the test says."""

    def __init__(self, *names: str, first: int = 0) -> None:
        self.now = 1000.0
        self.mirrors = Mirrors(clock=lambda: self.now)
        self.mirror = self.mirrors.follow(KEY, HEADER, first)
        for name in names:
            self.mirrors.attach(name)

    def brings(self, link: str, *entries: Entry, generation: int = 1) -> list[bool]:
        self.mirrors.answered(link)
        return [self.mirror.take_in(each, after(each), generation, link, self.now) for each in entries]

    def later(self, seconds: float, *answering: str) -> None:
        """Time passes, and nobody says more than that it is there."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            for link in answering:
                self.mirrors.answered(link)
            self.mirrors.settle()


def is_over(links: Links) -> bool:
    return links.mirror.ended is not None


def after(entry: Entry) -> int:
    match entry:
        case Sound() | Silence() | Gap():
            return entry.stop
        case Happened(event):
            return event.sample
        case Ended(samples):
            return samples


def sound(start: int, stop: int) -> Sound:
    return Sound(start, stop, RAMP[start:stop].tobytes())


def holds(mirror: Mirror, start: int, stop: int) -> bool:
    return np.array_equal(mirror.read(start, stop), RAMP[start:stop])
