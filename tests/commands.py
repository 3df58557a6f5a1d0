"""`longwave …` in this process: what it prints and how it ends, without what a process takes to start."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

import pytest

from longwave import cli


class Ran(NamedTuple):
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


class Commands:
    """Runs `longwave` with no setting but those that are given.

    For what ends before a server would begin: logs and signals are those of the whole process.
    """

    def __init__(self, patch: pytest.MonkeyPatch, output: pytest.CaptureFixture[str]) -> None:
        self._patch, self._output = patch, output

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> Ran:
        with self._patch.context() as patch:
            for name in [name for name in os.environ if name.startswith("LONGWAVE_")]:
                patch.delenv(name)
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["longwave", *words])
            self._output.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main()
        code = ended.value.code
        return Ran(code if isinstance(code, int) else 0, *self._output.readouterr())
