"""Rooms in one process, or in an owner, Redis and workers, in real time; and what all of that takes.

What is counted is all that a room takes: the owner's process, Redis, the workers. The origin, which keeps
nothing, and this harness are not.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks.bus_takes import SPREAD_SECONDS
from benchmarks.part_sink import PartSink
from benchmarks.processes import cpu_seconds, pss_bytes
from contracts.position import Position
from pipeline.grid import SAMPLE_RATE, Grid
from tests.redis_server import RedisServer
from tests.soak.running import Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORKERS: Final = 2
RATES: Final = ("total_net_input_bytes", "total_net_output_bytes", "total_commands_processed")
"""What Redis counts of its own, of which a run gives how much it was a second."""
_STARTING_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 6.0
_SEGMENT: Final = Grid(5).stop_sample(Position(0, 4)) / SAMPLE_RATE


class Side:
    """One process of `benchmarks.bus_side`; see there. Leaving the context ends it."""

    def __init__(self, role: str, directory: Path, *options: str) -> None:
        argv = [sys.executable, "-m", "benchmarks.bus_side", role, *options]
        log = directory / f"{role}.log"
        self._program = Program(argv, log, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self._program.pid

    def wait_ready(self) -> None:
        """Return when it only waits for its start. Raises RuntimeError where it is gone."""
        self._hear()

    def begin(self, base: int) -> None:
        """Let takes begin from the instant `base` on."""
        self._say(str(base))

    def counters(self) -> dict[str, float]:
        """What it counted so far. Raises RuntimeError where it is gone."""
        self._say("")
        counted: dict[str, float] = json.loads(self._hear())
        return counted

    def _say(self, text: str) -> None:
        stdin = self._program.process.stdin
        assert stdin
        with contextlib.suppress(BrokenPipeError):
            stdin.write(f"{text}\n".encode())
            stdin.flush()

    def _hear(self) -> bytes:
        stdout = self._program.process.stdout
        assert stdout
        line = stdout.readline()
        if not line:
            raise RuntimeError(self._program.last_words())
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()


@dataclass(frozen=True)
class Share:
    """What the processes of one kind took: cores' worth of CPU and bytes of memory, all of them together.

    Round trips and bytes of sound are a second.
    """

    cores: float
    memory: int
    trips: float = 0.0
    sound: float = 0.0


@dataclass(frozen=True)
class Run:
    """One side for some time. `on_time` is how much of the sound that came due came out as parts."""

    shares: Mapping[str, Share]
    delays: Sequence[float]
    on_time: float
    redis: Mapping[str, float] = field(default_factory=dict)
    sent: float = 0.0

    @property
    def cores(self) -> float:
        """What all processes take for the sound that came due: where less came out, as much more."""
        return sum(share.cores for share in self.shares.values()) / self.on_time


def measure(rooms: int, seconds: float, *, through_redis: bool) -> Run:
    """One side with so many rooms, watched for `seconds` after it has settled."""
    with TemporaryDirectory(prefix="longwave-bench-") as name, contextlib.ExitStack() as stack:
        sink = stack.enter_context(PartSink())
        server = stack.enter_context(RedisServer()) if through_redis else None
        options = ["--rooms", str(rooms), "--origin", sink.url]

        def start(role: str, *more: str) -> Side:
            return stack.enter_context(Side(role, Path(name), *options, *more))

        if server is None:
            roles = {"together": [start("together")]}
        else:
            options += ["--bus", server.url, "--shares", str(WORKERS)]
            workers = [start("worker", "--share", str(share)) for share in range(WORKERS)]
            roles = {"owner": [start("owner")], "worker": workers}
        sides = [side for group in roles.values() for side in group]
        for side in sides:
            side.wait_ready()
        base = time.monotonic_ns() // 1000 + round(1e6 * _STARTING_SECONDS)
        for side in sides:
            side.begin(base)
        time.sleep(_STARTING_SECONDS + SPREAD_SECONDS + _SETTLE_SECONDS)
        return _watch(roles, server, sink, rooms, seconds)


def _watch(
    roles: Mapping[str, Sequence[Side]],
    server: RedisServer | None,
    sink: PartSink,
    rooms: int,
    seconds: float,
) -> Run:
    """What everything takes for `seconds`."""
    before, received = _look(roles, server), sink.received
    began = time.monotonic()
    time.sleep(seconds)
    ended = time.monotonic()
    after, received = _look(roles, server), sink.received - received
    elapsed = ended - began
    shares = {
        role: Share(
            cores=(after[role]["cpu"] - before[role]["cpu"]) / elapsed,
            memory=round(after[role]["memory"]),
            trips=(after[role].get("round trips", 0) - before[role].get("round trips", 0)) / elapsed,
            sound=sum(after[role].get(way, 0) - before[role].get(way, 0) for way in ("in", "out")) / elapsed,
        )
        for role in after
    }
    redis = {}
    if server is not None:
        redis = {name: after["redis"][name] - before["redis"][name] for name in RATES}
        redis = {name: count / elapsed for name, count in redis.items()} | {"used": after["redis"]["used"]}
    delays = sink.between(began, ended)
    due = rooms * elapsed / (_SEGMENT / 5)
    return Run(shares, delays, len(delays) / due, redis, received / elapsed)


def _look(roles: Mapping[str, Sequence[Side]], server: RedisServer | None) -> dict[str, dict[str, float]]:
    """What each kind of process has taken and counted so far."""
    found = {}
    for role, sides in roles.items():
        counted = [side.counters() for side in sides]
        found[role] = {name: sum(each[name] for each in counted) for name in counted[0]}
        found[role] |= _taken([side.pid for side in sides])
    if server is not None:
        with server.client() as client:
            info: dict[str, Any] = client.info()
        found["redis"] = {name: float(info[name]) for name in RATES}
        found["redis"] |= _taken([info["process_id"]]) | {"used": float(info["used_memory"])}
    return found


def _taken(pids: Sequence[int]) -> dict[str, float]:
    return {"cpu": sum(map(cpu_seconds, pids)), "memory": float(sum(map(pss_bytes, pids)))}
