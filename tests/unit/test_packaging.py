"""What is installed is what is locked, and the locks name no machine and no registry."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)( ;.*)? \\\n(    --hash=sha256:[0-9a-f]{64})", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    return {match[1]: match[2] for match in PIN.finditer((ROOT / lock).read_text())}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", [*PROJECT["dependencies"], *EXTRAS["build"]]),
        ("requirements-dev.lock", [*PROJECT["dependencies"], *EXTRAS["build"], *EXTRAS["dev"]]),
    ],
)
def test_the_lock_holds_what_the_project_asks_for(lock: str, wanted: list[str]) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}: make lock"
        assert requirement.specifier.contains(version), f"{requirement} is {version} in {lock}: make lock"


def test_both_locks_pin_the_same_versions() -> None:
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_line_of_a_lock_is_a_hashed_pin_or_a_comment(lock: str) -> None:
    text = (ROOT / lock).read_text()
    other = [line for line in text.splitlines() if line and not re.match(r"\s*#|    --hash=|[a-z0-9]", line)]
    assert other == []
    named = re.findall(r"^[a-z0-9].*", text, re.MULTILINE)
    assert len(named) == len(pins(lock))


@pytest.mark.parametrize(
    "lock",
    [
        path
        for path in sorted(ROOT.glob("*.lock")) + sorted(ROOT.glob("*/*/package-lock.json"))
        if path.is_file()
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_lock_names_no_registry_and_no_machine(lock: Path) -> None:
    text = lock.read_text()
    assert "resolved" not in text
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|/home/|/root/|/tmp/", text)
