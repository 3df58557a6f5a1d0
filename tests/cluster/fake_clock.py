"""A wall clock that can be set under a running process, while monotonic time goes on.

What Python code reads of it is replaced before any other code runs. (libfaketime does it below Python, and
makes threads wait for the interpreter's lock by the clock that it changes: a busy process then stands still.)
"""

from __future__ import annotations

import os
from pathlib import Path

# Python imports a module of this name as it starts, from wherever PYTHONPATH says.
_REPLACED = """
import time
from pathlib import Path

_ahead = Path(__file__).with_name("ahead")
_true, _true_ns = time.time, time.time_ns
time.time = lambda: _true() + int(_ahead.read_text())
time.time_ns = lambda: _true_ns() + int(_ahead.read_text()) * 1_000_000_000
"""


class FakeClock:
    """The wall clock of whoever is started `inside` of it; right at first. `directory` is its own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        (directory / "sitecustomize.py").write_text(_REPLACED)
        self.step(0)

    @property
    def inside(self) -> list[str]:
        """Words before a command."""
        path = os.pathsep.join(filter(None, (str(self._directory), os.environ.get("PYTHONPATH"))))
        return ["env", f"PYTHONPATH={path}"]

    def step(self, seconds: int) -> None:
        """From now on it is so many seconds ahead of the true time, or behind."""
        fresh = self._directory / "ahead.new"
        fresh.write_text(str(seconds))
        fresh.replace(self._directory / "ahead")
