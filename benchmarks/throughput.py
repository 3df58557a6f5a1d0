"""Requests a second from one core: our origin against nginx with the same bytes as static files."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import statistics
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from benchmarks import report
from benchmarks.crowd import Crowd
from benchmarks.filled import WINDOW_SEGMENTS, filled_take
from benchmarks.processes import children, cpu_seconds
from tests import programs
from tests.soak.running import Program, on_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.filled import FilledTake

NAME: Final = "requests"
TITLE: Final = "Requests a second and core against nginx"
_COLUMNS: Final = (
    *("", "bytes", "longwave /s", "nginx /s"),
    *("longwave / CPU s", "nginx / CPU s", "ratio by CPU"),
)
_SERVER_CORE: Final = {0}
_GENERATOR_CORE: Final = {1}
_CONNECTIONS: Final = 64
_UNLIKE: Final = Path(__file__).with_name("unlike.lua")


@dataclass(frozen=True)
class Resource:
    """What is asked for: its path at the origin, its file's name at nginx, and whether it travels gzipped.

    `unlike`: each request carries a header of its own, as a proxy may add one.
    """

    name: str
    path: str
    file: str
    gzip: bool = False
    target: bool = False
    unlike: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """Request headers."""
        return {"Accept-Encoding": "gzip"} if self.gzip else {}


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


class Rate(NamedTuple):
    """Requests a second of time, and of the server's CPU time: the latter hardly minds who else is busy."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Side:
    """One of the two servers: where it is, and the processes whose CPU time counts."""

    base: str
    pids: tuple[int, ...]


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
            with _nginx(directory, wanted, bodies) as peer:
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
        (_load(ours, resource.path, resource, seconds), _load(peer, f"/{resource.file}", resource, seconds))
        for _ in range(rounds)
    ]
    return Rates(resource, length, _median([turn[0] for turn in turns]), _median([turn[1] for turn in turns]))


def _median(rates: list[Rate]) -> Rate:
    return Rate(statistics.median(rate.wall for rate in rates), statistics.median(rate.cpu for rate in rates))


def _load(side: Side, path: str, resource: Resource, seconds: int) -> Rate:
    generate = _wrk if programs.find("wrk") else _crowd
    before = sum(map(cpu_seconds, side.pids))
    with on_cores(_GENERATOR_CORE):
        count, elapsed = generate(side, path, resource, seconds)
    used = sum(map(cpu_seconds, side.pids)) - before
    return Rate(count / elapsed, count / used)


def _wrk(side: Side, path: str, resource: Resource, seconds: int) -> tuple[int, float]:
    """How many requests wrk had answered, in how many seconds."""
    headers = [option for name, value in resource.headers.items() for option in ("-H", f"{name}: {value}")]
    argv = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", *headers]
    if resource.unlike:
        argv += ["-s", str(_UNLIKE)]
    argv += [side.base + path]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 20).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)s", said)
    if "Non-2xx" in said or "Socket errors" in said or not found:
        raise RuntimeError(f"wrk {side.base}{path}: {said}")
    return int(found[1]), float(found[2])


def _crowd(side: Side, path: str, resource: Resource, seconds: int) -> tuple[int, float]:
    """The same where wrk is not here. It may not fill the server's core; the figures by CPU still hold."""
    port, count = urlsplit(side.base).port or 0, 0
    with contextlib.closing(Crowd(port, _CONNECTIONS)) as crowd:
        for listener in range(_CONNECTIONS):
            crowd.ask(listener, path, gzip=resource.gzip)
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < seconds:
            for arrival in crowd.arrivals(1.0):
                if arrival.status != http.client.OK:
                    raise RuntimeError(f"{side.base}{path}: {arrival.status}")
                count += 1
                more = f"X-Request-Id: {count}\r\n" if resource.unlike else ""
                crowd.ask(arrival.listener, path, gzip=resource.gzip, more=more)
        return count, elapsed


@contextlib.contextmanager
def _nginx(directory: Path, wanted: list[Resource], bodies: dict[str, bytes]) -> Iterator[Side]:
    """Nginx with one worker on the server's core. Everything it writes stays in `directory`."""
    (root := directory / "static").mkdir()
    for resource in wanted:
        (root / resource.file).write_bytes(bodies[resource.name])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (config := directory / "nginx.conf").write_text(_config(directory, root, port, wanted))
    with on_cores(_SERVER_CORE):
        program = Program(
            [programs.path("nginx"), "-c", str(config), "-e", str(directory / "nginx-error.log")],
            directory / "nginx.log",
        )
    with program:
        _wait_for(program, f"http://127.0.0.1:{port}/{wanted[0].file}")
        yield Side(f"http://127.0.0.1:{port}", (program.pid, *children(program.pid)))


def _wait_for(program: Program, url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        if program.ended() or time.monotonic() > deadline:
            raise RuntimeError(f"nginx did not start: {program.last_words()}")
        time.sleep(0.05)


def _config(directory: Path, root: Path, port: int, wanted: list[Resource]) -> str:
    """What one would write for static files, with the headers that our answers carry."""
    gzipped = "".join(
        f"location = /{r.file} {{ add_header Content-Encoding gzip; add_header Vary Accept-Encoding;"
        " add_header Cache-Control 'public, max-age=1'; add_header Access-Control-Allow-Origin *; }\n"
        for r in wanted
        if r.gzip
    )
    temporary = "".join(
        f"{kind}_temp_path {directory}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # A worker that gave up root could not enter the temporary directory.
    user = "user root;" if os.geteuid() == 0 else ""
    return f"""{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
{temporary}
types {{ application/vnd.apple.mpegurl m3u8; audio/mp4 m4s; }}
access_log off;
sendfile on;
tcp_nopush on;
keepalive_requests 100000000;
server {{
listen 127.0.0.1:{port};
root {root};
add_header Cache-Control 'public, max-age=1';
add_header Access-Control-Allow-Origin *;
{gzipped}
}}
}}
"""


def _generator() -> str:
    if programs.find("wrk"):
        return "wrk"
    return "a generator in Python (no wrk here, so the figures by time are the generator's)"


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
            f"{_generator()} with {_CONNECTIONS} kept connections on one core, the server on the other",
            "nginx: one worker, sendfile, no access log",
        ),
        targets=tuple(
            report.at_least(f"{rate.resource.name}: requests a core, × nginx", 0.6, rate.ratio)
            for rate in rates
            if rate.resource.target
        ),
    )
