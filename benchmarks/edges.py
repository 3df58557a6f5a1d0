"""What an edge adds to low latency: listeners blocked on one part, directly, through Varnish and nginx."""

from __future__ import annotations

import http.client
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from benchmarks import report
from benchmarks.crowd import remote_crowd
from benchmarks.filled import filled_take
from tests.edges import running_edge
from tests.soak.running import on_cores, scrape, total

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.crowd import RemoteCrowd
    from benchmarks.filled import FilledTake

NAME: Final = "edges"
TITLE: Final = "Low latency through an edge, against the origin itself"
_COLUMNS: Final = ("through", "listeners", "p50 release", "p99 release", "longest", "origin requests a part")
_SERVER_CORE: Final = {0}
_CROWD_CORE: Final = {1}
_EDGES: Final = ("varnish", "nginx")
# Long enough for every request to have come to where it waits, short against the 6 s that it may wait.
_BLOCKED_SECONDS: Final = 2.0
# Who looks every so often whether an answer is there is met at every phase of that, and not at its luckiest.
_LOOKS_EVERY: Final = 0.5
_MOST_LATER: Final = 100.0


@dataclass(frozen=True)
class Way:
    """One way to listeners: seconds from a part's put to each listener, over all rounds."""

    through: str
    listeners: int
    delays: Sequence[Sequence[float]]
    origin_requests: float

    def percentile(self, percent: float) -> float:
        """The median over the rounds."""
        return statistics.median(report.percentile(delays, percent) for delays in self.delays)

    def cells(self) -> tuple[str, ...]:
        """As a table has it."""
        figures = (report.milliseconds(self.percentile(percent)) for percent in (50, 99, 100))
        return (self.through, f"{self.listeners:,}", *figures, f"{self.origin_requests:.1f}")


def run(*, quick: bool) -> report.Result:
    """Measure 1,000 listeners on each way (200 when quick)."""
    count, rounds = (200, 3) if quick else (1000, 7)
    with TemporaryDirectory(prefix="longwave-bench-") as name, filled_take(Path(name), _SERVER_CORE) as take:
        ways = [_measure("the origin itself", take, take.server.port, count, rounds)]
        for program in _EDGES:
            directory = Path(name) / program
            directory.mkdir()
            with (
                on_cores(_SERVER_CORE),
                running_edge(program, [f"127.0.0.1:{take.server.port}"], directory) as edge,
            ):
                port = urlsplit(edge.url).port or 0
                ways.append(_measure(program, take, port, count, rounds))
    return _result(ways, rounds)


def _measure(through: str, take: FilledTake, port: int, count: int, rounds: int) -> Way:
    delays = []
    with remote_crowd(port, count, _CROWD_CORE) as crowd:
        _release(take, crowd, 0.0)  # connections to the origin are opened by the first request of all
        before = _asked(take)
        delays = [_release(take, crowd, _LOOKS_EVERY * (number + 0.5) / rounds) for number in range(rounds)]
        asked = (_asked(take) - before) / rounds
    return Way(through, count, delays, asked)


def _release(take: FilledTake, crowd: RemoteCrowd, later: float) -> list[float]:
    """Block everybody on the next part, put it `later`: seconds from then until each had its answer."""
    msn, part = take.next
    crowd.ask_all(f"{take.path}/index.m3u8?_HLS_msn={msn}&_HLS_part={part}")
    time.sleep(_BLOCKED_SECONDS + later)
    released = take.put_next_part()
    arrivals = crowd.answers(30)
    refused = [arrival.status for arrival in arrivals if arrival.status != http.client.OK]
    if refused:
        raise RuntimeError(f"{len(refused)} listeners got {refused[0]}")
    return [arrival.at - released for arrival in arrivals]


def _asked(take: FilledTake) -> float:
    return total(scrape(take.server), "longwave_http_requests_total", 'kind="blocking_playlist"')


def _result(ways: Sequence[Way], rounds: int) -> report.Result:
    origin, varnish = ways[0], ways[1]
    later = (varnish.percentile(99) - origin.percentile(99)) * 1e3
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(way.cells() for way in ways),
        notes=(
            f"medians of {rounds} releases; origin and edge on one core, the listeners on the other",
            "nginx looks every 500 ms whether the answer that it waits for is there",
        ),
        targets=(
            report.at_most("p99 release through Varnish, ms later than direct", _MOST_LATER, later, "{:.1f}"),
            report.at_most("origin requests a part through Varnish", 1.0, varnish.origin_requests, "{:.2f}"),
        ),
    )
