"""A test whose program is missing is skipped by name, loudly; in CI it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import programs

ROOT = Path(__file__).parents[2]

SUITE = """
import pytest

@pytest.mark.needs("sh")
def test_there(): pass

@pytest.mark.needs("sh", "no-such-program")
def test_missing(): pass
"""


def run_suite(directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The suite above under the project's own conftest and configuration, in a process of its own."""
    (directory / "test_suite.py").write_text(SUITE)
    (directory / "conftest.py").write_text("from tests.conftest import *  # noqa\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    return subprocess.run(
        [*command, "--rootdir", str(directory), str(directory)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CI": "", **environment},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_program_skips_its_tests_by_name(tmp_path: Path) -> None:
    result = run_suite(tmp_path)
    assert result.returncode == 0
    assert "NOT TESTED: programs are missing" in result.stdout
    assert "test_suite.py::test_missing: needs no-such-program\n" in result.stdout
    assert "1 passed, 1 skipped" in result.stdout


def test_in_ci_a_missing_program_is_a_failure(tmp_path: Path) -> None:
    result = run_suite(tmp_path, CI="true")
    assert result.returncode == 1
    assert "needs no-such-program, not installed here" in result.stdout
    assert "1 passed, 1 error" in result.stdout


def test_a_program_is_asked_for_by_path() -> None:
    assert Path(programs.path("sh")).name == "sh"
    with pytest.raises(FileNotFoundError, match=r'needs\("no-such-program"\)'):
        programs.path("no-such-program")
