"""nginx with one worker and static files: what people would pick."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import urllib.request
from typing import TYPE_CHECKING

from benchmarks.load import Resource, Side
from benchmarks.processes import children
from tests import programs
from tests.soak.running import Program, on_cores

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def static_nginx(
    directory: Path, wanted: list[Resource], bodies: dict[str, bytes], cores: set[int]
) -> Iterator[Side]:
    """Nginx with one worker on `cores`, serving `bodies`. Everything it writes stays in `directory`."""
    (root := directory / "static").mkdir()
    for resource in wanted:
        (root / resource.file).write_bytes(bodies[resource.name])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (config := directory / "nginx.conf").write_text(_config(directory, root, port, wanted))
    with on_cores(cores):
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
