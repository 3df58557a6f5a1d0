"""A data directory on a disk of its own that is so small that a test can fill it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tests.programs import MOUNTS
from tests.server import Server

# The mount is in a namespace of its own: it goes with the server, and needs no rights.
_MOUNT = 'mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@"'
_FILLING = "filling"


def in_small_disk(data_dir: Path, size: int, **settings: str) -> Server:
    """A server, not started, whose `data_dir` will hold `size` bytes. Tests that ask for it need "mounts"."""
    data_dir.mkdir()
    inside = [*MOUNTS, "sh", "-c", _MOUNT, str(size), str(data_dir)]
    return Server(data_dir, env=settings, inside=inside)


def seen_by(server: Server) -> Path:
    """The data directory as the running server has it."""
    return Path(f"/proc/{server.pid}/root{server.data_dir}")


def fill(server: Server) -> None:
    """Leave no byte on the disk."""
    with (seen_by(server) / _FILLING).open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(size))


def make_room(server: Server) -> None:
    """Take away what filled the disk."""
    (seen_by(server) / _FILLING).unlink()
