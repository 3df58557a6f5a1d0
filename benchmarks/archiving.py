"""What it costs live rooms that they are kept: CPU with and without, and how long encoders wait for it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import report
from benchmarks.archive_switch import OFF
from benchmarks.live import fed_rooms
from benchmarks.processes import Cost, cost_over

NAME: Final = "archiving"
TITLE: Final = "What keeping live rooms costs them"
_COLUMNS: Final = (
    *("rooms", "", "% of a core a room", "memory"),
    *("an encoder waits, p50", "p99", "max"),
)
_SETTLE_SECONDS: Final = 6.0
_FRAGMENT_SECONDS: Final = 30.0
"""Each room hands one fragment over to the storage."""
_MOST_CPU: Final = 1.1


@dataclass(frozen=True)
class Kept:
    """What a server took, and the seconds that encoders waited for each part, if anything was kept."""

    cost: Cost
    waited: Sequence[float] = ()

    def cells(self, rooms: int, what: str) -> tuple[str, ...]:
        """As a table has it."""
        waits = [report.percentile(self.waited, percent) for percent in (50, 99, 100) if self.waited]
        return (
            str(rooms),
            what,
            f"{100 * self.cost.cores / rooms:.2f} %",
            report.megabytes(self.cost.memory),
            *(map(_short, waits) if waits else ["–"] * 3),
        )


def run(*, quick: bool) -> report.Result:
    """The same rooms twice."""
    rooms = 10 if quick else 50
    with TemporaryDirectory(prefix="longwave-bench-") as name:
        without = Kept(_cost(rooms, Path(name) / "without", OFF))
        kept = Kept(_cost(rooms, Path(name) / "kept", str(times := Path(name) / "times")), _read(times))
    return _result(rooms, without, kept)


def _cost(rooms: int, directory: Path, how: str) -> Cost:
    directory.mkdir()
    inside = [sys.executable, "-m", "benchmarks.archive_switch", how]
    with fed_rooms(rooms, directory, inside=inside) as server:
        time.sleep(_SETTLE_SECONDS)
        return cost_over([server.pid], _FRAGMENT_SECONDS)


def _read(times: Path) -> list[float]:
    return [float(line) for line in times.read_text().splitlines()]


def _short(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _result(rooms: int, without: Kept, kept: Kept) -> report.Result:
    ratio = kept.cost.cores / without.cost.cores
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        (without.cells(rooms, "not kept"), kept.cells(rooms, "kept")),
        notes=(
            f"over {_FRAGMENT_SECONDS:.0f} s each, one after the other; memory is PSS; mono, 64k, on a disk",
            "an encoder waits until its parts are written into the spool, and no longer than 50 ms",
            f"it waited {len(kept.waited)} times, rooms' beginnings and ends included",
        ),
        targets=(
            report.at_most(f"CPU of {rooms} rooms that are kept, × the same not kept", _MOST_CPU, ratio),
        ),
    )
