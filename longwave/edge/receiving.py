"""Access lines that come by themselves: syslog over TCP (RFC 6587, lines), as a CDN streams them.

A line is believed for two reasons: it comes from an address that was named, and our secret stands before what
it says: a CDN's addresses are those of all its customers. TLS, of the role's certificate, keeps that secret.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

import structlog

from contracts.errors import DependencyError, UsageError
from longwave.edge.gathering import Gathering
from longwave.machine import open_all_files
from longwave.settings.server import is_loopback
from workers.complaints import Complaints

if TYPE_CHECKING:
    from longwave.settings import EdgeSettings

log = structlog.get_logger()

SCHEME: Final = "syslog://"
SPREAD_SECONDS: Final = 5.0
"""Lines of one moment come from many places, some of them so much later than others."""
SILENCE_SECONDS: Final = 30.0
"""Where no line comes for so long, none may be able to."""
MAX_CONNECTIONS: Final = 4_096
HANDSHAKE_SECONDS: Final = 10.0
"""Whose TLS takes longer is cut off: until it is there nobody is known to be a sender, nor counted as one."""
_MAX_LINE: Final = 8_192
_MARK: Final = b" lw1 "
_HERE: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class Post:
    """Where lines are taken, from whom, and the secret in them; without one they are believed as they are."""

    host: str
    port: int
    senders: Networks
    secret: bytes | None
    tls: ssl.SSLContext | None


def post_of(settings: EdgeSettings) -> Post | None:
    """Where `--log syslog://…` takes lines; None for another log. Raises UsageError."""
    if not settings.log.startswith(SCHEME):
        return None
    try:
        place = urlsplit(settings.log)
        host, port = place.hostname, place.port
    except ValueError:
        host = port = None
    if host is None or port is None or settings.log != f"{SCHEME}{place.netloc}" or "@" in place.netloc:
        raise UsageError(f"--log {settings.log}: syslog://HOST:PORT")
    secret = None if settings.log_secret is None else settings.log_secret.get_secret_value().encode()
    if not is_loopback(host) and (secret is None or not settings.log_from):
        raise UsageError(
            f"{host} can be reached from other machines: set LONGWAVE_LOG_SECRET to what stands in each "
            "line, and LONGWAVE_LOG_FROM to the addresses that send them"
        )
    return Post(host, port, settings.log_from or _HERE, secret, settings.ssl_context())


@asynccontextmanager
async def received(post: Post, gathering: Gathering) -> AsyncIterator[str]:
    """Gather meanwhile what is sent to `post`; gives its address. Raises DependencyError."""
    receiver = _Receiver(post, gathering)
    patience = None if post.tls is None else HANDSHAKE_SECONDS
    if post.tls is None and not is_loopback(post.host):
        log.warning("access lines come without TLS", reason="the secret in them can be read on the way")
    open_all_files()
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(receiver),
            post.host,
            post.port,
            ssl=post.tls,
            ssl_handshake_timeout=patience,
        )
    except OSError as error:
        raise DependencyError(f"cannot listen on {post.host}:{post.port}: {error.strerror}") from None
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{SCHEME}[{host}]:{port}" if ":" in host else f"{SCHEME}{host}:{port}"
    finally:
        server.close()
        receiver.close()


class _Receiver:
    """All connections. Nothing of them is kept but the line that each has begun."""

    def __init__(self, post: Post, gathering: Gathering) -> None:
        self._post = post
        self._gathering = gathering
        # Who has sent a line of ours last is last.
        self._open: dict[asyncio.BaseTransport, None] = {}
        self._complaints = Complaints()

    def open(self, transport: asyncio.BaseTransport) -> bool:
        """Whether this sender may speak. Where too many do, whoever has not for the longest time makes room.

        So connections of others at the same CDN, who know no secret, do not keep ours out.
        """
        sender = ip_address(transport.get_extra_info("peername")[0])
        if not any(sender in network for network in self._post.senders):
            if self._complaints.admit(sender):
                reason = "it is not one of LONGWAVE_LOG_FROM"
                log.warning("access lines are not taken", sender=str(sender), reason=reason)
            return False
        if len(self._open) >= MAX_CONNECTIONS:
            longest = next(iter(self._open))
            self.closed(longest)
            # At once: with TLS half a minute would be left to it for a goodbye.
            cast("asyncio.Transport", longest).abort()
            if self._complaints.admit("connections"):
                log.warning("senders of access lines are cut off", reason=f"there are over {MAX_CONNECTIONS}")
        self._open[transport] = None
        return True

    def closed(self, transport: asyncio.BaseTransport) -> None:
        """It is over."""
        self._open.pop(transport, None)

    def take(self, lines: Iterable[bytes], sender: asyncio.BaseTransport) -> None:
        """Whole lines."""
        ours = [*(lines if self._post.secret is None else self._true(lines, self._post.secret))]
        if ours and sender in self._open:
            del self._open[sender]
            self._open[sender] = None
        self._gathering.add(ours)

    def close(self) -> None:
        """Nobody is listened to any more."""
        for transport in [*self._open]:
            transport.close()

    def _true(self, lines: Iterable[bytes], secret: bytes) -> Iterator[bytes]:
        for line in lines:
            before, mark, text = line.partition(_MARK)
            if mark and hmac.compare_digest(before.rpartition(b" ")[2], secret):
                yield mark + text
            elif mark and self._complaints.admit("secret"):
                log.warning("access lines without the secret are not counted")


class _Connection(asyncio.Protocol):
    """One sender. What is longer than a line of ours is passed over, and so is what it never ended."""

    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver
        self._transport: asyncio.BaseTransport | None = None
        self._rest = b""
        self._passing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._receiver.open(transport):
            transport.close()
            return
        self._transport = transport
        # A place of a CDN that vanishes says no goodbye.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        first, *others = data.split(b"\n")
        if not others:
            self._begin(self._rest + first)
            return
        whole = [] if self._passing else [self._rest + first]
        self._passing = False
        self._receiver.take([*whole, *others[:-1]], self._transport)
        self._begin(others[-1])

    def connection_lost(self, _: Exception | None) -> None:
        if self._transport is not None:
            self._receiver.closed(self._transport)

    def _begin(self, rest: bytes) -> None:
        """The beginning of a line."""
        self._passing = self._passing or len(rest) > _MAX_LINE
        self._rest = b"" if self._passing else rest
