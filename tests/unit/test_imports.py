"""Imports run one way, and the rule that says so bites."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("contracts", "longwave", "origin", "pipeline", "storage", "workers")

# The modules that the rules call by name: those that may import av, and those that may not import Redis.
NAMED = {"pipeline/aac.py": "import av\n", "pipeline/decode.py": "import av\n"} | {
    f"workers/{name}.py": ""
    for name in (
        "archive", "claims", "ingest", "memory_bus", "owner", "publisher", "quarantine", "recovery", "stages",
        "transcoder", "transcoder_pool", "cluster", "redis_bus",
    )
}  # fmt: skip

ONE_WAY = "Imports run one way"
NO_CLOCK = "The media core has no sockets, no event loop and no clock"
NO_REDIS = "The core of ingests and workers knows nothing of Redis and other machines"
ONE_CODEC = "Only the codec modules import av"


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """import-linter on a tree of packages, by the project's own contracts."""
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(command), "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )


def toy(directory: Path, files: dict[str, str]) -> Path:
    """A tree of the six packages, empty but for `files`."""
    for package in PACKAGES:
        (directory / package).mkdir()
        (directory / package / "__init__.py").touch()
    for name, text in {**NAMED, **files}.items():
        (directory / name).write_text(text)
    return directory


def test_the_project_keeps_the_contracts() -> None:
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout


def test_a_tree_that_keeps_them_passes(tmp_path: Path) -> None:
    files = {
        "longwave/cli.py": "import origin.app, workers.ingest, time\n",
        "origin/app.py": "import pipeline.aac, contracts.http, asyncio\n",
        "workers/ingest.py": "import pipeline.aac, storage, contracts\n",
        "contracts/http.py": "import aiohttp\n",
    }
    result = lint(toy(tmp_path, files))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("broken", "files"),
    [
        (ONE_WAY, {"origin/app.py": "import workers.bus\n", "workers/bus.py": ""}),
        (ONE_WAY, {"workers/bus.py": "def late():\n    from origin import app\n", "origin/app.py": ""}),
        (ONE_WAY, {"contracts/take.py": "import pipeline.grid\n", "pipeline/grid.py": ""}),
        (ONE_WAY, {"pipeline/grid.py": "import storage\n"}),
        (ONE_WAY, {"storage/files.py": "import longwave.settings\n", "longwave/settings.py": ""}),
        (NO_CLOCK, {"pipeline/grid.py": "from time import monotonic\n"}),
        (
            NO_CLOCK,
            {"pipeline/window.py": "import contracts.http\n", "contracts/http.py": "import aiohttp\n"},
        ),
        (NO_REDIS, {"workers/stages.py": "from workers import cluster\n"}),
        (NO_REDIS, {"workers/transcoder.py": "import redis\n"}),
        (ONE_CODEC, {"origin/app.py": "import av\n"}),
        (ONE_CODEC, {"pipeline/segmenter.py": "from av import AudioFrame\n"}),
    ],
    ids=[
        "origin imports workers",
        "workers import origin inside a function",
        "contracts import the media core",
        "the media core imports storage",
        "storage imports the composition root",
        "the media core reads a clock",
        "the media core gets sockets through contracts",
        "the core imports the cluster",
        "the core imports Redis",
        "origin imports av",
        "the segmenter imports av",
    ],
)
def test_a_tree_that_breaks_one_fails(tmp_path: Path, broken: str, files: dict[str, str]) -> None:
    result = lint(toy(tmp_path, files))
    assert result.returncode == 1
    verdicts = [line for line in result.stdout.splitlines() if " BROKEN" in line]
    assert [verdict.startswith(broken) for verdict in verdicts] == [True], result.stdout


def test_every_package_is_under_the_contracts() -> None:
    found = {init.parent.name for init in ROOT.glob("*/__init__.py")} - {"tests", "samples", "benchmarks"}
    assert found == set(PACKAGES)
