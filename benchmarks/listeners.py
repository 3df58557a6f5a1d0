"""Crowds of listeners through one edge: what they meet, what it costs, and what the origin sees of it."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import chart, report
from benchmarks.edge_crowds import Crowd, measured_edge
from benchmarks.live import fed_rooms
from tests import programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.edge_crowds import Level
    from tests.server import Server

NAME: Final = "listeners"
TITLE: Final = "Listeners of one room through one edge"
_COLUMNS: Final = (
    *("listeners", "through", "edge, requests /s", "origin, requests /s", "stalled"),
    *("behind live, p50", "p95", "p99", "latency, p50", "p95", "p99"),
    *("CPU: edge", "origin", "crowd", "crowd's lag, p99"),
)
_SERVER_CORE: Final = {0}
_SENDER_CORE: Final = {1}
_PLAIN: Final = (10, 100, 1000)
_LOW_LATENCY: Final = (5, 50, 500, 1000, 1500)
# Then as many as the crowd itself can be in time for: the first of these with which it is.
_MOST_PLAIN: Final = (10_000, 7_500, 5_000, 3_000)
_MOST_LOW_LATENCY: Final = (2_000,)
# Among so many nobody is to stall. More at low latency are measured to see what is too much.
_CARRIED: Final = {False: 10_000, True: 1_000}
_ELSEWHERE: Final = Crowd(1000)
# A listener begins three target durations behind the live edge.
_ROOM_SECONDS: Final = 8.0
_MAIN: Final = "Varnish"
# With fewer listeners of 2-second HLS there are seconds in which nobody asks.
_ENOUGH: Final = 50
_IMAGE: Final = Path(__file__).parents[1] / "docs" / "images" / "listeners.svg"


_NOTES: Final = (
    "rates and CPU while all were there, 30 s; the rest from the first arrival on, 46 s in all",
    "one room with 5 parts, its `longwave serve` and the edge on one core; `longwave load` on the other",
    "latency: of a playlist from when it was due; of a held one from the last sample that it lists",
    "a crowd's lag is how late it was itself: with more than 50 ms its figures are left out",
)


class Row(NamedTuple):
    """A crowd, and which edge it came through."""

    through: str
    level: Level

    def cells(self) -> tuple[str, ...]:
        """As a table has it."""
        level, distance, latency = self.level, self.level.met["distance"], self.level.latency
        ranks = ("p50", "p95", "p99")
        costs = (level.edge_cores, level.origin_cores, level.crowd_cores)
        return (
            who(level.crowd),
            self.through,
            f"{level.edge_requests:,.0f}",
            f"{level.origin_requests:.1f}",
            f"{level.stalled:,}",
            *(f"{distance[rank]:.2f} s" for rank in ranks),
            *(report.milliseconds(latency[rank]) for rank in ranks),
            *(f"{100 * cores:.0f} %" for cores in costs),
            report.milliseconds(level.lag),
        )


def who(crowd: Crowd) -> str:
    """How many of which kind."""
    return f"{crowd.listeners:,}" + (", low latency" if crowd.low_latency else "")


def run(*, quick: bool) -> report.Result:
    """Measure each size of crowd for 30 s, and draw the chart (few and 5 s, and no chart, when quick)."""
    if programs.find("varnishd") is None:
        return report.not_measured(NAME, TITLE, "varnishd is not here (Debian: apt-get install varnish)")
    with (
        TemporaryDirectory(prefix="longwave-bench-") as name,
        fed_rooms(1, Path(name), server_cores=_SERVER_CORE, sender_cores=_SENDER_CORE) as server,
    ):
        time.sleep(_ROOM_SECONDS)
        rows = [*(_few(server, Path(name)) if quick else _all(server, Path(name)))]
    if not quick:
        plain, low_latency = (points(rows, low_latency=which) for which in (False, True))
        chart.draw(plain, low_latency, _IMAGE)
    return result(rows)


def _few(server: Server, directory: Path) -> Iterator[Row]:
    for name, program, counting in _edges():
        with measured_edge(program, server, directory, _SERVER_CORE, counting=counting) as edge:
            for low_latency in (False, True):
                yield Row(name, edge.measure(Crowd(50, low_latency=low_latency, arrive=4, seconds=5)))


def _all(server: Server, directory: Path) -> Iterator[Row]:
    for name, program, counting in _edges():
        with measured_edge(program, server, directory, _SERVER_CORE, counting=counting) as edge:
            if name != _MAIN:
                yield Row(name, edge.measure(_ELSEWHERE))
                continue
            for fixed, most, low_latency in (
                (_PLAIN, _MOST_PLAIN, False),
                (_LOW_LATENCY, _MOST_LOW_LATENCY, True),
            ):
                for number in fixed:
                    yield Row(name, edge.measure(Crowd(number, low_latency=low_latency)))
                for level in until_honest(edge.measure, [Crowd(number, low_latency) for number in most]):
                    yield Row(name, level)


def until_honest(measure: Callable[[Crowd], Level], crowds: Iterable[Crowd]) -> Iterator[Level]:
    """What comes of one crowd after the other, up to the first that was on time itself."""
    for crowd in crowds:
        level = measure(crowd)
        yield level
        if level.honest:
            return


def _edges() -> Iterator[tuple[str, str, bool]]:
    """What it is called here, the program, and whether it counts its listeners."""
    yield _MAIN, "varnish", False
    yield f"{_MAIN}, counting", "varnish", True
    if programs.find("nginx") is not None:
        yield "nginx", "nginx", False


def points(rows: Sequence[Row], *, low_latency: bool) -> list[chart.Point]:
    """For the chart: the crowds of one kind that were on time."""
    return [
        chart.Point(level.crowd.listeners, level.edge_requests, level.origin_requests)
        for through, level in rows
        if level.honest and through == _MAIN and level.crowd.low_latency is low_latency
    ]


def result(rows: Sequence[Row]) -> report.Result:
    """The table of the crowds that were on time, and which were not."""
    honest = [row for row in rows if row.level.honest]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(row.cells() for row in honest),
        notes=(*_NOTES, *(_left_out(row) for row in rows if not row.level.honest)),
        targets=(*_targets(honest, low_latency=False), *_targets(honest, low_latency=True)),
    )


def _left_out(row: Row) -> str:
    lag = report.milliseconds(row.level.lag)
    return f"left out: {who(row.level.crowd)}, through {row.through}: its lag was {lag}"


def _targets(rows: Sequence[Row], *, low_latency: bool) -> Iterator[report.Target]:
    """The largest crowd against the smallest with which the origin is asked as often as it ever is."""
    levels = [
        level
        for through, level in rows
        if through == _MAIN and level.crowd.low_latency is low_latency and level.crowd.listeners >= _ENOUGH
    ]
    if not levels:
        return
    least, most = levels[0], levels[-1]
    yield report.at_most(
        f"origin requests, {who(most.crowd)}, × with {least.crowd.listeners}",
        1.1,
        most.origin_requests / least.origin_requests,
    )
    carried = [level for level in levels if level.crowd.listeners <= _CARRIED[low_latency]][-1]
    yield report.at_most(f"listeners who stall, {who(carried.crowd)}", 0, carried.stalled, "{:.0f}")
