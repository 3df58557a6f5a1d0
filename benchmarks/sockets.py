"""What went over TCP connections of processes, as the kernel counts it: needs `ss`."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Traffic(NamedTuple):
    """Of all connections of one process to one port: bytes of TCP's payload, and how many they are."""

    sent: int = 0
    received: int = 0
    connections: int = 0


def traffic(pids: Collection[int]) -> Mapping[tuple[int, int], Traffic]:
    """By process and peer's port: what its established connections carried since they began."""
    argv = ["ss", "-tinpOH", "state", "established"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout
    found: dict[tuple[int, int], Traffic] = {}
    for line in said.splitlines():
        owner, peer = re.search(r"pid=(\d+)", line), re.match(r"\s*\d+\s+\d+\s+\S+\s+\S+:(\d+)\s", line)
        if owner is None or peer is None or int(owner[1]) not in pids:
            continue
        key = int(owner[1]), int(peer[1])
        before = found.get(key, Traffic())
        found[key] = Traffic(
            before.sent + _count(line, "bytes_sent"),
            before.received + _count(line, "bytes_received"),
            before.connections + 1,
        )
    return found


def _count(line: str, name: str) -> int:
    number = re.search(rf"\b{name}:(\d+)", line)  # it is left out while it is 0
    return 0 if number is None else int(number[1])
