"""Asking a program whether it would take what was written for it: a running one says so in its log alone."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from typing import Final

_TRY_SECONDS: Final = 60


def try_out(command: Sequence[str], reason: re.Pattern[str]) -> None:
    """Run a program's own test.

    Raises ValueError where it fails, with group 1 of `reason` in what it said, or all of that; OSError or
    SubprocessError where there is no answer.
    """
    tried = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, check=False, timeout=_TRY_SECONDS
    )
    if tried.returncode:
        said = tried.stderr + tried.stdout
        found = reason.search(said)
        raise ValueError(f"{command[0]}: {found[1] if found else said.strip()}")
