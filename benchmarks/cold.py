"""An empty edge meets a crowd: how long until each listener can play, and what the origin is asked."""

from __future__ import annotations

import http.client
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks import report
from benchmarks.crowd import remote_crowd
from benchmarks.filled import ROOM, WINDOW_SEGMENTS, filled_take
from tests import programs
from tests.edges import running_edge
from tests.soak.running import on_cores, scrape, total

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.filled import FilledTake

NAME: Final = "cold"
TITLE: Final = "An empty edge, and a crowd that is there at once"
_EDGES: Final = {"Varnish": "varnishd", "nginx": "nginx"}
# By what origins call their answers, in the order in which a listener asks for them.
_KINDS: Final = ("multivariant", "playlist", "init", "segment")
_COLUMNS: Final = (
    *("through", "listeners", "each can play, p50", "p99", "all"),
    *(f"origin requests: {kind}" for kind in _KINDS),
)
_SERVER_CORE: Final = {0}
_CROWD_CORE: Final = {1}


@dataclass(frozen=True)
class Storm:
    """One crowd at one empty edge: seconds until each had all, and what the origin was asked for, by kind."""

    seconds: Sequence[float]
    asked: Mapping[str, float]


def run(*, quick: bool) -> report.Result:
    """Measure 2,000 listeners at three empty edges of each program (500 at one when quick)."""
    count, rounds = (500, 1) if quick else (2000, 3)
    here = [name for name, program in _EDGES.items() if programs.find(program)]
    if not here:
        return report.not_measured(NAME, TITLE, "neither varnishd nor nginx is here")
    with TemporaryDirectory(prefix="longwave-bench-") as name, filled_take(Path(name), _SERVER_CORE) as take:
        storms = {
            program: [_storm(program.lower(), take, Path(name), count) for _ in range(rounds)]
            for program in here
        }
    return _result(storms, count, rounds)


def _storm(program: str, take: FilledTake, directory: Path, count: int) -> Storm:
    with on_cores(_SERVER_CORE), running_edge(program, [take.server.url], directory) as edge:
        with remote_crowd(edge.port, count, _CROWD_CORE) as crowd:
            before = _asked(take)
            began = time.monotonic()
            crowd.ask_all(
                f"/live/{ROOM}/index.m3u8",
                f"{take.path}/index.m3u8",
                f"{take.path}/init.mp4",
                f"{take.path}/{WINDOW_SEGMENTS - 3}.m4s",
            )
            arrivals = crowd.answers(60)
        after = _asked(take)
    refused = [arrival.status for arrival in arrivals if arrival.status != http.client.OK]
    if refused:
        raise RuntimeError(f"{len(refused)} answers were {refused[0]}")
    last: dict[int, float] = {}
    for arrival in arrivals:
        last[arrival.listener] = arrival.at - began
    return Storm([*last.values()], {kind: after[kind] - before[kind] for kind in _KINDS})


def _asked(take: FilledTake) -> dict[str, float]:
    found = scrape(take.server)
    return {kind: total(found, "longwave_http_requests_total", f'kind="{kind}"') for kind in _KINDS}


def _result(storms: Mapping[str, Sequence[Storm]], count: int, rounds: int) -> report.Result:
    rows, targets = [], []
    for program, each in storms.items():
        waits = [
            statistics.median(report.percentile(storm.seconds, percent) for storm in each)
            for percent in (50, 99, 100)
        ]
        most = [max(storm.asked[kind] for storm in each) for kind in _KINDS]
        rows.append(
            (
                program,
                f"{count:,}",
                *(f"{seconds:.2f} s" for seconds in waits),
                *(f"{number:.0f}" for number in most),
            )
        )
        if program == "Varnish":
            targets += [
                report.at_most(f"{count:,} listeners at an empty Varnish: all can play, s", 2.0, waits[-1]),
                report.at_most("the same: origin requests for one segment", 1, most[-1], "{:.0f}"),
            ]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rows),
        notes=(
            f"medians of {rounds} edges that had just started; of origin requests the most",
            "a playlist is asked for again once a second: that is how long it is true",
            "connections are there before; origin and edge on one core, the listeners on the other",
        ),
        targets=tuple(targets),
    )
