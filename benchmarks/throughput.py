"""Requests a second from one core: our origin against nginx with the same bytes as static files."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from benchmarks import report
from benchmarks.filled import WINDOW_SEGMENTS, filled_take
from benchmarks.load import CONNECTIONS, Rate, Resource, Side, generator, load, median
from benchmarks.static_nginx import static_nginx
from tests import programs

if TYPE_CHECKING:
    from benchmarks.filled import FilledTake

NAME: Final = "requests"
TITLE: Final = "Requests a second and core against nginx"
_COLUMNS: Final = (
    *("", "bytes", "longwave /s", "nginx /s"),
    *("longwave / CPU s", "nginx / CPU s", "ratio by CPU"),
)
_SERVER_CORE: Final = {0}


def resources(take: FilledTake) -> list[Resource]:
    """A playlist in its three forms, a segment and a part: all from the end of a full window."""
    msn = WINDOW_SEGMENTS - 1
    delta = f"{take.path}/index.m3u8?_HLS_msn={msn}&_HLS_skip=YES"
    return [
        Resource("playlist, plain", f"{take.path}/index.m3u8", "plain.m3u8", target=True),
        Resource("playlist, gzip", f"{take.path}/index.m3u8", "gzip.m3u8", gzip=True, target=True),
        Resource(
            "the same, no two requests alike",
            f"{take.path}/index.m3u8",
            "unlike.m3u8",
            gzip=True,
            unlike=True,
        ),
        Resource("playlist, delta, gzip", delta, "delta.m3u8", gzip=True),
        Resource("segment", f"{take.path}/{msn}.m4s", "segment.m4s", target=True),
        Resource("part", f"{take.path}/{msn}.0.m4s", "part.m4s"),
    ]


@dataclass(frozen=True)
class Rates:
    """One resource from both sides."""

    resource: Resource
    length: int
    ours: Rate
    peer: Rate

    @property
    def ratio(self) -> float:
        """Requests a core of ours where nginx has 1."""
        return self.ours.cpu / self.peer.cpu


def run(*, quick: bool) -> report.Result:
    """Ask for each resource from both, in turns."""
    if not programs.find("nginx"):
        return report.not_measured(NAME, TITLE, "nginx is not here (Debian: apt-get install nginx-light)")
    rounds, seconds = (1, 2) if quick else (3, 3)
    with TemporaryDirectory(prefix="longwave-bench-") as name:
        directory = Path(name)
        with filled_take(directory, _SERVER_CORE) as take:
            wanted = resources(take)
            bodies = {resource.name: _body(take, resource) for resource in wanted}
            ours = Side(take.server.url, (take.server.pid,))
            with static_nginx(directory, wanted, bodies, _SERVER_CORE) as peer:
                rates = [
                    _rates(ours, peer, resource, len(bodies[resource.name]), rounds, seconds)
                    for resource in wanted
                ]
    return _result(rates, rounds, seconds)


def _body(take: FilledTake, resource: Resource) -> bytes:
    answer = take.server.get(resource.path, headers=resource.headers)
    encoding = answer.headers.get("Content-Encoding", "")
    if answer.status != http.client.OK or (encoding == "gzip") is not resource.gzip:
        raise RuntimeError(f"{resource.name}: {answer.status} {encoding}")
    return answer.body


def _rates(ours: Side, peer: Side, resource: Resource, length: int, rounds: int, seconds: int) -> Rates:
    turns = [
        (
            load(ours, resource.path, resource, length, seconds),
            load(peer, f"/{resource.file}", resource, length, seconds),
        )
        for _ in range(rounds)
    ]
    return Rates(resource, length, median([turn[0] for turn in turns]), median([turn[1] for turn in turns]))


def _result(rates: list[Rates], rounds: int, seconds: int) -> report.Result:
    rows = [
        (
            rate.resource.name,
            f"{rate.length:,}",
            f"{rate.ours.wall:,.0f}",
            f"{rate.peer.wall:,.0f}",
            f"{rate.ours.cpu:,.0f}",
            f"{rate.peer.cpu:,.0f}",
            f"{rate.ratio:.2f}",
        )
        for rate in rates
    ]
    return report.Result(
        NAME,
        TITLE,
        _COLUMNS,
        tuple(rows),
        notes=(
            f"medians of {rounds} runs of {seconds} s, in turns; a window of 15 minutes",
            "but for the row that says otherwise all requests are alike, as those of one CDN or browser are",
            "by CPU: requests for each second of CPU time that the server took, which is what a core can do",
            f"{generator()} with {CONNECTIONS} kept connections on one core, the server on the other",
            "nginx: one worker, sendfile, no access log",
        ),
        targets=tuple(
            report.at_least(f"{rate.resource.name}: requests a core, × nginx", 0.6, rate.ratio)
            for rate in rates
            if rate.resource.target
        ),
    )
