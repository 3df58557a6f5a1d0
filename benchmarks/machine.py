"""Which machine the figures belong to."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests import programs


def describe() -> list[tuple[str, str]]:
    """Name and value, in the order to print."""
    facts = [
        ("CPU", f"{_cpu_model()}, {os.cpu_count()} cores"),
        ("memory", f"{_memory_gigabytes():.0f} GB"),
        ("system", f"{_distribution()}, Linux {platform.release()}"),
        ("Python", ", ".join([platform.python_version(), *map(_package, ("aiohttp", "uvloop", "av"))])),
    ]
    peers = {
        "ffmpeg": ["-version"],
        "nginx": ["-v"],
        "varnishd": ["-V"],
        "wrk": ["-v"],
        "chromium": ["--version"],
        "redis-server": ["--version"],
    }
    facts += [(name, _program(name, options)) for name, options in peers.items()]
    load = os.getloadavg()[0]
    facts.append(
        ("load before the run", f"{load:.1f}" + (" (noisy: something else runs)" if load > 0.3 else ""))
    )
    return facts


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gigabytes() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _package(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not here"


def _program(name: str, options: list[str]) -> str:
    found = programs.find(name)
    if found is None:
        return "not here"
    # nginx and wrk say their version on stderr, wrk with exit code 1.
    said = subprocess.run([str(found), *options], capture_output=True, text=True, check=False, timeout=20)
    first_line = (said.stdout or said.stderr).strip().splitlines()[:1]
    # Up to the copyright line and the names of event loops and past a bracket: the version is wanted.
    given = re.split(r" Copyright| \[| built on| sha=| revision", first_line[0])[0] if first_line else "here"
    return given.removeprefix("varnishd (")
