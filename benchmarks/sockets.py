"""What went over TCP connections of processes, as the kernel counts it: needs `ss`."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Connection(NamedTuple):
    """An established connection of a process, by its two ports."""

    pid: int
    port: int
    peer: int


class Traffic(NamedTuple):
    """Bytes of TCP's payload."""

    sent: int = 0
    received: int = 0


_LINE = re.compile(r"\s*\d+\s+\d+\s+\S+:(?P<port>\d+)\s+\S+:(?P<peer>\d+)\s.*?pid=(?P<pid>\d+)")


def traffic(pids: Collection[int]) -> Mapping[Connection, Traffic]:
    """What the connections of these processes carried since they began."""
    argv = ["ss", "-tinpOH", "state", "established"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout
    found = {}
    for line in said.splitlines():
        parsed = _LINE.match(line)
        if parsed is not None and int(parsed["pid"]) in pids:
            connection = Connection(int(parsed["pid"]), int(parsed["port"]), int(parsed["peer"]))
            found[connection] = Traffic(_count(line, "bytes_sent"), _count(line, "bytes_received"))
    return found


def carried(
    before: Mapping[Connection, Traffic], after: Mapping[Connection, Traffic], pid: int, peer: int
) -> Traffic:
    """What went between a process and a port meanwhile. Of connections that closed nothing is known."""
    sent = received = 0
    for connection, new in after.items():
        if (connection.pid, connection.peer) == (pid, peer):
            old = before.get(connection, Traffic())
            sent += new.sent - old.sent
            received += new.received - old.received
    return Traffic(sent, received)


def _count(line: str, name: str) -> int:
    number = re.search(rf"\b{name}:(\d+)", line)  # it is left out while it is 0
    return 0 if number is None else int(number[1])
