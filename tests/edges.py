"""Running edges for tests: the real program with the real configuration, as an operator starts it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_RUN: Final = Path(__file__).parents[1] / "infra/edge/run"
_START_SECONDS: Final = 40.0


class Tls(NamedTuple):
    """A certificate chain and its key, as files."""

    cert: Path
    key: Path


class Edge:
    """One edge. `log` is what it and its programs have said; `directory` is where its files are."""

    def __init__(
        self, program: str, process: subprocess.Popen[str], directory: Path, log: Path, keys: Path
    ) -> None:
        self.program = program
        self._process = process
        self.directory = directory
        self._log = log
        self._keys = keys
        self.url = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def working_directory(self) -> Path:
        """What `varnishlog -n` and the like are given."""
        return self.directory / "varnish/n"

    def started(self) -> None:
        """Wait for its line."""
        assert self._process.stdout
        says, _, _ = select.select([self._process.stdout], [], [], _START_SECONDS)
        line = self._process.stdout.readline() if says else ""
        found = re.fullmatch(r"edge listens on (https?://[^/\s]+)/\n", line)
        assert found, f"it said {line!r}; its log:\n{self.log[-4000:]}"
        self.url = found[1]

    def reload(self, keys: Sequence[tuple[str, str]]) -> None:
        """Other keys from now on, without a restart."""
        before = self.log.count("edge has taken up its options again")
        _write_keys(self._keys, keys)
        self.hang_up()
        wait_for(lambda: self.log.count("edge has taken up its options again") > before, "it reloads")

    def hang_up(self) -> None:
        """SIGHUP: keys and certificates are read again."""
        os.kill(self.pid, signal.SIGHUP)

    def stop(self) -> int:
        """SIGTERM; its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20.0) -> None:
    """Return once `condition` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def running_edge(
    program: str,
    origins: Sequence[str],
    tmp_path: Path,
    *,
    tls: Tls | None = None,
    keys: Sequence[tuple[str, str]] = (),
    **options: str,
) -> Iterator[Edge]:
    """An edge on a free loopback port.

    `origins` are `HOST:PORT` or URLs, `options` more of the command line (`name="e1"`, `count=""`); its log
    is kept in `tmp_path`, which may be shared.
    """
    # Programs that change their user cannot enter pytest's directories, and a socket's path has to be short.
    with tempfile.TemporaryDirectory(prefix="lw-edge-") as temporary:
        directory = Path(temporary)
        directory.chmod(0o711)
        log = tmp_path / f"{directory.name}.log"
        _write_keys(directory / "keys", keys)
        command = [str(_RUN), program, "--listen", "127.0.0.1:0", "--directory", str(directory / "edge")]
        command += ["--keys", str(directory / "keys")]
        for origin in origins:
            command += ["--origin", origin.removeprefix("http://").rstrip("/")]
        if tls is not None:
            command += ["--tls-cert", str(tls.cert), "--tls-key", str(tls.key)]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", *([value] if value else [])]
        with log.open("w") as said:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        edge = Edge(program, process, directory / "edge", log, directory / "keys")
        try:
            edge.started()
            yield edge
        finally:
            edge.stop()
            assert process.stdout
            process.stdout.close()


def _write_keys(path: Path, keys: Sequence[tuple[str, str]]) -> None:
    path.touch(mode=0o600)
    path.write_text("".join(f"{kid} {key}\n" for kid, key in keys))
