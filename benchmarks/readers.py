"""Readers of one file at a steady pace: `python -m benchmarks.readers PORT PATH READERS PACE SECONDS`.

Each has a connection and asks for the whole file again and again, at `PACE` bytes a second. Prints how many
bytes they got.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from contextlib import suppress
from typing import Final

_TICK: Final = 0.02
_MOST: Final = 1 << 20
"""Bytes that are taken from a connection at once."""


class Reader:
    """One connection, and how much of the answer is still to come."""

    def __init__(self, port: int, path: str) -> None:
        self.received = 0
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._left = 0
        self._socket.sendall(self._request)
        self._head()

    def read(self, upto: int) -> None:
        """Take what is there, until `upto` bytes were received in all. Raises ConnectionError."""
        with suppress(BlockingIOError):
            while (most := min(upto - self.received, self._left, _MOST)) > 0:
                got = len(self._socket.recv(most))
                if not got:
                    raise ConnectionError("the server closed the connection of a reader")
                self.received += got
                self._left -= got
        if not self._left:
            self._socket.sendall(self._request)
            self._head()

    def _head(self) -> None:
        self._socket.settimeout(10)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._socket.recv(1)
        found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not head.startswith(b"HTTP/1.1 200") or found is None:
            raise ConnectionError(f"a reader got {head[:100]!r}")
        self._left = int(found[1])
        self._socket.settimeout(0)


def read(port: int, path: str, count: int, pace: float, seconds: float) -> int:
    """Read for so long, `pace` bytes a second each: how many bytes were read."""
    readers = [Reader(port, path) for _ in range(count)]
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        for reader in readers:
            reader.read(int(pace * elapsed))
        time.sleep(_TICK)
    return sum(reader.received for reader in readers)


if __name__ == "__main__":
    print(read(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])))
