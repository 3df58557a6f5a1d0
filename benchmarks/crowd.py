"""Many listeners in one cheap process: bare sockets, one epoll, a clock reading for each whole response."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"\r\ncontent-length:"


class Arrival(NamedTuple):
    """One whole response: which listener got it, when (monotonic), its status and the length of its body."""

    listener: int
    at: float
    status: int
    length: int


class Crowd:
    """`count` kept connections to a server on this machine."""

    def __init__(self, port: int, count: int) -> None:
        self._sockets = [self._connect(port) for _ in range(count)]
        self._epoll = select.epoll()
        self._index = {}
        for index, sock in enumerate(self._sockets):
            sock.settimeout(0)
            self._epoll.register(sock.fileno(), select.EPOLLIN)
            self._index[sock.fileno()] = index
        self._received = [b""] * count

    @staticmethod
    def _connect(port: int) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def __len__(self) -> int:
        return len(self._sockets)

    def ask(self, listener: int, path: str, *, gzip: bool = True, more: str = "") -> None:
        """Send one request, as a browser's player would: on a kept connection, and with gzip.

        `more` are header lines of this request alone.
        """
        accept = "Accept-Encoding: gzip\r\n" if gzip else ""
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{accept}{more}\r\n"
        self._received[listener] = b""
        self._sockets[listener].sendall(head.encode())

    def arrivals(self, seconds: float) -> list[Arrival]:
        """Wait at most `seconds` for something, and give the responses that are whole by then.

        Raises ConnectionError when the server hangs up.
        """
        whole = []
        for descriptor, _ in self._epoll.poll(seconds, 256):
            listener = self._index[descriptor]
            data = self._sockets[listener].recv(1 << 18)
            if not data:
                raise ConnectionError(f"the server closed the connection of listener {listener}")
            arrival = self._add(listener, data)
            if arrival:
                whole.append(arrival)
        return whole

    def _add(self, listener: int, data: bytes) -> Arrival | None:
        received = self._received[listener] = self._received[listener] + data
        head, found, body = received.partition(_HEAD_END)
        if not found:
            return None
        length = int(head.lower().split(_LENGTH, 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return None
        return Arrival(listener, time.monotonic(), int(head.split(b" ", 2)[1]), length)

    def close(self) -> None:
        """Hang up."""
        self._epoll.close()
        for sock in self._sockets:
            sock.close()


@dataclass(frozen=True)
class RemoteCrowd:
    """A crowd in a process of its own, all of whose members ask the same."""

    _pipe: Connection[object, object]

    def ask_all(self, path: str, *then: str) -> None:
        """Every member asks for `path`, and when it has that for the first of `then`, and so on."""
        self._pipe.send((path, *then))

    def answers(self, seconds: float) -> list[Arrival]:
        """All that they got, once each has all of it. Raises TimeoutError, or what went wrong over there."""
        if not self._pipe.poll(seconds):
            raise TimeoutError(f"not every listener had its answer within {seconds:.0f} s")
        got = self._pipe.recv()
        if isinstance(got, Exception):
            raise got
        return got  # type: ignore[return-value]  # what _serve sends


@contextlib.contextmanager
def remote_crowd(port: int, count: int, cores: set[int] | None) -> Iterator[RemoteCrowd]:
    """`count` listeners of the server at `port`, connected, in a process on `cores`."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, port, count, cores), daemon=True)
    process.start()
    theirs.close()
    try:
        crowd = RemoteCrowd(ours)
        crowd.answers(60)  # connected
        yield crowd
    finally:
        ours.close()
        process.join(5)
        if process.is_alive():
            process.terminate()
            process.join()


def _serve(pipe: Connection[object, object], port: int, count: int, cores: set[int] | None) -> None:
    """The crowd's process: paths come in, all arrivals go out; the end of the pipe is the end."""
    if cores:
        os.sched_setaffinity(0, cores)
    gc.disable()  # its pauses would be measured
    try:
        with contextlib.closing(Crowd(port, count)) as crowd:
            pipe.send([])
            while True:
                paths = pipe.recv()
                assert isinstance(paths, tuple)
                pipe.send(ask_in_turn(crowd, paths))
    except (EOFError, ConnectionResetError, BrokenPipeError):
        return  # nobody wants to know any more
    except OSError as error:
        pipe.send(error)


class Asking(Protocol):
    """What of a crowd it takes to ask."""

    def __len__(self) -> int: ...
    def ask(self, listener: int, path: str, /) -> None:
        """Send one request."""

    def arrivals(self, seconds: float, /) -> list[Arrival]:
        """Whole responses."""


def ask_in_turn(crowd: Asking, paths: Sequence[str]) -> list[Arrival]:
    """All that comes when each member asks for one path after the other."""
    had = [0] * len(crowd)
    for listener in range(len(crowd)):
        crowd.ask(listener, paths[0])
    arrivals: list[Arrival] = []
    while len(arrivals) < len(crowd) * len(paths):
        came = crowd.arrivals(1.0)
        for listener in (arrival.listener for arrival in came):
            had[listener] += 1
            if had[listener] < len(paths):
                crowd.ask(listener, paths[had[listener]])
        arrivals += came
    return arrivals
