"""An origin that keeps nothing: `with PartSink() as sink:`. It notes how old each part's last sample is.

It knows no take, takes whatever is put, and costs as little as it can. It runs in a thread of the harness.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from typing import Final, Self

from contracts.position import Position
from pipeline.grid import SAMPLE_RATE, Grid

_HEAD: Final = re.compile(rb"(\w+) /publish/([^/ ]+)/[^/ ]+(?:/[^/ ]+/(\d+)\.(\d+)\.m4s)? ?")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_EPOCH: Final = re.compile(rb'"epoch_us":(\d+)')
_UNKNOWN: Final = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_TAKEN: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_GRID: Final = Grid(5)


class PartSink:
    """`delays` are (monotonic instant of arrival, seconds since the part's last sample), in order.

    `received` and `answered` are bytes of HTTP. Takes say with `epoch_us` when their sample 0 was, on the
    monotonic clock.
    """

    def __init__(self) -> None:
        self.port = 0
        self.delays: list[tuple[float, float]] = []
        self.received = 0
        self.answered = 0
        self.epochs: dict[bytes, float] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="sink", daemon=True)
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def between(self, began: float, ended: float) -> list[float]:
        """The delays of parts that came meanwhile."""
        return [delay for at, delay in list(self.delays) if began <= at < ended]

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        listening = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        server = self._loop.run_until_complete(listening)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with one request at a time, whose body has a length."""

    def __init__(self, sink: PartSink) -> None:
        self._sink = sink
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        self._sink.received += len(data)
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._data, 0, end)
        body = end + 4
        if len(self._data) < body + (int(length[1]) if length else 0):
            return
        answer = self._answer(self._data[:end], self._data[body:])
        self._data = b""
        self._sink.answered += len(answer)
        assert self._transport is not None
        self._transport.write(answer)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        asked = _HEAD.match(head)
        if asked is None or asked[1] == b"GET":
            return _UNKNOWN
        room, msn, part = asked[2], asked[3], asked[4]
        if msn is not None:
            last = _GRID.stop_sample(Position(int(msn), int(part))) / SAMPLE_RATE
            now = time.monotonic()
            self._sink.delays.append((now, now - self._sink.epochs[room] - last))
        elif epoch := _EPOCH.search(body):
            self._sink.epochs[room] = int(epoch[1]) / 1e6
        return _TAKEN
