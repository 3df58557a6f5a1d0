"""An HTTP proxy before a storage that goes wrong on command: `with FaultyProxy(port) as proxy:`.

    proxy.add(Fault.CUT_AFTER, method="PUT", path="/1200.mp4", times=1)

The first rule that fits a request and is not used up decides; a request without one passes. `proxy.requests`
counts all that came, `rule.used` those that a rule met.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

_HOST = "127.0.0.1"
_NOT_FORWARDED = frozenset({"connection", "transfer-encoding", "keep-alive"})
_UNAVAILABLE = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>'
)
_CONFLICT = (
    b'<?xml version="1.0"?><Error><Code>ConditionalRequestConflict</Code><Message>Again.</Message></Error>'
)


class Fault(Enum):
    """What goes wrong with a request."""

    DELAY = auto()
    """It passes after `seconds`."""
    UNAVAILABLE = auto()
    """503 SlowDown, and the storage never sees it."""
    CONFLICT = auto()
    """409 ConditionalRequestConflict, and the storage never sees it."""
    HANG = auto()
    """No answer for as long as the proxy lives, and the storage never sees it."""
    HANG_AFTER = auto()
    """No answer either, but the storage has done it."""
    CUT_BEFORE = auto()
    """The connection breaks, and the storage never sees it."""
    CUT_AFTER = auto()
    """The connection breaks after the storage has done it, before a byte of the answer."""
    CUT_ANSWER = auto()
    """The connection breaks in the middle of the answer's body."""
    DAMAGE = auto()
    """One bit of the answer's body is another one."""


@dataclass(slots=True)
class Rule:
    """What happens to which requests, and to how many (None: all). `path` is a part of path and query."""

    fault: Fault
    method: str = ""
    path: str = ""
    times: int | None = None
    seconds: float = 0.0
    used: int = 0

    def fits(self, method: str, path: str) -> bool:
        """Whether it decides about a request."""
        left = self.times is None or self.used < self.times
        return left and self.method in {"", method} and self.path in path


class FaultyProxy:
    """The proxy before 127.0.0.1:`upstream`, in threads. `down()` refuses connections until `up()`."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.requests: list[tuple[str, str]] = []
        self.released = threading.Event()
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    def add(
        self,
        fault: Fault,
        *,
        method: str = "",
        path: str = "",
        times: int | None = None,
        seconds: float = 0.0,
    ) -> Rule:
        """From now on, requests that fit go wrong."""
        rule = Rule(fault, method, path, times, seconds)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Nothing goes wrong any more. What hangs goes on hanging."""
        with self._lock:
            self._rules.clear()

    def count(self, method: str, path: str = "") -> int:
        """How many requests of a kind came."""
        with self._lock:
            return sum(1 for came, where in self.requests if came == method and path in where)

    def down(self) -> None:
        """Refuse every connection, and break those that are open."""
        if self._server is None or self._thread is None:
            return
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server.break_all()
        self._server = None

    def up(self) -> None:
        """Take connections (again), on the same port."""
        if self._server is not None:
            return
        self.released.clear()
        self._server = server = _Server((_HOST, self.port), self)
        self.port = server.server_address[1]
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def decide(self, method: str, path: str) -> Rule | None:
        """The rule for a request, which counts as used."""
        with self._lock:
            self.requests.append((method, path))
            rule = next((rule for rule in self._rules if rule.fits(method, path)), None)
            if rule:
                rule.used += 1
            return rule

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], proxy: FaultyProxy) -> None:
        self.proxy = proxy
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as its base has it
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - as its base has it
        self._open.discard(request)
        super().shutdown_request(request)

    def break_all(self) -> None:
        """Break every connection that is open."""
        for connection in [*self._open]:
            _reset(connection)


class _Handler(BaseHTTPRequestHandler):
    """One connection, maybe of several requests."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def handle(self) -> None:
        # The client left, or we broke it, or the storage is gone: the client sees its connection break.
        with contextlib.suppress(OSError, http.client.HTTPException):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base has it
        """Say nothing."""

    def pass_on(self) -> None:
        """One request, as its rule wants it."""
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        rule = proxy.decide(self.command, self.path)
        match rule.fault if rule else None:
            case Fault.UNAVAILABLE:
                self._answer(503, [("Content-Type", "application/xml")], _UNAVAILABLE)
            case Fault.CONFLICT:
                self._answer(409, [("Content-Type", "application/xml")], _CONFLICT)
            case Fault.HANG:
                self._hang()
            case Fault.CUT_BEFORE:
                self._cut()
            case Fault.HANG_AFTER:
                self._ask(body)
                self._hang()
            case Fault.CUT_AFTER:
                self._ask(body)
                self._cut()
            case Fault.CUT_ANSWER:
                self._answer(*self._ask(body), cut=True)
            case Fault.DAMAGE:
                status, headers, data = self._ask(body)
                self._answer(status, headers, bytes(byte ^ 1 for byte in data[:1]) + data[1:])
            case _:
                if rule:
                    proxy.released.wait(rule.seconds)
                self._answer(*self._ask(body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 - http.server's names

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the storage answers."""
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
        with contextlib.closing(
            http.client.HTTPConnection(_HOST, self.server.proxy.upstream, timeout=30)
        ) as up:
            up.request(self.command, self.path, body, headers)
            answer = up.getresponse()
            return answer.status, answer.getheaders(), answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _NOT_FORWARDED | {"content-length"}:
                self.send_header(name, value)
        # The length of an answer to HEAD is that of what GET would get.
        length = dict(headers).get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        if cut:
            self._cut(politely=True)

    def _hang(self) -> None:
        self.server.proxy.released.wait()
        self._cut()

    def _cut(self, *, politely: bool = False) -> None:
        """Break the connection; `politely` lets what was sent arrive."""
        self.close_connection = True
        if politely:
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            _reset(self.connection)


def _reset(connection: socket.socket) -> None:
    """Break a connection so that the other side gets a reset."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        connection.close()
