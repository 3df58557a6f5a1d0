"""A `longwave serve` with live rooms, for benchmarks that need one."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Final

from tests.server import Server
from tests.soak.running import Program, on_cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

QUIET: Final = {"LONGWAVE_LOG_LEVEL": "warning"}
_LIVE_SECONDS: Final = 30.0


class NotLive(RuntimeError):
    """A room's playlist did not come, or its sender ended."""


@contextlib.contextmanager
def fed_rooms(
    rooms: int,
    directory: Path,
    *,
    server_cores: set[int] | None = None,
    sender_cores: set[int] | None = None,
    inside: Sequence[str] = (),
) -> Iterator[Server]:
    """A server whose rooms room-0, room-1, … are live and answer their playlists. Raises NotLive.

    `inside` is a command line that becomes the server.
    """
    server = Server(directory / "data", env=QUIET, inside=inside)
    with on_cores(server_cores):
        server.start()
    try:
        argv = [sys.executable, "-m", "benchmarks.senders", str(server.port), str(rooms)]
        with on_cores(sender_cores):
            senders = Program(argv, directory / "senders.log")
        with senders:
            wait_until_live(server, rooms, senders)
            yield server
            _check_sender(senders)
    finally:
        server.stop()


def wait_until_live(server: Server, rooms: int, senders: Program) -> None:
    """Return when all rooms have playlists at `server`. Raises NotLive."""
    deadline = time.monotonic() + _LIVE_SECONDS
    for index in range(rooms):
        while not server.media_playlist(f"room-{index}", "64k"):
            _check_sender(senders)
            if time.monotonic() > deadline:
                raise NotLive(f"room-{index} has no playlist after {_LIVE_SECONDS:.0f} s")
            time.sleep(0.1)


def _check_sender(senders: Program) -> None:
    if senders.ended():
        raise NotLive(senders.last_words())
