"""Reading a log that another program appends to, and keeping it short.

A file and no socket: a datagram socket of Unix holds ten lines (`net.unix.max_dgram_qlen`) and loses the rest
of a crowd, and a pipe makes the edge wait for whoever reads it.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

MAX_BYTES: Final = 16 * 2**20
"""A log that has been read is emptied once it is as long as that."""
_CHUNK: Final = 2**20
# A line that is longer is none of ours.
_MAX_REST: Final = 2**16


class Tail:
    """Lines that are appended to `path` from now on; the file may come later, and be replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._file = self._opened()
        if self._file is not None:
            # What was written before says nothing of now.
            os.lseek(self._file, 0, os.SEEK_END)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self) -> list[bytes]:
        """Whole lines that have come since the last time, at most a megabyte of them. Raises OSError."""
        if self._file is None:
            self._file = self._opened()
        if self._file is None:
            return []
        chunk = os.read(self._file, _CHUNK)
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _MAX_REST:
            self._rest = b""
        if len(chunk) < _CHUNK:
            self._at_the_end(self._file)
        return lines

    def _at_the_end(self, file: int) -> None:
        """Everything is read: an old file is left, a long one emptied; who appends begins at its start."""
        if self._is_another(file):
            self._close()
        elif os.lseek(file, 0, os.SEEK_CUR) > MAX_BYTES:
            os.ftruncate(file, 0)
            os.lseek(file, 0, os.SEEK_SET)

    def _is_another(self, file: int) -> bool:
        ours = os.fstat(file)
        if os.lseek(file, 0, os.SEEK_CUR) > ours.st_size:
            # Somebody else has emptied it.
            return True
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino)

    def _opened(self) -> int | None:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._rest = b""
