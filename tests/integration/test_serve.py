"""`longwave serve` as a process: how it starts, refuses to start, and stops."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.grid import SAMPLE_RATE
from tests.commands import Commands, Ran
from tests.server import Server


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """A process, where it would be a server before it refuses to be one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LONGWAVE_")}
    return subprocess.run(
        [sys.executable, "-m", "longwave", *args],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=clean,
    )


def refusal(done: subprocess.CompletedProcess[str] | Ran) -> str:
    """The one line on stderr."""
    assert done.returncode in {1, 2}
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return lines[0]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One that minds nothing that is done to it here."""
    with Server(tmp_path_factory.mktemp("serve") / "data") as server:
        yield server
        assert server.stop() == 0


def test_it_says_where_it_listens(running: Server) -> None:
    assert running.get("/healthz").status == 200


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        assert server.stop(signal.SIGINT) == 0
        assert "Traceback" not in server.log_path.read_text()


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "is taken" in refusal(run("serve", "--port", port, "--data-dir", str(tmp_path)))


def test_a_data_directory_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "data directory" in refusal(
        run("serve", "--port", "0", "--data-dir", str(tmp_path / "file" / "data"))
    )


def test_two_servers_never_share_a_data_directory(running: Server) -> None:
    assert "in use" in refusal(run("serve", "--port", "0", "--data-dir", str(running.data_dir)))


def test_it_is_not_open_to_a_network_without_a_token(longwave: Commands, tmp_path: Path) -> None:
    done = longwave("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))
    assert "LONGWAVE_TOKEN" in refusal(done)
    assert done.returncode == 2


def test_an_empty_token_is_none(longwave: Commands, tmp_path: Path) -> None:
    args = ("serve", "--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))
    assert "LONGWAVE_TOKEN" in refusal(longwave(*args, env={"LONGWAVE_TOKEN": ""}))


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--port", "99999"), "--port"),
        (("--tls-cert", "missing.pem"), "go together"),
        (("--origin", "not a url"), "--origin"),
    ],
)
def test_a_wrong_option_is_one_line(
    longwave: Commands, tmp_path: Path, args: tuple[str, ...], told: str
) -> None:
    assert told in refusal(longwave("serve", "--data-dir", str(tmp_path), "--port", "0", *args))


def test_a_certificate_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    files = ("--tls-cert", "missing.pem", "--tls-key", "missing.pem")
    assert "TLS" in refusal(run("serve", "--data-dir", str(tmp_path), "--port", "0", *files))


def test_a_wrong_variable_is_one_line(longwave: Commands, tmp_path: Path) -> None:
    done = longwave("serve", "--data-dir", str(tmp_path), env={"LONGWAVE_IDLE_TIMEOUT": "soon"})
    assert "LONGWAVE_IDLE_TIMEOUT" in refusal(done)


def test_with_a_token_senders_must_show_it_and_listeners_need_none(tmp_path: Path) -> None:
    with Server(tmp_path / "data", env={"LONGWAVE_TOKEN": "s3cret"}) as server:
        for method, path in [
            ("PUT", "/pcm/room"),
            ("GET", "/pcm/room/ws"),
            ("PUT", "/rooms/room"),
            ("DELETE", "/rooms/room"),
            ("POST", "/rooms/room/end"),
            ("PUT", "/publish/room/20260131T200000Z-abc234/take.json"),
            ("GET", "/publish/room/20260131T200000Z-abc234"),
        ]:
            assert server.request(method, path, b"").status == 401, path
            wrong = server.request(method, path, b"", {"Authorization": "Bearer wrong"})
            assert wrong.status == 403, path
            assert wrong.headers["Cache-Control"] == "no-store"
        allowed = {"Authorization": "Bearer s3cret"}
        assert server.request("PUT", "/rooms/room", b'{"title": "x"}', allowed).status in {200, 201}
        assert server.get("/rooms.json").status == 200
        assert server.get("/").status == 200
    assert "s3cret" not in server.log_path.read_text()


def test_after_a_restart_live_rooms_are_listed_as_before(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        for room, record in [("news", b'{"title": "News"}'), ("secret", b'{"visibility": "unlisted"}')]:
            assert server.request("PUT", f"/rooms/{room}", record).status == 201
            assert server.request("PUT", f"/pcm/{room}", b"\x00\x10" * (SAMPLE_RATE // 4)).status == 200
        server.wait_for(lambda: bool(server.get("/rooms.json").json["rooms"]))
        assert server.stop() == 0
        server.start()
        server.wait_for(lambda: bool(server.get("/rooms.json").json["rooms"]))
        assert [room["title"] for room in server.get("/rooms.json").json["rooms"]] == ["News"]


@pytest.mark.faults
def test_a_full_disk_does_not_stop_live_audio(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        # From here on no file takes another byte, not even the one that the log goes to.
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (1, 1))
        sent = server.request("PUT", "/pcm/room?speaker=Ada", b"\x00\x10" * 2 * SAMPLE_RATE)
        assert (sent.status, sent.json["samples"]) == (200, 2 * SAMPLE_RATE)
        server.wait_for(lambda: "\n1.m4s\n" in server.media_playlist("room", "64k"))
        ready = server.get("/readyz")
        assert ready.status == 200
        assert [what.partition(":")[0] for what in ready.json["degraded"]] == ["journal", "takes", "archive"]


def test_compressed_garbage_is_refused_without_a_word_in_the_log(running: Server) -> None:
    # Anybody can send it, without a token: it is neither unpacked nor worth a traceback.
    with socket.create_connection(("127.0.0.1", running.port), 10) as line:
        head = "POST /whip/room HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n"
        line.sendall(head.encode() + b"abc")
        with line.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 415 ")
    assert "Traceback" not in running.log_path.read_text()
