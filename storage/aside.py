"""Files that are whole or not there: written beside their place (`.NAME.XXXXXXXX`, locked), then renamed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from contracts.errors import DiskUnavailable
from storage.files import disk_errors, make_directory, sync_directory

_TRIES: Final = 20
_JITTER_NS: Final = 10_000_000


@contextlib.contextmanager
def written_aside(path: Path, chunks: Iterable[bytes]) -> Iterator[Path]:
    """The joined `chunks`, durably in a file beside `path`, which the caller renames or links to `path`.

    It is gone at the end in any case. Raises DiskUnavailable, or what `chunks` raises.
    """
    aside, file = _open(path)
    try:
        for chunk in chunks:  # its errors are the caller's, not the disk's
            with disk_errors(path):
                file.write(chunk)
        with disk_errors(path):
            file.flush()
            _make_unique(file.fileno())
            os.fsync(file.fileno())
        yield aside
    finally:
        # The lock goes with the file: first the name, then the lock.
        with contextlib.suppress(OSError):
            aside.unlink()
        with contextlib.suppress(OSError):  # what was buffered when the disk had become full
            file.close()


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`, durably: a reader sees the old file or the new one. Raises DiskUnavailable."""
    with written_aside(path, [data]) as aside, disk_errors(path):
        aside.replace(path)
    sync_directory(path.parent)


def remove_left_aside(directory: Path, names: Iterable[str]) -> None:
    """Remove what dead writers of `names` left in a directory; what is being written stays."""
    wanted = set(names)
    for aside in directory.glob(".*.????????"):
        if aside.name[1:].rpartition(".")[0] not in wanted:
            continue
        with contextlib.suppress(OSError), aside.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside.unlink()


def _open(path: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `path`, locked."""
    with disk_errors(path):
        for tries_left in reversed(range(_TRIES)):
            aside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
            try:
                make_directory(path.parent)
                file = aside.open("xb")
            except (DiskUnavailable, FileNotFoundError) as error:
                # Meanwhile somebody removed the directory, or one above it, because it was empty.
                if tries_left and isinstance(error.__cause__ or error, FileNotFoundError):
                    continue
                raise
            fcntl.flock(file, fcntl.LOCK_EX)
            return aside, file
    raise AssertionError  # the last try returns or raises


def _make_unique(fd: int) -> None:
    """Give the file a time of its own.

    Inodes are used again at once, and a kernel's clock ticks every 1 to 10 ms: without this, two versions of
    one size could not be told apart by (inode, time, size).
    """
    status = os.fstat(fd)
    jitter = uuid4().int % _JITTER_NS
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns - jitter))
