"""What processes cost, read from /proc: CPU seconds and memory."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    # The name in brackets may hold spaces: fields are counted from its end, the third (proc(5)) is 0 here.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def cpu_seconds(pid: int) -> float:
    """User and system time of the process with all its threads, ended ones included."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS


def children(pid: int) -> list[int]:
    """The processes that `pid` has started itself and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        # Another process may end while it is looked at.
        with contextlib.suppress(OSError, ValueError):
            if int(_stat(int(entry.name))[1]) == pid:
                found.append(int(entry.name))
    return found


def descendants(pid: int) -> list[int]:
    """The processes that `pid` has started, and all that these have started; without itself."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found, queue = [], [pid]
    while queue:
        below = parents.get(queue.pop(), [])
        found += below
        queue += below
    return found


def pss_bytes(pid: int) -> int:
    """Memory of the process, with its share of what it shares with others."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no Pss in /proc/{pid}/smaps_rollup")


def memory_bytes(pid: int | str) -> int:
    """Resident memory of the process, what it shares with others included; `pid` may be "self"."""
    return _status_bytes(pid, "VmRSS:")


def peak_bytes(pid: int | str) -> int:
    """The most that `memory_bytes` has been, since `forget_peak` if that was called."""
    return _status_bytes(pid, "VmHWM:")


def forget_peak(pid: int | str) -> None:
    """Let the peak be what the process takes now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status_bytes(pid: int | str, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} in /proc/{pid}/status")


@dataclass(frozen=True)
class Cost:
    """What a group of processes took: cores' worth of CPU over a time, and memory at its end."""

    cores: float
    memory: int


def cost_over(pids: Sequence[int], seconds: float) -> Cost:
    """Watch `pids` for `seconds`."""
    each = cost_over_each({str(pid): pid for pid in pids}, seconds).values()
    return Cost(sum(cost.cores for cost in each), sum(cost.memory for cost in each))


def cost_over_each(pids: Mapping[str, int], seconds: float) -> dict[str, Cost]:
    """Watch processes for `seconds`, each for itself; by the names that they are given."""
    began, before = time.monotonic(), {name: cpu_seconds(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items()}
    return {name: Cost(used[name] / elapsed, pss_bytes(pid)) for name, pid in pids.items()}
