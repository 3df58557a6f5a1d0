"""HTTP/1.1 as a crowd needs it: one request in hand a connection, bodies measured and mostly not kept.

A client library would cost several times as much a request, and this machine's listeners with it. What is
not simulated is HTTP/2: thousands of listeners of one process would have to be thousands of connections
anyway, and an edge does the same work for a request of either.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Final, NamedTuple, Protocol, cast

from longwave.load.base import Base
from longwave.load.chunks import Chunks

_HEAD_END: Final = b"\r\n\r\n"
_MOST_HEAD: Final = 64 * 1024
# What is kept to be read: playlists, of which the longest have a few.
_MOST_KEPT: Final = 32 * 2**20
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_CLOSE: Final = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n", re.IGNORECASE)
_BODILESS: Final = frozenset({204, 304})


class Answer(NamedTuple):
    """What came: `size` is the body's in bytes as it travelled; `body` only where it was to be kept."""

    status: int
    head: bytes
    size: int
    body: bytes

    def field(self, name: bytes) -> bytes:
        """A header field's value; empty without."""
        # Names are compared without case, values are not.
        start = self.head.lower().find(b"\r\n" + name + b":")
        if start < 0:
            return b""
        start += len(name) + 3
        return self.head[start : self.head.index(b"\r\n", start)].strip()


class Owner(Protocol):
    """Whoever has a connection."""

    def connected(self, connection: Connection) -> None:
        """It may be used."""

    def answered(self, connection: Connection, answer: Answer) -> None:
        """The request in hand is done."""

    def failed(self, connection: Connection, reason: str, *, untouched: bool) -> None:
        """No answer will come; `untouched`: not a byte came, on a connection that was used before."""


class Connection(asyncio.Protocol):
    """One connection. `reason` of a failure is a word or two, the same for all failures of a kind."""

    __slots__ = (
        "_body",
        "_buffer",
        "_chunks",
        "_head",
        "_keep",
        "_left",
        "_owner",
        "_size",
        "_status",
        "_transport",
        "_used",
        "busy",
        "closed",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = b""
        self._head = b""
        self._body: list[bytes] = []
        self._chunks: Chunks | None = None
        self._left = self._size = self._status = 0
        self._keep = False
        self._used = False
        self.busy = False
        self.closed = False

    def send(self, request: bytes, *, keep: bool) -> None:
        """Send a request; `keep`: its answer's body is wanted."""
        assert self._transport is not None  # noqa: S101 - only the owner sends, once it is connected
        self._keep = keep
        self.busy = True
        self._transport.write(request)

    def close(self) -> None:
        """Nobody is told of what was in hand."""
        self.busy, self.closed = False, True
        if self._transport is not None:
            self._transport.abort()

    # ---- what asyncio calls -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It may be used, unless nobody wants it any more."""
        # uvloop's transports have no place in asyncio's tree.
        self._transport = cast("asyncio.WriteTransport", transport)
        if self.closed:
            self._transport.abort()
        else:
            self._owner.connected(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of an answer; small ones come whole."""
        if not self.busy:
            # Nobody asked for this: what comes after it would be taken for other answers.
            self.close()
            return
        if self._head:
            self._more(data)
            return
        if self._buffer:
            data = self._buffer + data
        end = data.find(_HEAD_END)
        if end < 0:
            self._buffer = data
            if len(data) > _MOST_HEAD:
                self._fail("malformed")
            return
        self._buffer = b""
        self._begin(data[: end + 2], data[end + 4 :])

    def connection_lost(self, _: Exception | None) -> None:
        """A request in hand is lost with it."""
        self.closed = True
        if not self.busy:
            return
        self.busy = False
        nothing_came = not self._head and not self._buffer
        reason = "closed" if nothing_came else "cut short"
        self._owner.failed(self, reason, untouched=self._used and nothing_came)

    # ---- inside -----------------------------------------------------------------------------------------

    def _begin(self, head: bytes, rest: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 ") or not head[9:12].isdigit():
            self._fail("malformed")
            return
        self._head, self._status = head, int(head[9:12])
        length = _LENGTH.search(head)
        if self._status in _BODILESS:
            self._left = 0
        elif length is not None:
            self._left = int(length[1])
        elif _CHUNKED.search(head):
            self._chunks = Chunks()
        else:
            # Without a length only the connection's end would tell a whole body from half of one.
            self._fail("no length")
            return
        self._more(rest)

    def _more(self, data: bytes) -> None:
        if self._chunks is not None:
            try:
                pieces, done, surplus = self._chunks.push(data)
            except ValueError:
                self._fail("malformed")
                return
            self._size += sum(map(len, pieces))
            if self._keep:
                self._body += pieces
        else:
            self._left -= len(data)
            self._size += len(data)
            if self._keep and data:
                self._body.append(data)
            done, surplus = self._left <= 0, self._left < 0
        if surplus or (self._keep and self._size > _MOST_KEPT):
            self._fail("malformed")
        elif done:
            self._finish()

    def _finish(self) -> None:
        answer = Answer(self._status, self._head, self._size, b"".join(self._body))
        closing = _CLOSE.search(self._head) is not None
        self._head, self._body, self._chunks, self._size = b"", [], None, 0
        self.busy, self._used = False, True
        if closing:
            self.close()
        self._owner.answered(self, answer)

    def _fail(self, reason: str) -> None:
        self.close()
        self._owner.failed(self, reason, untouched=False)


class Dialer:
    """Opens connections, each from one of `sources`: addresses of this machine; none: the kernel's choice.

    Other machines are left alone unless `anywhere`: playlists may name any.
    """

    def __init__(
        self, tls: ssl.SSLContext | None, sources: tuple[str, ...] = (), *, anywhere: bool = False
    ) -> None:
        self._anywhere = anywhere
        self._tls = tls
        self._sources = sources
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = 0

    def open(self, base: Base, owner: Owner) -> Connection:
        """A connection that is being made; `owner` is told when it may be used, or that it failed."""
        connection = Connection(owner)
        source = self._sources[self._opened % len(self._sources)] if self._sources else None
        self._opened += 1
        task = asyncio.ensure_future(self._connect(base, connection, owner, source))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return connection

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, base: Base, connection: Connection, owner: Owner, source: str | None) -> None:
        loop = asyncio.get_running_loop()
        if not self._anywhere and not base.is_loopback:
            connection.closed = True
            owner.failed(connection, "not allowed", untouched=False)
            return
        try:
            await loop.create_connection(
                lambda: connection,
                base.host,
                base.port,
                ssl=self._tls if base.scheme == "https" else None,
                local_addr=None if source is None else (source, 0),
            )
        except OSError as error:
            if not connection.closed:
                connection.closed = True
                owner.failed(connection, _why(error), untouched=False)


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "TLS"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    return "unreachable"
