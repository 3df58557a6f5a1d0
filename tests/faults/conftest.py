"""Figures of every fault, said at the end of a run; and how long a fault lasts in this run.

`make test-faults` gives each fault its full length (LONGWAVE_FAULTS=full), CI a short one.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

_FIGURES = "figures"
_FULL = os.environ.get("LONGWAVE_FAULTS") == "full"


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Callable[[object], None]:
    """Say a line of figures; it is shown at the end, whatever becomes of the test."""

    def say(line: object) -> None:
        request.node.user_properties.append((_FIGURES, str(line)))

    return say


@pytest.fixture
def lasting() -> Callable[[float, float], float]:
    """`lasting(full, short)`: how long a fault lasts in this run, or how often it happens."""
    return lambda full, short: full if _FULL else short


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for status in ("passed", "failed") for report in terminalreporter.stats.get(status, ())]
    lines = {
        str(line): None
        for report in reports
        for name, line in getattr(report, "user_properties", ())
        if name == _FIGURES
    }
    if lines:
        terminalreporter.section("figures of faults")
        for line in lines:
            terminalreporter.line(line)
