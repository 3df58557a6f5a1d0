"""What Redis costs between owners and encoders: rooms in one process, and through Redis with 2 workers.

Both sides get the same sound in real time and publish to the same origin that keeps nothing; `bus_runs` says
what is counted.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from benchmarks import report
from benchmarks.bus_runs import RATES, WORKERS, Run, measure
from tests import programs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME: Final = "bus"
TITLE: Final = "Rooms through Redis with 2 workers, against the in-process bus"
_COLUMNS: Final = (
    *("rooms", "", "% of a core a room", "of the in-process bus", "part at the origin, p50", "p99"),
    *("round trips /s", "sound /s", "memory"),
)
_MOST_RATIO: Final = 1.25
_MOST_TRIPS: Final = 100.0
_KEPT_UP: Final = 0.98
"""Of the parts that came due, so many have to come, or the machine was too small for so many rooms."""


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
            together.append(measure(rooms, seconds, through_redis=False))
            through.append(measure(rooms, seconds, through_redis=True))
        pairs.append(Pair(rooms, together, through))
    return _result(pairs, rounds, seconds)


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


_PROCESSES: Final = (("owner", 1), ("worker", WORKERS))


def _rows(pair: Pair) -> Iterator[tuple[str, ...]]:
    rooms = pair.rooms
    yield (str(rooms), "one process", *_cells(pair.together, rooms, "1.00"), "–", "–", _memory(pair.together))
    every = _cells(pair.through, rooms, f"{pair.ratio:.2f}")
    yield (str(rooms), "through Redis", *every, "–", "–", _memory(pair.through))
    names = {"owner": "its owner", "redis": "Redis", "worker": f"{WORKERS} workers, each"}
    for role, name in names.items():
        shares, count = [run.shares[role] for run in pair.through], WORKERS if role == "worker" else 1
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
    inward, outward, commands = (_mean(run.redis[name] for run in most.through) for name in RATES)
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
