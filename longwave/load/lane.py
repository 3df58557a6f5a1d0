"""One after the other: the requests of a listener that share a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from longwave.load.base import Base
from longwave.load.http_client import Answer, Connection, Dialer
from longwave.load.tally import Tally

PATIENCE_SECONDS: Final = 10.0
"""How long an answer is waited for: blocked reloads are held for three target durations."""
MEDIA: Final = frozenset({"init", "segment", "part"})
"""Kinds whose bodies are counted and not kept."""


@dataclass(slots=True, eq=False)
class Request:
    """Something to ask for. `intended` is the instant (monotonic) at which it was to be sent the first time.

    `key` is the part that is asked for, or waited for; `waits`: the server holds it until that is there.
    """

    kind: str
    base: Base
    path: bytes
    intended: float
    extra: bytes = b""
    key: tuple[int, int] | None = None
    waits: bool = False
    sent: float = 0.0
    tries: int = 0
    """How often it has failed."""

    @property
    def began(self) -> float:
        """When this try was to be sent; a later one, when it was. Intervals are counted from there."""
        return self.sent if self.tries else self.intended


class Asker(Protocol):
    """Whoever asks."""

    def done(self, request: Request, answer: Answer, now: float) -> None:
        """An answer, whatever it says."""

    def lost(self, request: Request, reason: str, now: float) -> None:
        """No answer."""


class Prepared(NamedTuple):
    """Made once for each server: what stands in a request after its path, and the names of its counters."""

    head: bytes
    requests: str
    bytes: str
    errors: str


@dataclass(slots=True)
class Wire:
    """What all lanes of a process share. `clock` is monotonic."""

    clock: Callable[[], float]
    dialer: Dialer
    tally: Tally
    in_flight: dict[Lane, float]
    prepared: dict[Base, Prepared]

    def expire(self, now: float) -> None:
        """Give up requests that were sent too long ago; they stand in the order in which they were sent."""
        late = []
        for lane, sent in self.in_flight.items():
            if now - sent < PATIENCE_SECONDS:
                break
            late.append(lane)
        for lane in late:
            lane.give_up()

    def prepared_for(self, base: Base) -> Prepared:
        """What is said to `base`, and counted of it."""
        found = self.prepared.get(base)
        if found is None:
            names = (f"server.{base}.{what}" for what in ("requests", "bytes", "errors"))
            found = self.prepared[base] = Prepared(base.head(), *names)
        return found


class Lane:
    """Asks for one thing at a time; keeps a connection to each server that it was sent to."""

    __slots__ = ("_asker", "_connections", "_hand", "_queue", "_wire")

    def __init__(self, wire: Wire, asker: Asker) -> None:
        self._wire = wire
        self._asker = asker
        self._connections: dict[Base, Connection] = {}
        self._queue: deque[Request] = deque()
        self._hand: Request | None = None

    def ask(self, request: Request) -> None:
        """Ask as soon as what was asked before is answered."""
        self._queue.append(request)
        if self._hand is None:
            self._next()

    def leave(self, base: Base) -> bool:
        """Close the connection to a server. Returns False where something is in hand there, and it stays."""
        if self._hand is not None and self._hand.base == base:
            return False
        connection = self._connections.pop(base, None)
        if connection is not None:
            connection.close()
        return True

    def close(self) -> list[Request]:
        """Ask for nothing any more. Returns what was to be asked for, and what was not answered yet."""
        left = [*self._queue] if self._hand is None else [self._hand, *self._queue]
        self._queue.clear()
        self._hand = None
        self._wire.in_flight.pop(self, None)
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        return left

    def give_up(self) -> None:
        """No answer came for too long: whatever comes later on this connection is worth nothing."""
        if self._hand is not None:
            connection = self._connections.pop(self._hand.base, None)
            if connection is not None:
                connection.close()
            self._lose("timeout")

    # ---- what connections say -----------------------------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """Send what waits for it."""
        request = self._hand
        if request is not None and self._connections.get(request.base) is connection:
            self._send(connection, request)

    def answered(self, connection: Connection, answer: Answer) -> None:
        """Give it to whoever asked, then ask for the next."""
        request, self._hand = self._hand, None
        self._wire.in_flight.pop(self, None)
        if request is None:
            return
        counts, names = self._wire.tally.counts, self._wire.prepared_for(request.base)
        counts[f"status.{request.kind}.{answer.status}"] += 1
        counts[f"bytes.{request.kind}"] += answer.size
        counts[names.requests] += 1
        counts[names.bytes] += answer.size
        if connection.closed:
            self._connections.pop(request.base, None)
        self._asker.done(request, answer, self._wire.clock())
        if self._hand is None:
            self._next()

    def failed(self, connection: Connection, reason: str, *, untouched: bool) -> None:
        """Ask again on a new connection where an idle one was closed in that moment; else it is lost."""
        request = self._hand
        if request is None or self._connections.get(request.base) is not connection:
            return
        del self._connections[request.base]
        if untouched:
            # RFC 9110 9.2.2: what changes nothing may be asked again, and browsers do.
            self._wire.tally.counts["reopened"] += 1
            self._put(request)
        else:
            self._lose(reason)

    # ---- inside -----------------------------------------------------------------------------------------

    def _lose(self, reason: str) -> None:
        request, self._hand = self._hand, None
        self._wire.in_flight.pop(self, None)
        if request is None:
            return
        self._wire.tally.counts[f"error.{request.kind}.{reason}"] += 1
        self._wire.tally.counts[self._wire.prepared_for(request.base).errors] += 1
        self._asker.lost(request, reason, self._wire.clock())
        if self._hand is None:
            self._next()

    def _next(self) -> None:
        if self._queue:
            self._put(self._queue.popleft())

    def _put(self, request: Request) -> None:
        """Take in hand: from here on patience is counted."""
        self._hand = request
        self._wire.in_flight.pop(self, None)
        request.sent = self._wire.in_flight[self] = self._wire.clock()
        connection = self._connections.get(request.base)
        if connection is None or connection.closed:
            self._connections[request.base] = self._wire.dialer.open(request.base, self)
        else:
            self._send(connection, request)

    def _send(self, connection: Connection, request: Request) -> None:
        data = b"GET " + request.path + self._wire.prepared_for(request.base).head + request.extra + b"\r\n"
        connection.send(data, keep=request.kind not in MEDIA)
