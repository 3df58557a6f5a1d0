"""The pages' modules that decide something, tested by node itself (`node --test`)."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import programs

TESTS = sorted(Path(__file__).parent.glob("*.test.mjs"))
WEB = Path(__file__).parents[2] / "origin/web"


@pytest.mark.needs("node")
@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.name)
def test_module(test: Path) -> None:
    run = subprocess.run(
        [programs.path("node"), "--test", str(test)], capture_output=True, text=True, check=False, timeout=50
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^. pass [1-9]", run.stdout, re.MULTILINE), "no test ran: " + run.stdout


@pytest.mark.needs("node")
@pytest.mark.parametrize("module", sorted(WEB.glob("*.js")), ids=lambda path: path.name)
def test_module_is_valid_javascript(module: Path) -> None:
    run = subprocess.run(
        [programs.path("node"), "--check", str(module)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", sorted(WEB.glob("*.html")), ids=lambda path: path.name)
def test_page_names_only_files_that_exist(page: Path) -> None:
    assets = re.findall(r'(?:href|src)="/assets/([^"]+)"', page.read_text())
    assert assets
    # hls.js comes from npm; without it the page plays native HLS.
    assert [name for name in assets if name != "hls.mjs" and not (WEB / name).is_file()] == []


def test_nothing_comes_from_another_host() -> None:
    for path in [*WEB.glob("*.html"), *WEB.glob("*.js"), *WEB.glob("*.css")]:
        foreign = [url for url in re.findall(r"https?://[^\s\"'`)]+", path.read_text()) if url != "http://x"]
        assert foreign == [], path
