"""Whether live listeners wait longer while others read replays from the same process and core."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import report
from benchmarks.latency import bucket_counts, bucket_percentile, follow
from benchmarks.live import fed_rooms
from benchmarks.offline_take import HOUR, published
from benchmarks.processes import cpu_seconds
from storage.disk_objects import DiskObjects
from tests.server import Server
from tests.soak.running import on_cores, scrape

NAME: Final = "beside"
TITLE: Final = "Live listeners of 20 rooms beside readers of replays, all on one core"
_COLUMNS: Final = (
    *("readers", "they get", "the core is busy"),
    *("release at the origin, p50", "p99", "a listener has it, p50", "p99", "max"),
)
_SERVER_CORE: Final = {0}
_OTHER_CORE: Final = {1}
_ROOMS: Final = 20
_SETTLE_SECONDS: Final = 5.0
_PACES: Final = ((0, 0.0), (50, 1e6), (50, 4e6))
"""Readers, and bytes a second for each of them."""
_MOST_LATER: Final = 10.0


@dataclass(frozen=True)
class Beside:
    """What `readers` got in all, bytes a second; what the server took; how late its listeners were."""

    readers: int
    pace: float
    got: float
    cores: float
    released: Sequence[tuple[float, float]]
    delays: Sequence[float]

    @property
    def p99(self) -> float:
        """Seconds from the instant of a part's last sample to a listener."""
        return report.percentile(self.delays, 99)

    def cells(self) -> tuple[str, ...]:
        """As a table has it."""
        seconds = [bucket_percentile(self.released, percent) for percent in (50, 99)]
        seconds += [report.percentile(self.delays, percent) for percent in (50, 99, 100)]
        readers = f"{self.readers}, {report.megabytes(self.pace)}/s each" if self.readers else "none"
        return (
            readers,
            f"{report.megabytes(self.got)}/s",
            f"{100 * self.cores:.0f} %",
            *map(report.milliseconds, seconds),
        )


def run(*, quick: bool) -> report.Result:
    """Follow the rooms without readers, and with them."""
    seconds = 6.0 if quick else 16.0
    with TemporaryDirectory(prefix="longwave-bench-") as name, on_cores(_OTHER_CORE):
        # Where the server will look for it.
        take = published(DiskObjects(Path(name) / "data"), encoded=HOUR // 10)
        with fed_rooms(_ROOMS, Path(name), server_cores=_SERVER_CORE, sender_cores=_OTHER_CORE) as server:
            time.sleep(_SETTLE_SECONDS)
            rows = [_measure(server, take.path, readers, pace, seconds) for readers, pace in _PACES]
    return _result(rows, seconds)


def _measure(server: Server, path: str, readers: int, pace: float, seconds: float) -> Beside:
    argv = [sys.executable, "-m", "benchmarks.readers", str(server.port), path]
    argv += [str(readers), str(pace), str(seconds)]
    before, used, began = scrape(server), cpu_seconds(server.pid), time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        delays = follow(server, _ROOMS, seconds)
        got = int(process.communicate(timeout=60)[0])
    if process.returncode:
        raise RuntimeError(f"the readers ended with {process.returncode}")
    cores = (cpu_seconds(server.pid) - used) / (time.monotonic() - began)
    released = bucket_counts(before, scrape(server))
    return Beside(readers, pace, got / seconds, cores, released, delays)


def _result(rows: Sequence[Beside], seconds: float) -> report.Result:
    none, some = rows[0], rows[1]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(row.cells() for row in rows),
        notes=(
            f"{seconds:.0f} s each; an hour of 64k, read whole again and again; it plays at 10 kB/s",
            "the server is on one core; senders, listeners and readers are on the other",
            "both figures begin with a part's last sample; 42.7 ms are the codec's look-ahead",
        ),
        targets=(
            report.at_most(
                f"p99 of a live listener beside {some.readers} readers, ms more",
                _MOST_LATER,
                (some.p99 - none.p99) * 1e3,
                "{:.1f}",
            ),
        ),
    )
