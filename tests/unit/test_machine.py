"""Cores and memory that a process may take, as cgroups say it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.cores import available_cores
from longwave.machine import cores, memory_limit, open_all_files

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
Files = dict[str, str]


@pytest.fixture
def lay(tmp_path: Path) -> Callable[[str, Files], tuple[Path, Path]]:
    """Lay out `/proc/self/cgroup` and the files under `/sys/fs/cgroup`; gives both."""

    def made(proc: str, files: Files) -> tuple[Path, Path]:
        (tmp_path / "proc").write_text(proc)
        mount = tmp_path / "mount"
        for name, text in files.items():
            (mount / name).parent.mkdir(parents=True, exist_ok=True)
            (mount / name).write_text(text)
        return tmp_path / "proc", mount

    return made


Lay = Callable[[str, Files], tuple[Path, Path]]
V1 = "5:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n"
V1_CPU = {"cpu/docker/abc/cpu.cfs_quota_us": "25000\n", "cpu/docker/abc/cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    ("proc", "files"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "1000000\n"}),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "1000000\n"}),
        ("0::/a/b\n", {"a/b/memory.max": "3000000\n", "a/memory.max": "1000000\n"}),
        # As a container sees it: its own cgroup is the mount.
        ("0::/\n", {"memory.max": "1000000\n"}),
        (V1, {"memory/docker/abc/memory.limit_in_bytes": "1000000\n"}),
        # The path is the host's, which is not seen from inside.
        (V1, {"memory/memory.limit_in_bytes": "1000000\n"}),
    ],
)
def test_the_least_limit_of_memory_counts(lay: Lay, proc: str, files: Files) -> None:
    assert memory_limit(*lay(proc, files)) == 1_000_000


@pytest.mark.parametrize(
    ("proc", "files"),
    [
        ("0::/a\n", {"a/memory.max": "max\n"}),
        (V1, {"memory/docker/abc/memory.limit_in_bytes": "9223372036854771712\n"}),
        ("0::/\n", {}),
        ("nonsense", {"memory.max": "nonsense\n"}),
    ],
)
def test_without_a_limit_there_is_the_machine(lay: Lay, proc: str, files: Files) -> None:
    place = lay(proc, files)
    assert memory_limit(*place) == MACHINE
    assert cores(*place) == available_cores()


def test_without_cgroups_there_is_the_machine(tmp_path: Path) -> None:
    assert memory_limit(tmp_path / "none", tmp_path) == MACHINE
    assert cores(tmp_path / "none", tmp_path) == available_cores()


@pytest.mark.parametrize(
    ("proc", "files", "number"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
        (V1, {name.replace("cpu/", "cpu,cpuacct/"): text for name, text in V1_CPU.items()}, 0.25),
        (V1, V1_CPU, 0.25),  # Debian and others link the one to the other
        ("0::/\n", {"cpu.max": "10000000 100000\n"}, available_cores()),
        (
            "1:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            available_cores(),
        ),
    ],
)
def test_a_quota_is_a_fraction_of_the_cores(lay: Lay, proc: str, files: Files, number: float) -> None:
    assert cores(*lay(proc, files)) == pytest.approx(number)


def test_as_many_files_may_be_open_as_the_machine_allows() -> None:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before, 512), most))
        open_all_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
