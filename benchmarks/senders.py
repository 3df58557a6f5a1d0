"""Many senders in one cheap process: `python -m benchmarks.senders PORT ROOMS`, until it is ended.

Each of room-0, room-1, … gets a chunked `PUT /pcm/{room}` in blocks of 2048 samples, which is what
`ffmpeg -re … | curl -T -` sends, on an absolute clock, and each at another phase of the block: real rooms do
not beat together.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import socket
import sys
import time
from typing import Final

from benchmarks.sound import loop
from tests.audio import RATE

BLOCK: Final = 2048
_BLOCK_SECONDS: Final = BLOCK / RATE
_SPREAD_SECONDS: Final = 2.0
# What the system may hold of one room before the server is called deaf: 10 s.
_MOST_PENDING: Final = 10 * RATE * 2


class ServerIsDeaf(RuntimeError):
    """The server answered before the end, or stopped reading."""


class Sender:
    """One room's connection."""

    def __init__(self, port: int, room: str, chunks: list[bytes], first: int) -> None:
        self.room = room
        self._chunks = itertools.cycle([*chunks[first:], *chunks[:first]])
        self._pending = b""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = f"PUT /pcm/{room}?channels=1&speaker=bench HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        self._socket.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        self._socket.settimeout(0)

    def send_block(self) -> None:
        """Hand one more block to the system. Raises ServerIsDeaf."""
        data = self._pending + next(self._chunks)
        try:
            self._pending = data[self._socket.send(data) :]
        except BlockingIOError:
            self._pending = data
        except OSError as error:
            raise ServerIsDeaf(f"{self.room}: {error}; {self.answer()}") from None
        if len(self._pending) > _MOST_PENDING:
            raise ServerIsDeaf(f"{self.room}: nobody reads; {self.answer()}")

    def answer(self) -> str:
        """What the server has said, if anything."""
        try:
            return self._socket.recv(2000).decode(errors="replace")
        except OSError:
            return "no answer"


def feed(port: int, rooms: int) -> None:
    """Send for ever."""
    pcm = loop()
    blocks = [pcm[at : at + BLOCK].tobytes() for at in range(0, len(pcm) - BLOCK + 1, BLOCK)]
    chunks = [f"{len(block):x}\r\n".encode() + block + b"\r\n" for block in blocks]
    start = time.monotonic()
    # When each room's next block is due, the earliest first.
    due = [(start + index * _SPREAD_SECONDS / rooms, index) for index in range(rooms)]
    senders: dict[int, Sender] = {}
    while True:
        instant, index = due[0]
        wait = instant - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        if index not in senders:
            senders[index] = Sender(port, f"room-{index}", chunks, index * 37 % len(chunks))
        senders[index].send_block()
        heapq.heapreplace(due, (instant + _BLOCK_SECONDS, index))


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("rooms", type=int)
    given = parser.parse_args()
    try:
        feed(given.port, given.rooms)
    except (ServerIsDeaf, OSError) as error:
        sys.exit(f"sender: {error}")


if __name__ == "__main__":
    main()
