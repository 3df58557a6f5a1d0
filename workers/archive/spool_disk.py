"""What the spool's disk is asked for: how much of it is used, and what is still to be made durable."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

from contracts.errors import LongwaveError
from storage.files import disk_errors

if TYPE_CHECKING:
    from pathlib import Path


class SpoolFull(LongwaveError):
    """The spool holds as much as it may. Handled inside: what it refuses waits in memory."""


class SpoolDisk:
    """An account of `limit` bytes, and the paths that were written since the last `sync`. Any thread."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.Lock()
        self._touched: dict[Path, None] = {}

    def claim(self, size: int) -> None:
        """Account for `size` more bytes. Raises SpoolFull."""
        with self._lock:
            if self.used + size > self.limit:
                raise SpoolFull("the spool was full")
            self.used += size

    def found(self, size: int) -> None:
        """Account for what is there already, however much that is."""
        with self._lock:
            self.used += size

    def release(self, size: int) -> None:
        """That much is not there any more."""
        with self._lock:
            self.used -= size

    def touch(self, path: Path) -> None:
        """A file was written, or the names in a directory: to be made durable with the next `sync`."""
        with self._lock:
            self._touched[path] = None

    def sync(self) -> None:
        """Make durable what was written until now. Raises DiskUnavailable; what is left waits on."""
        while True:
            with self._lock:
                path = next(iter(self._touched), None)
                if path is None:
                    return
                del self._touched[path]
            try:
                _sync(path)
            except LongwaveError:
                self.touch(path)
                raise


def _sync(path: Path) -> None:
    with disk_errors(path), contextlib.suppress(FileNotFoundError, NotADirectoryError):  # stored meanwhile
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
