"""`infra/edge/run`: what it says, and how it ends."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.edges import running_edge, wait_for
from tests.redis_server import free_port

RUN = Path(__file__).parents[2] / "infra/edge/run"

pytestmark = [pytest.mark.needs("varnishd", "vmod_digest"), pytest.mark.timeout(120)]


def test_it_ends_with_everything_it_started(tmp_path: Path) -> None:
    with running_edge("varnish", [f"127.0.0.1:{free_port()}"], tmp_path) as edge:
        started = descendants(edge.pid)
        assert {name for _, name in started} >= {"varnishd", "cache-main"}
        assert edge.stop() == 0
        wait_for(
            lambda: not [pid for pid, _ in started if Path(f"/proc/{pid}").exists()], "all of them ended"
        )


@pytest.mark.parametrize(
    "program", ["varnish", pytest.param("nginx", marks=pytest.mark.needs("nginx", "njs"))]
)
def test_nothing_is_left_of_one_that_was_killed(program: str, tmp_path: Path) -> None:
    with running_edge(program, [f"127.0.0.1:{free_port()}"], tmp_path) as edge:
        started = descendants(edge.pid)
        assert len(started) >= 3
        os.kill(edge.pid, signal.SIGKILL)
        wait_for(
            lambda: not [pid for pid, _ in started if Path(f"/proc/{pid}").exists()], "all of them ended"
        )


def test_a_program_that_dies_ends_the_edge_and_is_named(tmp_path: Path) -> None:
    with running_edge("varnish", [f"127.0.0.1:{free_port()}"], tmp_path) as edge:
        (varnish,) = (pid for pid, name in descendants(edge.pid) if name == "varnishd")
        os.kill(varnish, signal.SIGKILL)
        wait_for(lambda: edge.status is not None, "it ends")
        assert edge.status == 1
        assert "edge: varnishd ended by itself with status -9" in edge.log


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("varnish",), "--listen"),
        (("varnish", "--listen", "127.0.0.1:0"), "--origin"),
        (("varnish", "--listen", "x", "--origin", "127.0.0.1:1"), "'x' is not HOST:PORT"),
        (("nginx", "--listen", "127.0.0.1:0", "--origin", "http://a:1"), "'http://a:1' is not HOST:PORT"),
        (("varnish", "--listen", "127.0.0.1:0", "--origin", "a b:1"), "'a b' is not the name or address"),
        (("varnish", "--listen", "127.0.0.1:0", "--origin", "a:1", "--tls-key", "x"), "belong together"),
        (("varnish", "--listen", "127.0.0.1:0", "--origin", "a:1", "--keys", "/nowhere"), "/nowhere"),
        (("varnish", "--listen", "127.0.0.1:0", "--origin", "a:1", "--purge-from", "me"), "'me'"),
        (("squid", "--listen", "127.0.0.1:0", "--origin", "a:1"), "squid"),
    ],
)
def test_what_it_cannot_do_it_says(arguments: tuple[str, ...], said: str) -> None:
    told = subprocess.run([str(RUN), *arguments], capture_output=True, text=True, check=False, timeout=30)
    assert told.returncode in {1, 2}
    assert said in told.stderr
    assert "Traceback" not in told.stderr
    assert told.stdout == ""


def test_no_word_of_a_key_is_said_where_its_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"k1 {'a' * 64}\nsecret-word\n")
    command = [
        str(RUN),
        "varnish",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        "a:1",
        "--keys",
        str(tmp_path / "keys"),
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert told.returncode == 1
    assert "line 2" in told.stderr
    assert "secret-word" not in told.stderr


def descendants(pid: int) -> list[tuple[int, str]]:
    """Everything that a process has started, and so on, with names."""
    table = subprocess.run(
        [programs.path("ps"), "-eo", "pid=,ppid=,comm="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=2) for line in table.stdout.splitlines()]
    found: list[tuple[int, str]] = []
    parents = {pid}
    while parents:
        own = [(int(child), name) for child, parent, name in rows if int(parent) in parents]
        found += own
        parents = {child for child, _ in own}
    return found
