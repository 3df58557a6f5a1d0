"""What `longwave load` will do: said in words and numbers before it is done."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contracts.errors import UsageError
from longwave.load.crowd import Target

_ARRIVE_WITHIN: Final = 10.0
"""Seconds in which all arrive where no rate is said."""
_LISTENERS_A_PROCESS: Final = 50
"""Below this another process gains nothing."""
_CONNECTIONS_AN_ADDRESS: Final = 4_000
"""The kernel has 28,232 ports an address and server; those of connections that closed rest for a minute."""
_SPARE_FILES: Final = 64
_MOST_ADDRESSES: Final = 250


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What was asked for; rates a second, times in seconds."""

    url: str
    listeners: int
    low_latency: bool = False
    arrive: float | None = None
    seconds: float = 60.0
    stay: float | None = None
    tiers: bool = False
    processes: int | None = None
    json: Path | None = None
    token: str | None = None
    ca: Path | None = None
    mine: bool = False

    def __post_init__(self) -> None:
        """Raise UsageError where it makes no sense."""
        if self.listeners < 1:
            raise UsageError("--listeners: at least 1")
        for name, value in (("arrive", self.arrive), ("for", self.seconds), ("stay", self.stay)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"--{name}: more than 0")
        if self.processes is not None and self.processes < 1:
            raise UsageError("--processes: at least 1")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at the target: seconds and bytes, as its playlist says or as was measured."""

    target: Target
    target_duration: float
    segment_seconds: float
    segment_bytes: int
    playlist_bytes: int
    part_seconds: float | None = None
    hold_back: float = 0.0
    prefix: bytes = b""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done."""

    options: LoadOptions
    found: Found
    processes: int
    rate: float
    peak: int
    sources: tuple[str, ...] = field(default=())

    @property
    def connections(self) -> int:
        """Connections of a listener."""
        return 1 + self.found.target.low_latency + bool(self.found.target.listen)

    @property
    def requests_a_second(self) -> float:
        """What all listeners together ask for, once they are there."""
        found = self.found
        if found.target.low_latency and found.part_seconds:
            return self.peak * 2 / found.part_seconds
        return self.peak * (1 / found.target_duration + 1 / found.segment_seconds)

    @property
    def bytes_a_second(self) -> float:
        """What all listeners together are sent, without headers."""
        found = self.found
        reload = found.part_seconds if found.target.low_latency else None
        media = found.segment_bytes / found.segment_seconds
        return self.peak * (media + found.playlist_bytes / (reload or found.target_duration))

    def lines(self) -> Iterator[str]:
        """It in words."""
        options, found = self.options, self.found
        kind = "low-latency" if found.target.low_latency else "plain"
        stay = "" if options.stay is None else f", each for {options.stay:g} s"
        yield (
            f"{options.listeners:,} {kind} listeners of {without_token(options.url)}, "
            f"{self.rate:g} a second{stay}; {options.seconds:g} s in all"
        )
        yield (
            f"at most {self.peak:,} at once: about {self.requests_a_second:,.0f} requests and "
            f"{self.bytes_a_second / 1e6:,.1f} MB a second"
        )
        many = "from one address" if len(self.sources) < 2 else f"from {len(self.sources)} loopback addresses"
        several = "one process" if self.processes == 1 else f"{self.processes} processes"
        held = f"{found.hold_back:g} s behind the live edge"
        yield (
            f"{several}, {self.peak * self.connections:,} connections {many}, HTTP/1.1 "
            f"({found.target.base.scheme}); they begin {held}"
        )


def make_plan(options: LoadOptions, found: Found, cores: int | None = None) -> Plan:
    """The plan, once the target is known. Raises UsageError where this machine cannot do it."""
    most = cores or os.cpu_count() or 1
    needed = math.ceil(options.listeners / _LISTENERS_A_PROCESS)
    processes = options.processes or min(most, needed)
    rate = options.arrive or options.listeners / min(_ARRIVE_WITHIN, options.seconds / 2)
    stay = options.seconds if options.stay is None else min(options.stay, options.seconds)
    peak = min(options.listeners, math.ceil(rate * stay))
    plan = Plan(options, found, processes, rate, peak)
    return Plan(options, found, processes, rate, peak, _sources(plan))


def _sources(plan: Plan) -> tuple[str, ...]:
    """Loopback addresses to connect from: only this machine's IPv4 loopback has more than one."""
    host = plan.found.target.base.host
    if not host.startswith("127.") and host != "localhost":
        return ()
    wanted = math.ceil(plan.peak * plan.connections / _CONNECTIONS_AN_ADDRESS)
    return tuple(f"127.0.1.{number}" for number in range(1, min(wanted, _MOST_ADDRESSES) + 1))


def without_token(url: str) -> str:
    """The address without what lets into private rooms."""
    before, mark, after = url.partition("/p/")
    return f"{before}/p/…/{after.partition('/')[2]}" if mark else url.partition("#")[0]


def check_consent(options: LoadOptions, target: Target) -> None:
    """Raise UsageError where the target is somebody else's for all that is known."""
    if not options.mine and not target.base.is_loopback:
        raise UsageError(
            f"{target.base} is not on this machine: so many listeners can take a server down. Say "
            "--i-run-this-server if that is yours to decide"
        )


def raise_file_limit(plan: Plan) -> None:
    """Let this process, and those it starts, have as many connections as they need. Raises UsageError."""
    # A listener that moves to another tier has both for a moment.
    each = plan.connections + bool(plan.found.target.listen)
    needed = math.ceil(plan.peak / plan.processes) * each + _SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        raise UsageError(
            f"{needed:,} open files a process are needed, and {hard:,} allowed: raise the limit "
            "(ulimit -Hn), or use more --processes"
        )
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
