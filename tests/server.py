"""A real `longwave serve` for tests: its own process, a free port, ended by pid."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self

READY_SECONDS = 30.0


class Answer:
    """What a request got: status, headers, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:  # noqa: ANN401 - parsed JSON
        return json.loads(self.body)


class Server:
    """`longwave COMMAND --port … --data-dir …` as a child process; `with Server(tmp_path) as server:`.

    `inside` is a command line that becomes the server in the end: `unshare …`.
    """

    def __init__(
        self,
        data_dir: Path,
        *args: str,
        command: str = "serve",
        port: int = 0,
        env: dict[str, str] | None = None,
        inside: Sequence[str] = (),
    ) -> None:
        self.data_dir, self.args, self.command, self.port = data_dir, args, command, port
        self.inside = inside
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("LONGWAVE_")} | (
            env or {}
        )
        self.process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    @property
    def log_path(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.{self.command}.log"

    def start(self) -> Self:
        """Start it and return when /readyz says 200. A second start keeps the port."""
        self.spawn()
        assert self.process
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"://[^/\s]*:(\d+)", line)
        assert found, f"the server said {line!r}; its log:\n{self.log_path.read_text()[-4000:]}"
        self.port = int(found[1])
        self.wait_ready()
        return self

    def spawn(self) -> None:
        """Start it, and wait for nothing."""
        self._log = self.log_path.open("a")
        place = ["--port", str(self.port), "--data-dir", str(self.data_dir)]
        self.process = subprocess.Popen(
            [*self.inside, sys.executable, "-m", "longwave", self.command, *place, *self.args],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self.env,
        )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if self.get("/readyz").status == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(
            f"not ready within {READY_SECONDS} s; its log:\n{self.log_path.read_text()[-4000:]}"
        )

    def kill(self) -> None:
        """`kill -9`."""
        self._signal(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and it does nothing."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as a person or a supervisor does, and give the exit code."""
        return self._signal(number)

    def _signal(self, number: int) -> int:
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=20)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.process.stdout:
                self.process.stdout.close()
            if self._log:
                self._log.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request; errors are answers too."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", path, headers=headers)

    def media_playlist(self, room: str, rendition: str) -> str:
        """The text of a playlist, found through the multivariant one; empty while there is none."""
        master = self.get(f"/live/{room}/index.m3u8")
        lines = [line for line in master.text.splitlines() if line.endswith(f"{rendition}/index.m3u8")]
        if master.status != 200 or not lines:
            return ""
        answer = self.get(f"/live/{room}/{lines[0]}")
        return answer.text if answer.status == 200 else ""

    def wait_for_sound(self, room: str, rendition: str = "64k") -> None:
        """Until there is something to play. A page that comes before it asks every five seconds only."""
        self.wait_for(lambda: self.media_playlist(room, rendition) != "")

    @staticmethod
    def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Poll until `condition` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.05)
