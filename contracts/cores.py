"""How many threads are worth starting."""

from __future__ import annotations

import os


def available_cores() -> int:
    """The cores this process may use: fewer than all in a container, where the system tells (Linux)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
