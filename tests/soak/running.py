"""Programs that long runs start and end (only their own, by their id), and what a server counts."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.server import Server

ROOT = Path(__file__).resolve().parents[2]


class Program:
    """One program with its output in a file. Leaving the context ends it, and it alone."""

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                argv, stdin=stdin, stdout=sink if stdout is None else stdout, stderr=sink, cwd=ROOT
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def ended(self) -> bool:
        return self.process.poll() is not None

    def stop(self, patience: float = 10.0) -> None:
        """Ask it to end, and make it after `patience` seconds."""
        if not self.ended():
            self.process.terminate()
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextlib.contextmanager
def on_cores(cores: set[int] | None) -> Iterator[None]:
    """Programs that are started inside run on `cores` (all of them when None, or where there is one only)."""
    before = os.sched_getaffinity(0)
    # Children inherit it, with all their threads. It nests, so all cores of the machine are to be had.
    there = set(range(os.cpu_count() or 1))
    os.sched_setaffinity(0, (cores or before) & there or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def scrape(server: Server) -> dict[str, float]:
    """The server's metrics: value by name with labels, as in the text of `/metrics`."""
    lines = [line for line in server.get("/metrics").text.splitlines() if line and line[0] != "#"]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def total(metrics: Mapping[str, float], name: str, *labels: str) -> float:
    """The sum of a metric over its series; of those that hold all `labels` (`status="503"`) if given."""
    return sum(
        value
        for key, value in metrics.items()
        if (key == name or key.startswith(name + "{")) and all(label in key for label in labels)
    )
