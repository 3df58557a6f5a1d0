"""Load on one server, and what it made of it: by wrk, or by a generator in Python where wrk is not here."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from benchmarks.crowd import Crowd
from benchmarks.processes import cpu_seconds
from tests import programs
from tests.soak.running import on_cores

CONNECTIONS: Final = 64
_GENERATOR_CORE: Final = {1}
_UNLIKE: Final = Path(__file__).with_name("unlike.lua")
_RANGES: Final = Path(__file__).with_name("ranges.lua")
RANGE: Final = 256 * 1024
"""Bytes that are asked for of a file that is read in ranges: about what a player asks for at once."""
_GOOD: Final = frozenset({http.client.OK, http.client.PARTIAL_CONTENT})


@dataclass(frozen=True)
class Resource:
    """What is asked for: its path at the origin, its file's name at nginx, and whether it travels gzipped.

    `unlike`: each request carries a header of its own, as a proxy may add one. `ranges`: how long the file
    is of which each request asks for `RANGE` bytes, from anywhere.
    """

    name: str
    path: str
    file: str
    gzip: bool = False
    target: bool = False
    unlike: bool = False
    ranges: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """Request headers."""
        return {"Accept-Encoding": "gzip"} if self.gzip else {}


class Rate(NamedTuple):
    """Requests a second of time, and of the server's CPU time: the latter hardly minds who else is busy."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Side:
    """One of the two servers: where it is, and the processes whose CPU time counts."""

    base: str
    pids: tuple[int, ...]


def median(rates: list[Rate]) -> Rate:
    """The median of each figure."""
    return Rate(statistics.median(rate.wall for rate in rates), statistics.median(rate.cpu for rate in rates))


def load(
    side: Side, path: str, resource: Resource, length: int, seconds: int, connections: int = CONNECTIONS
) -> Rate:
    """Ask for one resource as fast as it comes, for so long. Raises RuntimeError on any wrong answer."""
    generate = _wrk if programs.find("wrk") else _crowd
    before = sum(map(cpu_seconds, side.pids))
    with on_cores(_GENERATOR_CORE):
        got = generate(side, path, resource, seconds, connections)
    used = sum(map(cpu_seconds, side.pids)) - before
    # wrk counts what it could parse; answers that were cut short would make a server quick.
    if got.received < 0.99 * got.answers * length:
        raise RuntimeError(f"{side.base}{path}: {got.answers} answers in {got.received:.0f} bytes")
    return Rate(got.answers / got.elapsed, got.answers / used)


class Load(NamedTuple):
    """What a generator got: answers, bytes with headers, in how many seconds."""

    answers: int
    received: float
    elapsed: float


def _wrk(side: Side, path: str, resource: Resource, seconds: int, connections: int) -> Load:
    headers = [option for name, value in resource.headers.items() for option in ("-H", f"{name}: {value}")]
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *headers]
    if resource.unlike:
        argv += ["-s", str(_UNLIKE)]
    if resource.ranges:
        argv += ["-s", str(_RANGES)]
    argv += [side.base + path]
    if resource.ranges:
        argv += ["--", str(resource.ranges), str(RANGE)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 20).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)s, ([\d.]+)([KMG]?)B read", said)
    if "Non-2xx" in said or "Socket errors" in said or not found:
        raise RuntimeError(f"wrk {side.base}{path}: {said}")
    unit = 1024 ** " KMG".index(found[4] or " ")
    return Load(int(found[1]), float(found[3]) * unit, float(found[2]))


def _crowd(side: Side, path: str, resource: Resource, seconds: int, connections: int) -> Load:
    """The same where wrk is not here. It may not fill the server's core; the figures by CPU still hold."""
    port, count, received = urlsplit(side.base).port or 0, 0, 0
    with contextlib.closing(Crowd(port, connections)) as crowd:
        for listener in range(connections):
            crowd.ask(listener, path, gzip=resource.gzip, more=own_lines(resource, 0))
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            for arrival in crowd.arrivals(1.0):
                if arrival.status not in _GOOD:
                    raise RuntimeError(f"{side.base}{path}: {arrival.status}")
                count += 1
                received += arrival.length
                crowd.ask(arrival.listener, path, gzip=resource.gzip, more=own_lines(resource, count))
        return Load(count, received, elapsed)


def own_lines(resource: Resource, count: int) -> str:
    """The header lines that only this request has."""
    if resource.ranges:
        start = random.randint(0, resource.ranges - RANGE)
        return f"Range: bytes={start}-{start + RANGE - 1}\r\n"
    return f"X-Request-Id: {count}\r\n" if resource.unlike else ""


def generator() -> str:
    """Who asks, for people."""
    if programs.find("wrk"):
        return "wrk"
    return "a generator in Python (no wrk here, so the figures by time are the generator's)"
