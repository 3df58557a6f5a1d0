"""What every test may rely on: `@pytest.mark.needs("ffmpeg")` skips by name where a program is missing.

A skip is never quiet: each is listed by test and program at the end. With ``CI=true`` it is a failure.
"""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from tests import programs
from tests.side_by_side import order_of_files

# A machine that is busy with something else is no failure of ours; pytest's timeout still ends what hangs. In
# CI the examples are the same every time.
settings.register_profile("longwave", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
settings.register_profile(
    "longwave-ci", settings(settings.get_profile("longwave"), derandomize=True, database=None)
)
_IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
settings.load_profile("longwave-ci" if _IN_CI else "longwave")

# Hundreds of processes load the same sources. They are compiled once, also where the environment says not to
# keep that: it is a fifth of what it takes to start a server.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

_NEEDS = "needs"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All workers have to find the same order; within a file it stays as it is written."""
    places = order_of_files([item.location[0] for item in items])
    items.sort(key=lambda item: (places[item.location[0]], item.location[0]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    needed = [str(program) for mark in item.iter_markers("needs") for program in mark.args]
    missing = sorted({program for program in needed if programs.find(program) is None})
    if not missing:
        return
    reason = f"needs {', '.join(missing)}, not installed here; `make test` says why"
    if _IN_CI:
        pytest.fail(f"{reason} (CI=true allows no such skip)", pytrace=False)
    item.user_properties.append((_NEEDS, missing))
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        (report.nodeid, value)
        for report in terminalreporter.stats.get("skipped", ())
        for name, value in report.user_properties
        if name == _NEEDS
    ]
    if not skipped:
        return
    terminalreporter.section("NOT TESTED: programs are missing", sep="!", yellow=True, bold=True)
    for test, missing in skipped:
        terminalreporter.line(f"{test}: needs {', '.join(missing)}", yellow=True)
