"""A crowd of `longwave load` at an edge: what its listeners met, and what edge, origin and crowd took."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.processes import cpu_seconds, descendants
from infra.edge.nginx.edge import STATUS_SOCKET
from longwave.edge.programs import Nginx, Varnish
from tests.edges import running_edge
from tests.soak.running import Program, on_cores, scrape, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.edges import Edge
    from tests.server import Server

ROOM: Final = "room-0"
_CROWD_CORE: Final = {1}
_SETTLE_SECONDS: Final = 5.0
# From the end of what is measured until the listeners leave.
_AFTER_SECONDS: Final = 1.0
_START_SECONDS: Final = 30.0
_END_SECONDS: Final = 60.0
# By what origins call their answers: what listeners ask for, and nothing of whoever measures.
_KINDS: Final = ("multivariant", "playlist", "blocking_playlist", "init", "segment", "part")


@dataclass(frozen=True)
class Crowd:
    """Who comes: so many, within `arrive` seconds; all stay for `seconds` more."""

    listeners: int
    low_latency: bool = False
    arrive: float = 10.0
    seconds: float = 30.0


@dataclass(frozen=True)
class Level:
    """What came of a crowd. Rates are a second and costs are cores, both while all were there.

    `met` is what `longwave load` reports of the whole run, their arrival included.
    """

    crowd: Crowd
    met: Mapping[str, Any]
    edge_requests: float
    origin_requests: float
    edge_cores: float
    origin_cores: float
    crowd_cores: float

    @property
    def honest(self) -> bool:
        """Whether the crowd acted on time: the p99 of its lag is at most 50 ms."""
        return bool(self.met["honest"])

    @property
    def lag(self) -> float:
        """How late the crowd was by its own fault, p99, seconds."""
        return max(each["p99"] or 0.0 for each in self.met["schedule_lag"].values())

    @property
    def stalled(self) -> int:
        """Listeners who ran dry, once or more."""
        return int(self.met["rebuffering"]["listeners"])

    @property
    def latency(self) -> Mapping[str, float]:
        """Seconds from when a playlist was due to be asked for until it was there.

        One that was held for a part has taken from that part's last sample on.
        """
        if self.crowd.low_latency:
            found: Mapping[str, float] = self.met["release"]["after_sound"]["blocking_playlist"]
        else:
            found = self.met["latency"]["playlist"]
        return found


class MeasuredEdge:
    """An edge before `server`, at which crowds are measured one after the other."""

    def __init__(self, program: str, edge: Edge, server: Server, directory: Path) -> None:
        self._edge = edge
        self._server = server
        self._directory = directory
        self._counts = (
            Varnish(str(edge.working_directory))
            if program == "varnish"
            else Nginx(str(edge.directory / STATUS_SOCKET))
        )

    def measure(self, crowd: Crowd) -> Level:
        """Let them come, and measure while all are there. Raises RuntimeError where they could not."""
        result = self._directory / "met.json"
        result.unlink(missing_ok=True)
        with on_cores(_CROWD_CORE):
            load = Program(self._command(crowd, result), self._directory / "load.log")
        with load:
            # Its processes are there, and begin as soon as they have said so.
            _wait_for(load, lambda: load.ended() or bool(descendants(load.pid)), _START_SECONDS)
            time.sleep(crowd.arrive + _SETTLE_SECONDS)
            began, before = time.monotonic(), self._look(load.pid)
            time.sleep(crowd.seconds)
            passed, after = time.monotonic() - began, self._look(load.pid)
            _wait_for(load, load.ended, _END_SECONDS)
        rates = [(late - early) / passed for early, late in zip(before, after, strict=True)]
        return Level(crowd, json.loads(result.read_text()), *rates)

    def _look(self, load: int) -> tuple[float, ...]:
        """Requests at the edge, at the origin, CPU seconds of edge, origin and crowd: since they began."""
        asked = scrape(self._server)
        return (
            asyncio.run(self._counts.look()).clients,
            sum(total(asked, "longwave_http_requests_total", f'kind="{kind}"') for kind in _KINDS),
            *map(_cpu_seconds, (self._edge.pid, self._server.pid, load)),
        )

    def _command(self, crowd: Crowd, result: Path) -> list[str]:
        lasts = crowd.arrive + _SETTLE_SECONDS + crowd.seconds + _AFTER_SECONDS
        return [
            *(sys.executable, "-m", "longwave", "load", f"{self._edge.url}/live/{ROOM}/index.m3u8"),
            *("--listeners", str(crowd.listeners), "--arrive", str(crowd.listeners / crowd.arrive)),
            *("--for", str(lasts), "--processes", str(len(_CROWD_CORE)), "--json", str(result)),
            *(["--low-latency"] if crowd.low_latency else []),
        ]


def _cpu_seconds(pid: int) -> float:
    """Of a program with all that it has started."""
    return sum(cpu_seconds(each) for each in (pid, *descendants(pid)))


def _wait_for(load: Program, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not within {seconds:.0f} s: {load.last_words()}")
        time.sleep(0.1)
    if load.process.returncode:
        raise RuntimeError(load.last_words())


@contextlib.contextmanager
def measured_edge(
    program: str, server: Server, directory: Path, cores: set[int], *, counting: bool = False
) -> Iterator[MeasuredEdge]:
    """An edge on `cores`, empty; `counting`: with all that it takes to count its listeners."""
    running = (
        running_edge(program, [server.url], directory, count="")
        if counting
        else running_edge(program, [server.url], directory)
    )
    with on_cores(cores), running as edge:
        yield MeasuredEdge(program, edge, server, directory)
