"""Thousands of listeners blocked on one part: how fast they are released and what memory each takes.

The harness puts the part, so the clock starts before the origin can know of it, and stops when a listener has
the whole playlist; both are the machine's monotonic clock.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, Protocol

from benchmarks import report
from benchmarks.crowd import RemoteCrowd, remote_crowd
from benchmarks.filled import FilledTake, filled_take
from benchmarks.processes import pss_bytes
from tests.soak.running import Program, on_cores, scrape, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME: Final = "blocked"
TITLE: Final = "Listeners blocked on one part, against a bare aiohttp handler"
_COLUMNS: Final = (
    "",
    "listeners",
    "p50 release",
    "p99 release",
    "memory each",
    "the same after the releases",
)
_SERVER_CORE: Final = {0}
_CROWD_CORE: Final = {1}
_BLOCKED_SECONDS: Final = 5.5  # the origin answers 503 after 6 s


class Gate(Protocol):
    """What holds listeners back."""

    pid: int
    port: int

    def path(self) -> str:
        """What a listener asks for to be blocked now."""

    def waiting(self) -> int:
        """How many are blocked."""

    def release(self) -> float:
        """Let them go; the monotonic instant at which that was asked for."""


class OriginGate:
    """A blocking playlist request at our origin, released by the next part."""

    def __init__(self, take: FilledTake) -> None:
        self._take = take
        self.pid, self.port = take.server.pid, take.server.port

    def path(self) -> str:
        """The playlist that holds the next part."""
        msn, part = self._take.next
        return f"{self._take.path}/index.m3u8?_HLS_msn={msn}&_HLS_part={part}"

    def waiting(self) -> int:
        """By the origin's own count."""
        return round(total(scrape(self._take.server), "longwave_blocked_listeners"))

    def release(self) -> float:
        """Put the part."""
        return self._take.put_next_part()


class BareGate:
    """A handler of aiohttp that awaits one future."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid, self.port = pid, port

    def path(self) -> str:
        """Its only resource."""
        return "/wait"

    def waiting(self) -> int:
        """By its own count."""
        return int(self._call("GET", "/waiting"))

    def release(self) -> float:
        """Resolve the future."""
        began = time.monotonic()
        self._call("POST", "/release")
        return began

    def _call(self, method: str, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path)
            return connection.getresponse().read()


@dataclass(frozen=True)
class Crowding:
    """What a number of listeners met: medians over several releases."""

    who: str
    listeners: int
    p50: float
    p99: float
    bytes_each: float
    bytes_each_after: float


def run(*, quick: bool) -> report.Result:
    """Measure 2,000 and 9,000 listeners (2,000 only when quick) on both sides."""
    counts, rounds = ((2000,), 3) if quick else ((2000, 9000), 5)
    rows = []
    for count in counts:
        with TemporaryDirectory(prefix="longwave-bench-") as name:
            directory = Path(name)
            with filled_take(directory, _SERVER_CORE) as take:
                body = playlist_gzip(take)
                rows.append(_measure("longwave", OriginGate(take), count, rounds))
            with _bare_gate(directory, body) as gate:
                rows.append(_measure("bare aiohttp", gate, count, rounds))
    return _result(rows, rounds, len(body))


def playlist_gzip(take: FilledTake) -> bytes:
    """The playlist as a browser gets it."""
    answer = take.server.get(f"{take.path}/index.m3u8", headers={"Accept-Encoding": "gzip"})
    return answer.body


@contextlib.contextmanager
def _bare_gate(directory: Path, body: bytes) -> Iterator[BareGate]:
    (file := directory / "body").write_bytes(body)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with on_cores(_SERVER_CORE):
        program = Program(
            [sys.executable, "-m", "benchmarks.bare_server", str(port), str(file)], directory / "bare.log"
        )
    with program:
        gate = BareGate(program.pid, port)
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                gate.waiting()
                break
            if program.ended() or time.monotonic() > deadline:
                raise RuntimeError(f"the bare server did not start: {program.last_words()}")
            time.sleep(0.05)
        yield gate


def _measure(who: str, gate: Gate, count: int, rounds: int) -> Crowding:
    gate.waiting()  # what the first request of all allocates belongs to nobody
    before = pss_bytes(gate.pid)
    releases, memory = [], []
    with remote_crowd(gate.port, count, _CROWD_CORE) as crowd:
        for _ in range(rounds):
            times, held = _release(gate, crowd, count)
            releases.append(times)
            memory.append((held - before) / count)
    p50 = statistics.median(report.percentile(times, 50) for times in releases)
    p99 = statistics.median(report.percentile(times, 99) for times in releases)
    return Crowding(who, count, p50, p99, memory[0], memory[-1])


def _release(gate: Gate, crowd: RemoteCrowd, count: int) -> tuple[list[float], int]:
    """Block everybody, release everybody: seconds until each had its answer, and memory while blocked."""
    deadline = time.monotonic() + _BLOCKED_SECONDS
    crowd.ask_all(gate.path())
    while (waiting := gate.waiting()) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"only {waiting} of {count} listeners were blocked in time")
        time.sleep(0.1)
    held = pss_bytes(gate.pid)
    released = gate.release()
    arrivals = crowd.answers(30)
    refused = [arrival.status for arrival in arrivals if arrival.status != http.client.OK]
    if refused:
        raise RuntimeError(f"{len(refused)} of {count} listeners got {refused[0]}")
    return [arrival.at - released for arrival in arrivals], held


def _result(rows: Sequence[Crowding], rounds: int, body_length: int) -> report.Result:
    ours = [row for row in rows if row.who == "longwave"][-1]
    table = [
        (
            row.who,
            f"{row.listeners:,}",
            report.milliseconds(row.p50),
            report.milliseconds(row.p99),
            f"{row.bytes_each / 1000:.1f} kB",
            f"{row.bytes_each_after / 1000:.1f} kB",
        )
        for row in rows
    ]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(table),
        notes=(
            f"medians of {rounds} releases; the server on one core, the listeners on the other",
            f"each listener gets the gzipped playlist of a full window, {body_length:,} bytes",
            "memory is how PSS grows from no listener to all blocked: for the first part and for the last",
        ),
        targets=(
            report.at_most(f"p99 release of {ours.listeners:,} blocked listeners, s", 0.5, ours.p99),
            report.at_most("memory a blocked listener, kB", 15.0, ours.bytes_each_after / 1000, "{:.1f}"),
        ),
    )
