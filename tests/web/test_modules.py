"""The pages' modules that decide something, tested by node itself (`node:test`)."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import programs

TESTS = sorted(Path(__file__).parent.glob("*.test.mjs"))
WEB = Path(__file__).parents[2] / "origin/web"
MODULES = sorted(WEB.glob("*.js"))

# What `node --check` does, for all in one process: the paths of those that are wrong.
_CHECK = """
const {readFileSync} = require("node:fs");
const {SourceTextModule} = require("node:vm");
const wrong = [];
for (const path of process.argv.slice(1)) {
  try {
    new SourceTextModule(readFileSync(path, "utf8"), {identifier: path});
  } catch {
    wrong.push(path);
  }
}
console.log(JSON.stringify(wrong));
"""


@pytest.mark.needs("node")
@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.name)
def test_module(test: Path) -> None:
    # Without --test: that is a process for the file all the same, and another one that waits for it.
    run = subprocess.run(
        [programs.path("node"), str(test)], capture_output=True, text=True, check=False, timeout=50
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^. pass [1-9]", run.stdout, re.MULTILINE), "no test ran: " + run.stdout


@pytest.fixture(scope="module")
def wrong_modules() -> list[str]:
    """Paths of modules that are no JavaScript."""
    node = [programs.path("node"), "--experimental-vm-modules", "--no-warnings", "-e", _CHECK]
    run = subprocess.run([*node, *map(str, MODULES)], capture_output=True, text=True, check=True, timeout=50)
    wrong: list[str] = json.loads(run.stdout)
    return wrong


@pytest.mark.needs("node")
@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_module_is_valid_javascript(module: Path, wrong_modules: list[str]) -> None:
    if str(module) in wrong_modules:  # node says where
        subprocess.run([programs.path("node"), "--check", str(module)], check=True, timeout=50)
    assert str(module) not in wrong_modules


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
