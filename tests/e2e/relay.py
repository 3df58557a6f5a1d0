"""The network between a browser's microphone and the server, in a test's hand: UDP is relayed."""

from __future__ import annotations

import re
import selectors
import socket
import threading
from typing import Self, cast

from playwright.sync_api import Page, Route

_HOST = "127.0.0.1"
_LOOK_SECONDS = 0.05
_DATAGRAM = 2048
# RFC 8839 5.1: a=candidate:FOUNDATION COMPONENT udp PRIORITY ADDRESS PORT typ …
_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ udp \d+ )\S+ (\d+)(?= typ)", re.MULTILINE | re.IGNORECASE)


class Relay:
    """One way to the server's UDP port. `cut`: from then on nothing gets through, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._server = (_HOST, port)
        self._front = _socket()
        self._front.bind((_HOST, 0))
        self.port: int = self._front.getsockname()[1]
        self.cut = False
        self.closed = False
        # Behind the relay each of the browser's sockets has one of its own.
        self._behind: dict[tuple[str, int], socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._front, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and free the ports."""
        self.closed = True
        self._thread.join()
        self._selector.close()
        for one in (self._front, *self._behind.values()):
            one.close()

    def _run(self) -> None:
        while not self.closed:
            for key, _ in self._selector.select(_LOOK_SECONDS):
                self._carry(cast("socket.socket", key.fileobj), key.data)

    def _carry(self, source: socket.socket, client: tuple[str, int] | None) -> None:
        """One datagram, from the browser (`client` is None) or to its socket `client`."""
        try:
            data, address = source.recvfrom(_DATAGRAM)
            if self.cut:
                return
            if client is None:
                self._to_server(address).send(data)
            else:
                self._front.sendto(data, client)
        except (BlockingIOError, ConnectionRefusedError):
            return  # the server has closed its port, or will

    def _to_server(self, client: tuple[str, int]) -> socket.socket:
        if client not in self._behind:
            self._behind[client] = behind = _socket()
            behind.connect(self._server)
            self._selector.register(behind, selectors.EVENT_READ, client)
        return self._behind[client]


class Network:
    """Every WHIP session of `page` goes through a relay of its own, the last of `relays`."""

    def __init__(self, page: Page) -> None:
        self.relays: list[Relay] = []
        page.route("**/whip/**", self._answer)

    def die(self) -> None:
        """The way in use leads nowhere any more. The next session gets another one."""
        self.relays[-1].cut = True

    def _answer(self, route: Route) -> None:
        """Let the server answer, and put a relay in the place of its port."""
        response = route.fetch()
        answer = response.text()
        ports = {int(port) for _, port in _CANDIDATE.findall(answer)}
        if route.request.method != "POST" or not ports:
            route.fulfill(response=response)
            return
        (port,) = ports
        self.relays.append(relay := Relay(port))
        body = _CANDIDATE.sub(lambda found: f"{found[1]}{_HOST} {relay.port}", answer)
        route.fulfill(response=response, body=body)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for relay in self.relays:
            relay.close()


def _socket() -> socket.socket:
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.setblocking(False)
    return found
