"""Files and directories that survive the machine. A disk's error says what to do."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contracts.errors import DiskUnavailable

_REASONS: Final = {
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EROFS: "the disk is read-only: remount it or use another data directory",
    errno.EACCES: "no permission to write: check the owner of the data directory",
    errno.EPERM: "no permission to write: check the owner of the data directory",
    errno.ENOTDIR: "a file is where a directory should be",
    errno.EEXIST: "a file is where a directory should be",
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files on this machine",
    errno.EIO: "the disk is broken",
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate what the operating system says about `path` into DiskUnavailable, one line of it."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or "it failed")
        raise DiskUnavailable(f"{path}: {reason}") from error


def read_if_there(path: Path) -> bytes | None:
    """The file's bytes, or None where there is no such file. Raises DiskUnavailable."""
    with disk_errors(path):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def make_directory(path: Path) -> None:
    """Make `path` with its parents, durably. Raises DiskUnavailable."""
    with disk_errors(path):
        missing = [directory for directory in (path, *path.parents) if not directory.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for directory in missing:
            sync_directory(directory.parent)


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable: a renamed or removed file is, only after this."""
    with disk_errors(path):
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
