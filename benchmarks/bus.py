"""What Redis costs between owners and encoders: rooms in one process, and through Redis with 2 workers.

Both sides get the same sound in real time and publish to the same origin that keeps nothing. What is counted
is all that a room takes: the owner's process, Redis, the workers. The origin and this harness are not.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks import report
from benchmarks.bus_takes import SPREAD_SECONDS
from benchmarks.part_sink import PartSink
from benchmarks.processes import cpu_seconds, pss_bytes
from contracts.position import Position
from pipeline.grid import SAMPLE_RATE, Grid
from tests import programs
from tests.redis_server import RedisServer
from tests.soak.running import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NAME: Final = "bus"
TITLE: Final = "Rooms through Redis with 2 workers, against the in-process bus"
_COLUMNS: Final = (
    *("rooms", "", "% of a core a room", "of the in-process bus", "part at the origin, p50", "p99"),
    *("round trips /s", "sound /s", "memory"),
)
_WORKERS: Final = 2
_MOST_RATIO: Final = 1.25
_MOST_TRIPS: Final = 100.0
_STARTING_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 6.0
_KEPT_UP: Final = 0.98
"""Of the parts that came due, so many have to come, or the machine was too small for so many rooms."""
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


@dataclass(frozen=True)
class Pair:
    """Both sides with the same number of rooms, in turns."""

    rooms: int
    together: Sequence[Run]
    through: Sequence[Run]

    @property
    def ratio(self) -> float:
        """CPU through Redis for what one process takes 1."""
        return _mean(run.cores for run in self.through) / _mean(run.cores for run in self.together)

    @property
    def on_time(self) -> float:
        """The worst of all runs."""
        return min(run.on_time for run in (*self.together, *self.through))


def run(*, quick: bool) -> report.Result:
    """Measure 50 and 100 rooms (20 when quick), both sides in turns."""
    if programs.find("redis-server") is None:
        return report.not_measured(NAME, TITLE, "redis-server is not here")
    counts, rounds, seconds = ((20,), 1, 8.0) if quick else ((50, 100), 2, 20.0)
    pairs = []
    for rooms in counts:
        together, through = [], []
        for _ in range(rounds):
            together.append(_run(rooms, seconds, through_redis=False))
            through.append(_run(rooms, seconds, through_redis=True))
        pairs.append(Pair(rooms, together, through))
    return _result(pairs, rounds, seconds)


def _run(rooms: int, seconds: float, *, through_redis: bool) -> Run:
    with TemporaryDirectory(prefix="longwave-bench-") as name, contextlib.ExitStack() as stack:
        sink = stack.enter_context(PartSink())
        server = stack.enter_context(RedisServer()) if through_redis else None
        options = ["--rooms", str(rooms), "--origin", sink.url]

        def start(role: str, *more: str) -> Side:
            return stack.enter_context(Side(role, Path(name), *options, *more))

        if server is None:
            roles = {"together": [start("together")]}
        else:
            options += ["--bus", server.url, "--shares", str(_WORKERS)]
            workers = [start("worker", "--share", str(share)) for share in range(_WORKERS)]
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
        redis = {name: after["redis"][name] - before["redis"][name] for name in _RATES}
        redis = {name: count / elapsed for name, count in redis.items()} | {"used": after["redis"]["used"]}
    delays = sink.between(began, ended)
    due = rooms * elapsed / (_SEGMENT / 5)
    return Run(shares, delays, len(delays) / due, redis, received / elapsed)


_RATES: Final = ("total_net_input_bytes", "total_net_output_bytes", "total_commands_processed")


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
        found["redis"] = {name: float(info[name]) for name in _RATES}
        found["redis"] |= _taken([info["process_id"]]) | {"used": float(info["used_memory"])}
    return found


def _taken(pids: Sequence[int]) -> dict[str, float]:
    return {"cpu": sum(map(cpu_seconds, pids)), "memory": float(sum(map(pss_bytes, pids)))}


def _mean(values: Iterator[float]) -> float:
    return statistics.fmean(values)


# ---- the table ---------------------------------------------------------------------------------------------


def _result(pairs: Sequence[Pair], rounds: int, seconds: float) -> report.Result:
    rows = [row for pair in pairs for row in _rows(pair)]
    most = pairs[-1]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rows),
        notes=(*_notes(most), *_crowded(pairs), f"means of {rounds} runs of {seconds:.0f} s, in turns"),
        targets=_targets(pairs),
    )


def _targets(pairs: Sequence[Pair]) -> tuple[report.Target, ...]:
    """Of the most rooms that this machine keeps up with; a starved process works in larger pieces."""
    fitting = [pair for pair in pairs if pair.on_time >= _KEPT_UP]
    pair = (fitting or pairs)[-1]
    trips = max(_mean(run.shares[role].trips for run in pair.through) / count for role, count in _PROCESSES)
    targets = (
        report.at_most(
            f"CPU of {pair.rooms} rooms through Redis, × the in-process bus", _MOST_RATIO, pair.ratio
        ),
        report.at_most(
            f"round trips a second of the busiest process, {pair.rooms} rooms", _MOST_TRIPS, trips, "{:.0f}"
        ),
    )
    return targets if fitting else tuple(replace(target, met=None) for target in targets)


_PROCESSES: Final = (("owner", 1), ("worker", _WORKERS))


def _rows(pair: Pair) -> Iterator[tuple[str, ...]]:
    rooms = pair.rooms
    yield (str(rooms), "one process", *_cells(pair.together, rooms, "1.00"), "–", "–", _memory(pair.together))
    every = _cells(pair.through, rooms, f"{pair.ratio:.2f}")
    yield (str(rooms), "through Redis", *every, "–", "–", _memory(pair.through))
    names = {"owner": "its owner", "redis": "Redis", "worker": f"{_WORKERS} workers, each"}
    for role, name in names.items():
        shares, count = [run.shares[role] for run in pair.through], _WORKERS if role == "worker" else 1
        yield (
            "",
            name,
            f"{100 * _mean(share.cores for share in shares) / count / rooms:.2f} %",
            *("", "", ""),
            "" if role == "redis" else f"{_mean(share.trips for share in shares) / count:.0f}",
            "" if role == "redis" else report.megabytes(_mean(share.sound for share in shares) / count),
            report.megabytes(_mean(share.memory for share in shares) / count),
        )


def _cells(runs: Sequence[Run], rooms: int, ratio: str) -> tuple[str, ...]:
    delays = [delay for run in runs for delay in run.delays]
    cores = _mean(run.cores for run in runs)
    waits = (report.milliseconds(report.percentile(delays, percent)) for percent in (50, 99))
    return (f"{100 * cores / rooms:.2f} %", ratio, *waits)


def _memory(runs: Sequence[Run]) -> str:
    return report.megabytes(_mean(sum(share.memory for share in run.shares.values()) for run in runs))


def _notes(most: Pair) -> Iterator[str]:
    inward, outward, commands = (_mean(run.redis[name] for run in most.through) for name in _RATES)
    used = _mean(run.redis["used"] for run in most.through)
    sent = _mean(run.sent for run in most.through)
    yield (
        f"Redis with {most.rooms} rooms: {report.megabytes(inward)}/s in, {report.megabytes(outward)}/s out, "
        f"{commands:.0f} commands /s, {report.megabytes(used)} used so far (a minute of sound at most)"
    )
    yield f"workers to the origin: {sent / most.rooms / 1e3:.1f} kB/s a room, HTTP included"
    yield "part at the origin: from its last sample, 42.7 ms of which are the codec's look-ahead"
    yield "owners without speakers and mixers; mono, 64k; memory is PSS; the origin is not counted"


def _crowded(pairs: Sequence[Pair]) -> Iterator[str]:
    for pair in pairs:
        if pair.on_time < _KEPT_UP:
            yield f"{pair.rooms} rooms are too many here: {100 * pair.on_time:.0f} % of their parts came"
