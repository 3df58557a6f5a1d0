"""What the log shows of an error."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import structlog
from longwave.logs import configure_logs

def check(authorization):
    raise ValueError("wrong")

configure_logs("info", {style!r})
try:
    check("Bearer " + "-".join(["very", "secret"]))
except ValueError:
    structlog.get_logger().exception("unexpected error")
"""


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_traceback_shows_no_values_of_variables(style: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(style=style)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "ValueError: wrong" in done.stderr
    assert "very-secret" not in done.stderr
