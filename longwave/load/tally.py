"""What a crowd of listeners met: counters and histograms that add up over processes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Self

_BITS: Final = 7
"""Bits of a value that are kept: what a percentile says is at most 1/64 too high."""
_EXACT: Final = 1 << _BITS


class Histogram:
    """Durations, in buckets whose width grows with the value, as HdrHistogram's: 1.6 % of error at most."""

    __slots__ = ("counts", "largest", "number", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.number = 0
        self.total = 0
        self.largest = 0

    def add(self, seconds: float) -> None:
        """Count one duration; less than nothing is nothing."""
        value = int(seconds * 1e6)
        if value < _EXACT:
            value = index = max(value, 0)
        else:
            shift = value.bit_length() - _BITS
            index = (shift << _BITS) + (value >> shift)
        self.counts[index] = self.counts.get(index, 0) + 1
        self.number += 1
        self.total += value
        self.largest = max(self.largest, value)

    def add_with_missed(self, seconds: float, interval: float) -> None:
        """Count one duration, and those of the requests that were due every `interval` meanwhile.

        Whoever waits for an answer does not ask again, so a server that stands still would be met by one
        request where several were due (HdrHistogram's correction of coordinated omission).
        """
        self.add(seconds)
        while interval > 0 and (seconds := seconds - interval) > 0:
            self.add(seconds)

    def quantile(self, share: float) -> float | None:
        """The duration in seconds that `share` (0 to 1) of all do not exceed; None without any."""
        left = share * self.number
        for index in sorted(self.counts):
            left -= self.counts[index]
            if left <= 0:
                return min(_upper(index), self.largest) / 1e6
        return self.largest / 1e6 if self.number else None

    def merge(self, other: Histogram) -> None:
        """Add what another one has counted."""
        for index, count in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + count
        self.number += other.number
        self.total += other.total
        self.largest = max(self.largest, other.largest)

    def summary(self) -> dict[str, float | int | None]:
        """`count`, `mean`, `p50`, `p95`, `p99`, `max`, in seconds."""
        return {
            "count": self.number,
            "mean": _rounded(self.total / self.number / 1e6 if self.number else None),
            "p50": _rounded(self.quantile(0.5)),
            "p95": _rounded(self.quantile(0.95)),
            "p99": _rounded(self.quantile(0.99)),
            "max": _rounded(self.largest / 1e6 if self.number else None),
        }

    def to_json(self) -> dict[str, Any]:
        """For the pipe between processes."""
        return {"counts": [*self.counts.items()], "total": self.total, "largest": self.largest}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        made = cls()
        made.counts = {int(index): int(count) for index, count in found["counts"]}
        made.number = sum(made.counts.values())
        made.total, made.largest = int(found["total"]), int(found["largest"])
        return made


def _upper(index: int) -> int:
    """The largest value in a bucket."""
    if index < _EXACT:
        return index
    shift = index >> _BITS
    return ((index & (_EXACT - 1)) + 1 << shift) - 1


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


@dataclass
class Tally:
    """Everything that is counted, under names with dots between (`status.part.200`, `latency.playlist`)."""

    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, Histogram] = field(default_factory=dict)

    def time(self, name: str) -> Histogram:
        """The histogram of this name."""
        found = self.times.get(name)
        if found is None:
            found = self.times[name] = Histogram()
        return found

    def merge(self, other: Tally) -> None:
        """Add what another process has counted."""
        self.counts.update(other.counts)
        for name, histogram in other.times.items():
            self.time(name).merge(histogram)

    def under(self, prefix: str) -> dict[str, int]:
        """The counters whose name begins with `prefix.`, by what comes after it."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): count
            for name, count in sorted(self.counts.items())
            if name.startswith(start)
        }

    def times_under(self, prefix: str) -> dict[str, dict[str, float | int | None]]:
        """The summaries of the histograms whose name begins with `prefix.`, by what comes after it."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): histogram.summary()
            for name, histogram in sorted(self.times.items())
            if name.startswith(start)
        }

    def to_json(self) -> dict[str, Any]:
        """For the pipe between processes."""
        return {
            "counts": dict(self.counts),
            "times": {name: histogram.to_json() for name, histogram in self.times.items()},
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        times = {name: Histogram.from_json(each) for name, each in found["times"].items()}
        return cls(Counter(found["counts"]), times)
