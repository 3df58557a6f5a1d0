"""A TCP link that goes wrong on command: `with TcpProxy(port) as link:`, and connect to `link.port`.

    link.delay(0.2)      what is sent arrives later, in both directions
    link.throttle(1)     so many bytes a second, in both directions together
    link.freeze()        nothing arrives any more; connections stay open, new ones are accepted
    link.half_open()     whoever closes or dies is not noticed by the other side, and nothing arrives
    link.cut()           every connection is reset, and new ones too
    link.heal()          all is well again; what was cut stays cut

It runs on an event loop in a thread of its own, so that tests with and without one can use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from typing import Self

_HOST = "127.0.0.1"
_CHUNK = 65_536
# Resolution of a throttled link.
_SLICE_SECONDS = 0.1


class TcpProxy:
    """The link to 127.0.0.1:`upstream`. Counts `connections` that came, and `passed` bytes."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.port = 0
        self.connections = 0
        self.passed = 0
        self._delay = 0.0
        self._rate: float | None = None
        self._cut = False
        self._deaf = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._flows: asyncio.Event = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    def delay(self, seconds: float) -> None:
        """Everything arrives so much later."""
        self._delay = seconds

    def throttle(self, bytes_a_second: float) -> None:
        """No more than so many bytes arrive in a second."""
        self._rate = bytes_a_second

    def freeze(self) -> None:
        """Nothing arrives; nobody is told."""
        self._call(self._flows.clear)

    def half_open(self) -> None:
        """As a machine that lost its power: nothing arrives, and no end of a connection either."""
        self._deaf = True
        self._call(self._flows.clear)

    def cut(self) -> None:
        """Reset every connection, and whoever connects."""
        self._cut = True
        self._call(self._reset_all)

    def heal(self) -> None:
        """Let everything pass again."""
        self._cut = self._deaf = False
        self._delay, self._rate = 0.0, None
        self._call(self._flows.set)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the proxy does not listen")
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._reset_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # ---- on its own loop --------------------------------------------------------------------------------

    def _call(self, work: Callable[[], None]) -> None:
        """Do `work` on the loop, and return when it is done."""
        done = threading.Event()

        def run() -> None:
            work()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._flows.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, _HOST, 0, backlog=512))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._cut:
            _reset(writer)
            return
        self._open.add(writer)
        try:
            await self._flows.wait()
            try:
                there, back = await asyncio.open_connection(_HOST, self.upstream)
            except OSError:
                _reset(writer)
                return
            self._open.add(back)
            await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        finally:
            self._open.discard(writer)
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction of a connection, to its end."""
        with contextlib.suppress(OSError):
            while data := await self._read(reader):
                await asyncio.sleep(self._delay)
                await self._write(writer, data)
            while self._deaf:
                await self._flows.wait()
        self._open.discard(writer)
        with contextlib.suppress(OSError):
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        rate = self._rate
        data = await reader.read(_CHUNK if rate is None else max(1, int(rate * _SLICE_SECONDS)))
        await self._flows.wait()
        return data

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self._rate is not None:
            await asyncio.sleep(len(data) / self._rate)
        self.passed += len(data)
        writer.write(data)
        await writer.drain()

    def _reset_all(self) -> None:
        for writer in [*self._open]:
            _reset(writer)
        self._open.clear()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with a reset instead of a polite end."""
    peer = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
