"""What docs/cdn.md says to type is typed, with a real edge, and says what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import trustme

from tests.documented import commands
from tests.edge_stage import PROGRAMS
from tests.edges import Tls, running_edge
from tests.redis_server import free_port
from tests.server import Server

pytestmark = [pytest.mark.needs("varnishd", "vmod_digest", "curl"), pytest.mark.timeout(120)]
Check = Callable[[int], list[str]]


@pytest.fixture(scope="module")
def check(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Check]:
    """Types a step, and gives the lines that it prints."""
    _purge, setup, *steps = (command.text for command in commands("cdn.md"))
    directory = tmp_path_factory.mktemp("cdn")
    with (
        Server(directory / "data", "--demo") as origin,
        running_edge("varnish", [origin.url], directory) as edge,
    ):
        origin.wait_for(lambda: "PRELOAD-HINT" in origin.media_playlist("demo", "64k"))
        places = f"CDN={edge.url} ORIGIN={origin.url} ROOM=demo\n"
        assert setup.startswith("CDN=https://live.example.net ")

        def typed(step: int) -> list[str]:
            # What is waited for between two tries is for people to see.
            text = re.sub(r"sleep [\d.]+", "sleep 0.1", steps[step - 1])
            return shell(places + setup.partition("\n")[2] + text, directory)

        yield typed


def shell(text: str, directory: Path) -> list[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-euc", "set -o pipefail\n" + text]
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.strip().lower() for line in done.stdout.splitlines()]


def test_header_fields_are_the_origins_and_age_is_small(check: Check) -> None:
    said = check(1)
    assert {"cache-control: public, max-age=1", "access-control-allow-origin: *"} <= set(said)
    assert any(line.startswith("etag: ") for line in said)
    assert not any(line.startswith("set-cookie:") for line in said)
    assert len(ages(said)) == 11
    assert set(ages(said)) <= {0, 1}


def ages(said: list[str]) -> list[int]:
    return [int(line.partition(":")[2]) for line in said if line.startswith("age:")]


def test_what_is_not_for_listeners_is_shut(check: Check) -> None:
    version, *statuses = check(2)
    assert version == "1.1"  # without a certificate
    assert statuses == ["404", "404", "404"]


def test_held_requests_come_through(check: Check) -> None:
    said = check(3)
    assert [line.split()[0] for line in said] == ["200"] * 5


def test_fifty_who_ask_at_once_are_one(check: Check) -> None:
    assert check(4) == ["2"]


def test_the_order_of_directives_and_parameters_of_others_make_no_copies(check: Check) -> None:
    assert check(5) == ["2"]


def test_errors_are_short(check: Check) -> None:
    said = check(6)
    assert [line for line in said if line.startswith("http")] == ["http/1.1 404 not found"] * 6
    assert set(ages(said)) <= {0, 1}


def test_gzip_and_304_are_there(check: Check) -> None:
    assert sorted(check(7)) == ["304", "content-encoding: gzip", "vary: accept-encoding"]


@pytest.mark.needs("hitch")
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_take_is_purged_on_the_edge_itself(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name: Final = "edge-1.example.net"
    authority = trustme.CA()
    issued = authority.issue_cert(name)
    tls = Tls(tmp_path / "cert.pem", tmp_path / "key.pem")
    tls.cert.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(tls.key))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))
    command = commands("cdn.md")[0].text
    # Bound to everything, as on the page, so that its public name leads to it by the loopback too.
    with running_edge(program, [f"127.0.0.1:{free_port()}"], tmp_path, tls=tls, listen="0.0.0.0:0") as edge:
        typed = command.replace(f"{name}:443:", f"{name}:{edge.port}:").replace(
            f"//{name}/", f"//{name}:{edge.port}/"
        )
        assert shell(typed, tmp_path) == ['{"purged": "20260131t200000z-abc234"}']


def test_each_step_is_tried_here() -> None:
    steps: Final = 7
    assert len(commands("cdn.md")) == 1 + 1 + steps
