"""What each role takes for N rooms, as processes of their own: to size machines by."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from benchmarks import report, sockets
from benchmarks.live import QUIET, wait_until_live
from benchmarks.processes import Cost, cost_over_each
from pipeline.grid import SAMPLE_RATE
from tests import programs
from tests.cluster.bench import Bench
from tests.redis_server import RedisServer
from tests.soak.running import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

NAME: Final = "roles"
TITLE: Final = "What an ingest, a worker, an origin and Redis take"
_COLUMNS: Final = (
    *("rooms", "process", "% of a core", "a room", "memory"),
    *("to Redis, a room", "from Redis, a room", "to the origin, a room", "connections to Redis"),
)
_ROLES: Final = ("ingest", "worker", "origin")
_REDIS_YOUNG_SECONDS: Final = 4
_SETTLE_SECONDS: Final = 6.0
_HELD_SECONDS: Final = 60


@dataclass(frozen=True)
class Measured:
    """All processes with so many rooms; `links` are bytes a second, by role and peer ("redis", "origin").

    `connections` are those to Redis, by role. `room_bytes` is what a room with a minute of sound takes there.
    """

    rooms: int
    costs: Mapping[str, Cost]
    links: Mapping[tuple[str, str], sockets.Traffic]
    connections: Mapping[str, int]
    room_bytes: float


def run(*, quick: bool) -> report.Result:
    """Measure 10 and 30 rooms (10 when quick)."""
    for needed in ("redis-server", "ss"):
        if programs.find(needed) is None:
            return report.not_measured(NAME, TITLE, f"{needed} is not here")
    counts, seconds = ((10,), 8.0) if quick else ((10, 30), 25.0)
    return _result([_measure(rooms, seconds) for rooms in counts], seconds)


def _measure(rooms: int, seconds: float) -> Measured:
    counts = dict.fromkeys(_ROLES, 1)
    with (
        TemporaryDirectory(prefix="longwave-bench-") as name,
        RedisServer() as server,
        Bench(Path(name), [server.url], counts=counts, env=QUIET) as bench,
    ):
        (origin,), (ingest,), (worker,) = bench.origins, bench.ingests, bench.workers
        # A Redis that is only just there lets nobody begin a take.
        while server.client().info("server")["uptime_in_seconds"] < _REDIS_YOUNG_SECONDS:
            time.sleep(0.2)
        argv = [sys.executable, "-m", "benchmarks.senders", str(ingest.port), str(rooms)]
        with Program(argv, Path(name) / "senders.log") as senders:
            wait_until_live(origin, rooms, senders)
            time.sleep(_SETTLE_SECONDS)
            pids = {"ingest": ingest.pid, "worker": worker.pid, "origin": origin.pid}
            ports = {"redis": server.port, "origin": origin.port}
            began, before = time.monotonic(), sockets.traffic(pids.values())
            costs = cost_over_each({**pids, "redis": _pid_of(server)}, seconds)
            elapsed, after = time.monotonic() - began, sockets.traffic(pids.values())
            links = {
                (role, peer): _rate(sockets.carried(before, after, pid, port), elapsed)
                for role, pid in pids.items()
                for peer, port in ports.items()
            }
            connections = {
                role: sum((each.pid, each.peer) == (pid, server.port) for each in after)
                for role, pid in pids.items()
            }
            return Measured(rooms, costs, links, connections, _bytes_a_room(server))


def _pid_of(server: RedisServer) -> int:
    with server.client() as client:
        info: dict[str, Any] = client.info("server")
    return int(info["process_id"])


def _rate(carried: sockets.Traffic, seconds: float) -> sockets.Traffic:
    return sockets.Traffic(round(carried.sent / seconds), round(carried.received / seconds))


def _bytes_a_room(server: RedisServer) -> float:
    """With a minute held, by what it takes with as much as there is now."""
    with server.client() as client:
        found = []
        for stream in client.keys("lw:*:pcm:*"):
            oldest, newest = (int(ids[0][0].partition(b"-")[0]) for ids in _ends(client, stream))
            held = (newest - oldest) / SAMPLE_RATE
            # Without samples, all nodes of the stream are measured, not some of them.
            found.append(client.memory_usage(stream, samples=0) / held * _HELD_SECONDS)
    return statistics.fmean(found)


def _ends(client: Any, stream: bytes) -> Iterator[Sequence[tuple[bytes, Any]]]:  # noqa: ANN401 - of any type
    for read in (client.xrange, client.xrevrange):
        yield read(stream, count=1)


# ---- the table ---------------------------------------------------------------------------------------------


def _result(measured: Sequence[Measured], seconds: float) -> report.Result:
    most = measured[-1]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(row for each in measured for row in _rows(each)),
        notes=(
            f"a room takes {report.megabytes(most.room_bytes)} in Redis, a minute of its sound held",
            "bytes of TCP's payload, heartbeats and requests included; each origin is sent as much",
            f"over {seconds:.0f} s each; mono, one rendition of 64k; memory is PSS, windows not yet full",
        ),
    )


def _rows(measured: Measured) -> Iterator[tuple[str, ...]]:
    rooms, links = measured.rooms, measured.links

    def a_room(role: str, peer: str, way: Callable[[sockets.Traffic], int]) -> str:
        return _kilobytes(way(links[role, peer]) / rooms)

    for role in (*_ROLES, "redis"):
        cost = measured.costs[role]
        yield (
            str(rooms) if role == _ROLES[0] else "",
            "Redis" if role == "redis" else f"one {role}",
            f"{100 * cost.cores:.1f} %",
            f"{100 * cost.cores / rooms:.2f} %",
            report.megabytes(cost.memory),
            *(
                ("–", "–", "–", str(sum(measured.connections.values())))
                if role == "redis"
                else (
                    a_room(role, "redis", lambda link: link.sent),
                    a_room(role, "redis", lambda link: link.received),
                    a_room(role, "origin", lambda link: link.sent),
                    str(measured.connections[role]),
                )
            ),
        )


def _kilobytes(count: float) -> str:
    return f"{count / 1e3:.1f} kB/s"
