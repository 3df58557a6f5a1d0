"""What this process may have of its machine: all of it, or what its container allows (cgroups v2 and v1).

A limit may be set anywhere above the process' own cgroup, and a container may not see the path that its host
has for it: so every directory from there up to the mount is asked, and the least counts.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contracts.cores import available_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contracts.metrics import Metrics

_PROC: Final = Path("/proc/self/cgroup")
_MOUNT: Final = Path("/sys/fs/cgroup")


def measure_machine(metrics: Metrics) -> None:
    """Let `metrics` say what there is, at every scrape: limits of a running container can be changed."""
    metrics.cores.set_function(cores)
    metrics.memory_limit_bytes.set_function(memory_limit)


def open_all_files() -> None:
    """As many files as may be open at all: a connection is one, and shells and systemd begin with 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A kernel whose own limit has been lowered since (fs.nr_open) refuses: then it stays as it is.
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cores(proc: Path = _PROC, mount: Path = _MOUNT) -> float:
    """Cores that this process can keep busy; a fraction where a quota says so."""
    quotas = [_v2_quota(place / "cpu.max") for place in _places(proc, mount, "")]
    quotas += [_v1_quota(place) for place in _places(proc, mount, "cpu")]
    return min([float(available_cores()), *(quota for quota in quotas if quota is not None)])


def memory_limit(proc: Path = _PROC, mount: Path = _MOUNT) -> int:
    """Bytes of memory that this process can take before the kernel ends it."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    files = [place / "memory.max" for place in _places(proc, mount, "")]
    files += [place / "memory.limit_in_bytes" for place in _places(proc, mount, "memory")]
    limits = [_numbers(file) for file in files]
    return min([machine, *(limit[0] for limit in limits if limit)])


def _places(proc: Path, mount: Path, controller: str) -> Iterator[Path]:
    """The process' cgroup and all above it: of version 2 for the controller "", else of that of version 1.

    A line of `/proc/self/cgroup` is `0::/path` (v2) or `4:cpu,cpuacct:/path` (v1); cgroups(7).
    """
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            # Controllers that are mounted together are linked to by each one's name, as a rule.
            for top in dict.fromkeys((mount / controller, mount / controllers)):
                place = top / path.lstrip("/")
                yield from (place, *(above for above in place.parents if above.is_relative_to(top)))


def _v2_quota(file: Path) -> float | None:
    """`50000 100000` is half a core, `max 100000` no limit."""
    match _numbers(file):
        case [quota, period] if quota > 0 and period > 0:
            return quota / period
    return None


def _v1_quota(place: Path) -> float | None:
    """A quota of -1 is no limit."""
    match _numbers(place / "cpu.cfs_quota_us") + _numbers(place / "cpu.cfs_period_us"):
        case [quota, period] if quota > 0 and period > 0:
            return quota / period
    return None


def _numbers(file: Path) -> list[int]:
    """The whole numbers in a file; none where it is not there, or says `max`."""
    try:
        return [int(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []
