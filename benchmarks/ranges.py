"""Ranges of a replay's file from one core: our origin, which checks every byte, against nginx."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import report
from benchmarks.live import QUIET
from benchmarks.load import RANGE, Rate, Resource, Side, generator, load, median
from benchmarks.offline_take import HOUR, published
from benchmarks.static_nginx import static_nginx
from storage.disk_objects import DiskObjects
from storage.names import REPLAY_M4A, take_object
from tests import programs
from tests.server import Server
from tests.soak.running import on_cores

NAME: Final = "ranges"
TITLE: Final = "Readers of replays, a core, against nginx"
_COLUMNS: Final = (
    *("a replay of", "readers", "longwave /s", "nginx /s"),
    *("longwave / CPU s", "nginx / CPU s", "ratio by CPU"),
)
_SERVER_CORE: Final = {0}
_ENCODED: Final = HOUR // 10
_LONG: Final = 4 * HOUR
"""Longer than what an origin keeps of files in memory."""


@dataclass(frozen=True)
class Rates:
    """Bytes a second, and for each second of the server's CPU time, from both sides."""

    what: str
    readers: int
    ours: Rate
    peer: Rate

    @property
    def ratio(self) -> float:
        """Bytes a core of ours where nginx has 1."""
        return self.ours.cpu / self.peer.cpu

    def cells(self) -> tuple[str, ...]:
        """As a table has it."""
        rates = (self.ours.wall, self.peer.wall, self.ours.cpu, self.peer.cpu)
        return (
            self.what,
            str(self.readers),
            *(report.megabytes(RANGE * rate) for rate in rates),
            f"{self.ratio:.2f}",
        )


def run(*, quick: bool) -> report.Result:
    """An hour, which an origin has in memory, and four, which it has not; 50 and 200 readers."""
    if not programs.find("nginx"):
        return report.not_measured(NAME, TITLE, "nginx is not here (Debian: apt-get install nginx-light)")
    rounds, seconds = (1, 1) if quick else (3, 1)
    with TemporaryDirectory(prefix="longwave-bench-") as name:
        directory = Path(name)
        objects = DiskObjects(directory / "data")
        takes = {
            "1 h": published(objects, encoded=_ENCODED),
            "4 h": published(objects, _LONG, encoded=_ENCODED),
        }
        files = {what: objects.read(take_object(take.key, REPLAY_M4A)).data for what, take in takes.items()}
        wanted = {
            what: Resource(what, take.path, f"{take.seconds}.m4a", ranges=len(files[what]))
            for what, take in takes.items()
        }
        server = Server(directory / "data", env=QUIET)
        with (
            on_cores(_SERVER_CORE),
            server,
            static_nginx(directory, [*wanted.values()], files, _SERVER_CORE) as peer,
        ):
            ours = Side(server.url, (server.pid,))
            rates = [
                _rates(ours, peer, wanted[what], readers, rounds, seconds)
                for what, readers in (("1 h", 50), ("1 h", 200), ("4 h", 50), ("4 h", 200))
            ]
    return _result(rates, rounds, seconds)


def _rates(ours: Side, peer: Side, resource: Resource, readers: int, rounds: int, seconds: int) -> Rates:
    turns = [
        (
            load(ours, resource.path, resource, RANGE, seconds, readers),
            load(peer, f"/{resource.file}", resource, RANGE, seconds, readers),
        )
        for _ in range(rounds)
    ]
    return Rates(
        resource.name, readers, median([turn[0] for turn in turns]), median([turn[1] for turn in turns])
    )


def _result(rates: list[Rates], rounds: int, seconds: int) -> report.Result:
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rate.cells() for rate in rates),
        notes=(
            f"medians of {rounds} runs of {seconds} s, in turns; each asks for {RANGE // 1024} KiB",
            "ours are checked: 1 h of replay stays in memory once it was, 4 h do not and are read again",
            "by CPU: bytes for each second of CPU time that the server took; a listener of 64k takes 10 kB/s",
            f"{generator()} on one core, the server on the other; nginx: one worker, sendfile",
        ),
    )
